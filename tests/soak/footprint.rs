//! What a process takes of its host, over time.

use std::{fmt, fs};

/// How much more memory the last samples may have than the early ones: allocators keep what they had at
/// their busiest. A leak of 100 bytes a call is beyond it after some minutes.
const MEMORY_TOLERANCE_KIB: u64 = 8 * 1024;
/// How many more descriptors: connections that come and go at the moment of a sample.
pub(crate) const FILES_TOLERANCE: u64 = 6;

/// What a process takes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Resident memory.
    pub(crate) memory_kib: u64,
    /// Open descriptors.
    pub(crate) files: u64,
    pub(crate) threads: u64,
}

impl Footprint {
    pub(crate) fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let number = line.unwrap().split_whitespace().next().unwrap();
            number.parse().unwrap()
        };
        let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        Self {
            memory_kib: value("VmRSS:"),
            files: u64::try_from(files).unwrap(),
            threads: value("Threads:"),
        }
    }
}

/// What a process took, from the beginning to the end of a load.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Footprint>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Footprint) {
        self.0.push(sample);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The median of the samples between two parts of a hundred.
    fn median(&self, from: usize, to: usize) -> Footprint {
        let at = |part: usize| self.0.len() * part / 100;
        let window = self.0.get(at(from)..at(to)).unwrap();
        let median = |value: fn(&Footprint) -> u64| {
            let mut values: Vec<u64> = window.iter().map(value).collect();
            values.sort_unstable();
            *values.get(values.len() / 2).unwrap()
        };
        Footprint {
            memory_kib: median(|sample| sample.memory_kib),
            files: median(|sample| sample.files),
            threads: median(|sample| sample.threads),
        }
    }

    /// The first samples are those of a process that warms up, and do not count.
    fn early(&self) -> Footprint {
        self.median(20, 40)
    }

    fn last(&self) -> Footprint {
        self.median(80, 100)
    }

    pub(crate) fn are_flat(&self) {
        let (early, last) = (self.early(), self.last());
        assert!(
            last.memory_kib <= early.memory_kib + MEMORY_TOLERANCE_KIB,
            "memory grew: {self}"
        );
        assert!(
            last.files <= early.files + FILES_TOLERANCE,
            "descriptors grew: {self}"
        );
        assert!(last.threads <= early.threads + 1, "threads grew: {self}");
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "first: {:?}", self.0.first())?;
        writeln!(to, "early: {:?}", self.early())?;
        writeln!(to, "last:  {:?}", self.last())?;
        write!(
            to,
            "memory, KiB: {:?}",
            self.0.iter().map(|s| s.memory_kib).collect::<Vec<_>>()
        )
    }
}
