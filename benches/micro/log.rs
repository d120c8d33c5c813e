//! What a record costs: making it, checking it, deriving it again, and showing it as a span.

use std::{fs, path::Path};

use admit_policy::Digest;
use admit_server::{
    audit::{
        chain::{self, GENESIS},
        keys::NamesKey,
        log::Draft,
        record::{Decision, Entry, Segment, VERSION},
        replay::Replayer,
        verify::{self, Known},
    },
    export::span,
};
use divan::{
    Bencher,
    counter::{BytesCount, ItemsCount},
};
use prost::Message as _;

use crate::{
    ground::{Ground, members},
    subject::{self, ADMISSIONS},
};

/// How many records the log has that is checked and derived again.
const RECORDS: usize = 2_000;
const STREAM: &str = "01900000-0000-7000-8000-000000000000";

/// A log of [`RECORDS`] records in `dir`, and its basis. Returns its size, in bytes.
fn write_log(dir: &Path, ground: &Ground, record: &Decision) -> usize {
    let header = Entry::Segment(Segment {
        version: VERSION,
        stream_id: STREAM.into(),
        first_seq: 1,
        time: subject::now().to_string(),
        admitd: "0".into(),
        key: Digest::of(b"").to_string(),
        names_key: NamesKey::new(&[7; 32]).identity().into(),
    });
    let mut log = Vec::new();
    let header = members(&header, "segment");
    let mut prev = chain::compose(&mut log, "segment", None, GENESIS, &header);
    let record = members(&Entry::Decision(Box::new(record.clone())), "decision");
    for seq in (1_u64..).take(RECORDS) {
        prev = chain::compose(&mut log, "decision", Some(seq), &prev, &record);
    }
    fs::write(dir.join("segment-00000000000000000001.jsonl"), &log).expect("a scratch file");
    ground.basis.keep(dir).expect("a scratch file");
    log.len()
}

/// From a decision to its record: what is hashed is closed, and stands in clear else.
#[divan::bench(args = ADMISSIONS)]
fn close_decision(bencher: Bencher<'_, '_>, admissions: usize) {
    let ground = Ground::of(admissions);
    let facts = subject::allowed().observe();
    bencher.bench_local(|| ground.record(&facts));
}

/// From a record to its JSON.
#[divan::bench]
fn draft(bencher: Bencher<'_, '_>) {
    let record = Ground::of(1).record(&subject::allowed().observe());
    let entry = Entry::Decision(Box::new(record));
    bencher.bench_local(|| Draft::of(&entry));
}

/// From its JSON to its line in the chain.
#[divan::bench]
fn compose(bencher: Bencher<'_, '_>) {
    let record = Ground::of(1).record(&subject::allowed().observe());
    let members = members(&Entry::Decision(Box::new(record)), "decision");
    let mut log = Vec::with_capacity(4 * 1024);
    bencher
        .counter(BytesCount::new(members.len()))
        .bench_local(|| {
            log.clear();
            chain::compose(&mut log, "decision", Some(4711), GENESIS, &members)
        });
}

/// From one line to its entry, with its hash checked.
#[divan::bench]
fn read_line(bencher: Bencher<'_, '_>) {
    let line = line();
    bencher
        .counter(BytesCount::new(line.len()))
        .bench_local(|| Entry::read(&line));
}

fn line() -> Vec<u8> {
    let record = Ground::of(1).record(&subject::allowed().observe());
    let members = members(&Entry::Decision(Box::new(record)), "decision");
    let mut line = Vec::new();
    chain::compose(&mut line, "decision", Some(4711), GENESIS, &members);
    line.pop();
    line
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn verify_log(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().expect("a scratch folder");
    let ground = Ground::of(1);
    let record = ground.record(&subject::allowed().observe());
    let bytes = write_log(dir.path(), &ground, &record);
    bencher
        .counter(BytesCount::new(bytes))
        .counter(ItemsCount::new(RECORDS))
        .bench_local(|| {
            let verified = verify::verify(dir.path(), &Known::default(), |_, _, _| {});
            verified.expect("a log without damage")
        });
}

/// One record derived again, its basis at hand.
#[divan::bench(args = ADMISSIONS)]
fn replay_record(bencher: Bencher<'_, '_>, admissions: usize) {
    let dir = tempfile::tempdir().expect("a scratch folder");
    let ground = Ground::of(admissions);
    let record = ground.record(&subject::allowed().observe());
    ground.basis.keep(dir.path()).expect("a scratch file");
    let replayer = Replayer::new(dir.path(), Some(NamesKey::new(&[7; 32])));
    replayer.derive(&record).expect("a basis that is there");
    bencher.bench_local(|| replayer.derive(&record).expect("a basis that is there"));
}

#[divan::bench]
fn project_span(bencher: Bencher<'_, '_>) {
    let (links, entry) = Entry::read(&line()).expect("a line of the log");
    bencher.bench_local(|| span::span(STREAM, &links, &entry));
}

#[divan::bench]
fn encode_span(bencher: Bencher<'_, '_>) {
    let (links, entry) = Entry::read(&line()).expect("a line of the log");
    let span = span::span(STREAM, &links, &entry).expect("a numbered entry");
    bencher.bench_local(|| span.encode_to_vec());
}
