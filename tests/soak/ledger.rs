//! What the callers were told, and which spans arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What came of one call, or of something else that belongs to the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Came {
    Allowed,
    Denied,
    Invalid,
    Accepted,
    Rejected,
    Keys,
    Scraped,
    Rewritten,
    WatchEvent,
    ReceiverDown,
}

impl Came {
    const ALL: [Self; 10] = [
        Self::Allowed,
        Self::Denied,
        Self::Invalid,
        Self::Accepted,
        Self::Rejected,
        Self::Keys,
        Self::Scraped,
        Self::Rewritten,
        Self::WatchEvent,
        Self::ReceiverDown,
    ];
}

#[derive(Default)]
struct Kept {
    hashes: BTreeMap<u64, String>,
    spans: BTreeSet<u64>,
    came: BTreeMap<Came, u64>,
}

/// Everything that there is to hold the log against.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Kept>);

impl Ledger {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer named this record.
    pub(crate) fn acknowledge(&self, seq: u64, hash: String) {
        let twice = self.kept().hashes.insert(seq, hash);
        assert_eq!(twice, None, "seq {seq} was given twice");
    }

    pub(crate) fn acknowledged(&self) -> BTreeMap<u64, String> {
        self.kept().hashes.clone()
    }

    pub(crate) fn count(&self, what: Came) {
        *self.kept().came.entry(what).or_default() += 1;
    }

    pub(crate) fn spans_arrived(&self, seqs: impl IntoIterator<Item = u64>) {
        self.kept().spans.extend(seqs);
    }

    /// The entries up to `last` whose spans have not arrived.
    pub(crate) fn missing_spans(&self, last: u64) -> BTreeSet<u64> {
        let kept = self.kept();
        assert!(kept.spans.last() <= Some(&last), "a span of no entry");
        (1..=last).filter(|seq| !kept.spans.contains(seq)).collect()
    }

    /// The load had every part.
    pub(crate) fn has_everything(&self) {
        let kept = self.kept();
        for what in Came::ALL {
            assert!(kept.came.contains_key(&what), "{what:?} never came");
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept();
        let (answers, spans) = (kept.hashes.len(), kept.spans.len());
        write!(to, "{answers} answers, {spans} spans, {:?}", kept.came)
    }
}
