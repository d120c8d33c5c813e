//! What reading the policy costs: parsing, judging and identifying it.

use admit_policy::{Digest, Snapshot};
use divan::{Bencher, counter::BytesCount};

use crate::subject::{self, ADMISSIONS};

#[divan::bench(args = ADMISSIONS, sample_count = 5, sample_size = 1)]
fn build_snapshot(bencher: Bencher<'_, '_>, admissions: usize) {
    let files = subject::files(admissions);
    bencher.bench_local(|| Snapshot::build(&files));
}

/// The part of building that identifies the policy: the digest of every file, and of the list of them.
#[divan::bench(args = ADMISSIONS, sample_count = 5, sample_size = 1)]
fn digest_policy(bencher: Bencher<'_, '_>, admissions: usize) {
    let files = subject::files(admissions);
    bencher.bench_local(|| {
        let lines: String = files
            .iter()
            .filter_map(|file| Some((file.content.as_ref().ok()?, &file.path)))
            .map(|(bytes, path)| format!("{}  {path}\n", Digest::of(bytes)))
            .collect();
        Digest::of(lines.as_bytes())
    });
}

/// One digest over so many bytes.
#[divan::bench(args = [640, 64 * 1024])]
fn digest(bencher: Bencher<'_, '_>, bytes: usize) {
    let content = vec![b'a'; bytes];
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| Digest::of(&content));
}
