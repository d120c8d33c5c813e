//! Any sequence of batches, restarts and damage: what was acknowledged is there, or the damage is
//! reported, and no number is skipped or given twice unnoticed.

use std::{fs, path::Path};

use admit_server::audit::{
    LogConfig,
    log::{Log, Receipt},
    recovery::OpenError,
    verify::VerifyError,
};
use proptest::{
    prelude::{Strategy, any, prop_oneof, proptest},
    test_runner::Config,
};

use super::{append, config, entries, folder, open, segments, verified_with};

#[derive(Clone, Debug)]
enum Step {
    /// A batch of so many entries.
    Append(u8),
    /// A restart.
    Reopen,
    /// A crash while a batch was being written: so much of its first line is there.
    Crash(u16),
    /// The last segment loses a part of its end.
    Cut(u16),
    /// One bit of one segment changes.
    Flip(u16, u16, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_u8).prop_map(Step::Append),
        2 => proptest::strategy::Just(Step::Reopen),
        2 => (1..200_u16).prop_map(Step::Crash),
        1 => any::<u16>().prop_map(Step::Cut),
        1 => (any::<u16>(), any::<u16>(), 0..8_u8).prop_map(|(a, b, c)| Step::Flip(a, b, c)),
    ]
}

/// What somebody outside knows of the log.
struct Outside {
    receipts: Vec<Receipt>,
    harm: Harm,
}

/// What was done to the log behind its back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// Nothing that a crash would not do.
    None,
    /// Something that nobody outside knows of was cut off.
    Hidden,
    /// Something was changed, or something that was acknowledged was cut off.
    Certain,
}

impl Outside {
    /// What it does to a segment with this content that only `left` bytes of it are left.
    fn harm_of_cut(&self, content: &[u8], left: usize) -> Harm {
        let cut_off = |receipt: &Receipt| {
            let end = format!("\"hash\":\"{}\"}}\n", receipt.hash).into_bytes();
            let stated = content.windows(end.len()).position(|part| part == end);
            stated.is_some_and(|at| at + end.len() > left)
        };
        if left == content.len() {
            Harm::None
        } else if self.receipts.iter().any(cut_off) {
            Harm::Certain
        } else {
            Harm::Hidden
        }
    }

    /// Compares the log with what is known of it. Whether it is still a log to go on with.
    fn check(&self, dir: &Path) -> bool {
        match verified_with(dir, &self.receipts) {
            Ok(verified) => {
                assert_ne!(self.harm, Harm::Certain, "it was not found");
                let entries = entries(dir);
                let seqs = entries.iter().filter_map(|(links, _)| links.seq);
                assert!(seqs.eq(1..=verified.head.seq));
                for receipt in &self.receipts {
                    let found = entries
                        .iter()
                        .find(|(links, _)| links.seq == Some(receipt.seq));
                    assert_eq!(found.map(|(links, _)| &links.hash), Some(&receipt.hash));
                }
                true
            }
            Err(VerifyError::Damage(damage)) => {
                assert_ne!(self.harm, Harm::None, "{damage}");
                false
            }
            Err(VerifyError::Read(error)) => panic!("{error}"),
        }
    }
}

/// The last segment.
fn last(dir: &Path) -> std::path::PathBuf {
    segments(dir).pop().unwrap()
}

/// Opens the log again; `None` when it is refused as damaged, which has to be true then.
fn reopen(config: &LogConfig, outside: &Outside) -> Option<Log> {
    match open(config.clone()) {
        Ok(log) => Some(log),
        Err(OpenError::Damaged { source, .. }) => {
            assert_ne!(outside.harm, Harm::None, "{source}");
            assert!(!outside.check(&config.dir), "a start finds {source}");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn run(steps: &[Step]) {
    let folder = folder();
    let mut config = config(folder.path());
    config.segment_bytes = 1500;
    let mut outside = Outside {
        receipts: Vec::new(),
        harm: Harm::None,
    };
    let mut log = open(config.clone()).unwrap();
    let mut number = 0;
    for step in steps {
        if let Step::Append(count) = step {
            let numbers = number..number + u64::from(*count);
            number = numbers.end;
            let expected = log.head().seq + 1;
            let receipts = append(&mut log, numbers);
            let seqs = receipts.iter().map(|receipt| receipt.seq);
            assert!(seqs.eq(expected..expected + u64::from(*count)));
            outside.receipts.extend(receipts);
            continue;
        }
        drop(log);
        let path = last(folder.path());
        outside.harm = Harm::None;
        match step {
            Step::Append(_) | Step::Reopen => {}
            Step::Crash(bytes) => {
                let mut content = fs::read(&path).unwrap();
                // A line's beginning, as far as it was written; never its line feed.
                let line = content.split(|byte| *byte == b'\n').next().unwrap();
                let torn = line.get(..usize::from(*bytes).min(line.len() - 1)).unwrap();
                let torn = torn.to_vec();
                content.extend_from_slice(&torn);
                fs::write(&path, content).unwrap();
            }
            Step::Cut(bytes) => {
                let content = fs::read(&path).unwrap();
                let left = content.len() - usize::from(*bytes) % content.len();
                fs::write(&path, content.get(..left).unwrap()).unwrap();
                outside.harm = outside.harm_of_cut(&content, left);
            }
            Step::Flip(segment, offset, bit) => {
                let paths = segments(folder.path());
                let path = paths.get(usize::from(*segment) % paths.len()).unwrap();
                let mut content = fs::read(path).unwrap();
                let at = usize::from(*offset) % content.len();
                *content.get_mut(at).unwrap() ^= 1 << bit;
                fs::write(path, content).unwrap();
                outside.harm = Harm::Certain;
            }
        }
        let Some(opened) = reopen(&config, &outside) else {
            return;
        };
        log = opened;
        if !outside.check(folder.path()) {
            return;
        }
    }
    drop(log);
    outside.check(folder.path());
}

proptest! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_was_acknowledged_is_there_or_the_damage_is_reported(
        steps in proptest::collection::vec(step(), 1..16),
    ) {
        run(&steps);
    }
}
