//! Every seed, run through its target: what a fuzzer found once, or would start from, holds in every
//! build. Beside that, that targets, seeds and programs belong together.
//!
//! Deliberately absent: mutation beyond a few cuts; `fuzz/run` is for that.

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod messages;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use admit_fuzz::TARGETS;
use proptest::{prelude::*, sample::Index};

/// Largest seed, and all of them, in bytes: seeds are read by people.
const SEED_BYTES_MAX: u64 = 16 * 1024;
const SEEDS_BYTES_MAX: u64 = 300 * 1024;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder("seeds").join(target);
    names(&folder)
        .iter()
        .map(|name| folder.join(name))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_seed_holds() {
    let mut broken = Vec::new();
    for (target, body) in TARGETS {
        for (path, seed) in seeds(target) {
            if std::panic::catch_unwind(|| body(&seed)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn targets_seeds_and_programs_belong_together() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "a target is there twice");
    assert_eq!(names(&folder("seeds")), targets);
    let programs = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&folder("fuzz_targets")), programs);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for target in &targets {
        assert!(!seeds(target).is_empty(), "{target} has no seed");
        let program = fs::read_to_string(folder("fuzz_targets").join(format!("{target}.rs")));
        assert!(program.unwrap().contains(&format!("::{target}(data)")));
        assert!(manifest.contains(&format!("name = \"{target}\"")));
    }
}

#[test]
fn seeds_are_small() {
    let mut total = 0;
    for (target, _) in TARGETS {
        for (path, seed) in seeds(target) {
            let bytes = u64::try_from(seed.len()).unwrap();
            assert!(bytes <= SEED_BYTES_MAX, "{}", path.display());
            total += bytes;
        }
    }
    assert!(total <= SEEDS_BYTES_MAX, "{total} bytes");
}

/// What becomes of a seed: a piece of it is cut out, doubled, or written over.
fn mutated(seed: &[u8], (from, to): (Index, Index), mutation: u8, byte: u8) -> Vec<u8> {
    let (from, to) = (from.index(seed.len() + 1), to.index(seed.len() + 1));
    let (from, to) = (from.min(to), from.max(to));
    let (before, rest) = seed.split_at(from);
    let (piece, after) = rest.split_at(to - from);
    match mutation % 4 {
        0 => [before, after].concat(),
        1 => [before, piece, piece, after].concat(),
        2 => [before, &[byte], rest].concat(),
        _ => [before, &[byte], after].concat(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_becomes_of_a_seed_holds(
        target in 0..TARGETS.len(),
        seed: Index,
        pieces: [(Index, Index); 2],
        mutations: [u8; 2],
        byte: u8,
    ) {
        let (name, body) = TARGETS.get(target).unwrap();
        let seeds = seeds(name);
        let (_, seed) = seed.get(&seeds);
        let once = mutated(seed, pieces[0], mutations[0], byte);
        body(&once);
        body(&mutated(&once, pieces[1], mutations[1], byte));
    }
}
