//! The one writer of the policy in force: a thread that reads, judges and swaps.

use std::{
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Instant,
};

use admit_policy::{Judged, Snapshot, Terms};
use tokio::sync::watch as channel;

use super::{
    Attempts, Loaded, SETTLE, State, StoreConfig, Verified,
    scan::{
        self, Reading, ScanError,
        memory::{Memory, Trust},
    },
    watch::Watches,
};
use crate::{
    audit::{basis::Basis, keys::NamesKey, names::Names, shelf::Shelf},
    clock,
};

/// Most findings that are logged of one policy; `admit policy` shows the others.
const LOGGED_FINDINGS_MAX: usize = 20;

/// Keeps the writer's thread; the thread ends when this is dropped.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

impl Writer {
    pub(super) fn start(
        config: StoreConfig,
        terms: Arc<Terms>,
        (names_key, shelf): (NamesKey, Shelf),
        state: channel::Sender<State>,
        attempts: channel::Sender<Attempts>,
    ) -> std::io::Result<Self> {
        // One place: a wake-up that is already waiting stands for all that follow.
        let (wake, woken) = sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let writing = Writing {
            watches: Watches::new(&config.policy_dir, wake.clone()),
            config,
            terms,
            names_key,
            shelf,
            state,
            attempts,
            woken,
            stop: Arc::clone(&stop),
            memory: Memory::new(Trust::DEFAULT),
            judged: Vec::new(),
            current: None,
            candidate: None,
            retired: Vec::new(),
        };
        // A reading that hangs in the file system hangs this thread only; the snapshot then ages.
        thread::Builder::new()
            .name("policy-writer".into())
            .spawn(move || writing.run())?;
        Ok(Self { stop, wake })
    }

    /// Wakes the writer up for a reading.
    pub(super) fn wake(&self) -> SyncSender<()> {
        self.wake.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Full means that the thread is about to wake up anyway.
        let _ = self.wake.try_send(());
    }
}

struct Writing {
    config: StoreConfig,
    terms: Arc<Terms>,
    names_key: NamesKey,
    shelf: Shelf,
    state: channel::Sender<State>,
    attempts: channel::Sender<Attempts>,
    watches: Watches,
    woken: Receiver<()>,
    stop: Arc<AtomicBool>,
    /// What former readings found in the files.
    memory: Memory,
    /// The files of the snapshot in force, each with its judgment.
    judged: Vec<Arc<Judged>>,
    /// The reading that the snapshot in force was made from.
    current: Option<Reading>,
    /// A reading that differs from it and has been seen once.
    candidate: Option<Reading>,
    /// Policies that were in force, for as long as a request may look at them: the last one to let go of a
    /// large one takes a while to free it, and that shall be this thread.
    retired: Vec<Arc<Loaded>>,
}

impl Writing {
    fn run(mut self) {
        let mut was_woken = false;
        while !self.stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            self.attempts.send_modify(Attempts::begin);
            self.watches.renew();
            if panic::catch_unwind(AssertUnwindSafe(|| self.read())).is_err() {
                self.broke();
            }
            self.attempts.send_modify(Attempts::end);
            // A wake-up can come too early: for a folder that is new, before what is written into it, and
            // before the folder is watched itself. So each is followed by a reading after the pause.
            if mem::take(&mut was_woken) || self.candidate.is_some() {
                thread::sleep(SETTLE);
            } else {
                // Woken or not, the next thing to do is to read.
                was_woken = self.rest(started);
            }
        }
    }

    /// Rests until the next reading is due, `rescan_interval` after `started`, and frees what nobody looks at
    /// any more; whether something woke it up.
    fn rest(&mut self, started: Instant) -> bool {
        loop {
            // Nobody else can get hold of one that only this thread has.
            self.retired.retain(|loaded| Arc::strong_count(loaded) > 1);
            let left = self
                .config
                .rescan_interval
                .saturating_sub(started.elapsed());
            let pause = if self.retired.is_empty() {
                left
            } else {
                left.min(SETTLE)
            };
            match self.woken.recv_timeout(pause) {
                Ok(()) => return true,
                Err(RecvTimeoutError::Timeout) if pause < left => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Reads the directory once and draws the consequence.
    fn read(&mut self) {
        let verified = Verified::now();
        let (policy_dir, limits) = (&self.config.policy_dir, &scan::Limits::DEFAULT);
        // While nothing is in force, what has been as it is for long need not be seen twice.
        let scanned = if self.current.is_none() {
            scan::scan_still(policy_dir, limits, &mut self.memory, verified.wall)
        } else {
            scan::scan_again(policy_dir, limits, &mut self.memory).map(|reading| (reading, false))
        };
        match scanned {
            Err(error) => self.failed(&error),
            Ok((reading, _)) if self.current.as_ref() == Some(&reading) => {
                self.candidate = None;
                self.verified(verified);
            }
            // Files that decide nothing need not settle: whoever writes them without a pause must not
            // hold up a revocation.
            Ok((reading, is_still)) if is_still || self.has_settled(&reading) => {
                self.candidate = None;
                self.swap(reading, verified);
            }
            Ok((reading, _)) => self.candidate = Some(reading),
        }
    }

    /// Whether the files that decide are as they were in the last reading, or in the one in force.
    fn has_settled(&self, reading: &Reading) -> bool {
        [&self.candidate, &self.current]
            .into_iter()
            .flatten()
            .any(|former| former.decisive().eq(reading.decisive()))
    }

    /// A reading broke the judgment itself: nothing is in force any more. The next reading may mend it.
    fn broke(&mut self) {
        tracing::error!("the documents could not be judged; this is a fault of admitd");
        self.memory = Memory::new(Trust::DEFAULT);
        self.judged.clear();
        self.current = None;
        self.candidate = None;
        self.state.send_replace(State {
            failure: Some("the documents could not be judged; this is a fault of admitd".into()),
            ..State::default()
        });
    }

    fn failed(&mut self, error: &ScanError) {
        self.candidate = None;
        let failure: Arc<str> = error.to_string().into();
        self.state.send_if_modified(|state| {
            let is_news = state.failure.as_ref() != Some(&failure);
            if is_news {
                let policy_dir = self.config.policy_dir.display();
                tracing::error!(%failure, %policy_dir, "the policy directory could not be read");
                state.failure = Some(failure);
            }
            is_news
        });
    }

    /// The directory holds just the snapshot in force.
    fn verified(&self, verified: Verified) {
        self.state.send_if_modified(|state| {
            let is_news = state.failure.take().is_some();
            if is_news {
                tracing::info!("the policy directory can be read again");
            }
            state.verified = Some(verified);
            state.verify_time = clock::now();
            is_news
        });
    }

    /// Judges the reading and puts it into force in one step.
    fn swap(&mut self, reading: Reading, verified: Verified) {
        let Some(now) = clock::now() else {
            self.failed(&ScanError::Clock);
            return;
        };
        self.judged = Judged::all(&reading.files, &self.judged);
        let snapshot = Snapshot::of_judged(&self.judged, reading.strays.clone());
        tracing::info!(
            digest = %snapshot.digest(),
            files = reading.files.len(),
            findings = snapshot.findings().len(),
            "a policy is in force"
        );
        for finding in snapshot.findings().iter().take(LOGGED_FINDINGS_MAX) {
            let place = &finding.place;
            tracing::warn!(code = finding.code.as_str(), path = %place.path, line = place.line, "finding");
        }
        self.current = Some(reading);
        let names = Names::of(Some(&snapshot), self.names_key.clone());
        let basis = Arc::new(Basis::of(&snapshot, &self.terms, &names));
        let former = self.state.borrow().loaded.clone();
        let former = former.as_ref().map(|former| &*former.basis);
        self.shelf.keep_ahead(&basis, former);
        let loaded = Arc::new(Loaded {
            basis,
            names,
            snapshot,
            read_time: now,
        });
        let former = self.state.send_replace(State {
            loaded: Some(loaded),
            verify_time: Some(now),
            verified: Some(verified),
            failure: None,
        });
        self.retired.extend(former.loaded);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path, time::Duration};

    use admit_policy::{Digest, SourceFile, document};

    use super::*;

    /// Longest time that a test waits for what ought to come.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A writer that reads when it is told to.
    fn writing(policy_dir: &Path) -> Writing {
        let (wake, woken) = sync_channel(1);
        let terms = Terms {
            staleness_max: Duration::from_secs(30),
            network_classes: BTreeMap::new(),
        };
        Writing {
            terms: Arc::new(terms),
            names_key: NamesKey::new(&[0; 32]),
            shelf: Shelf::open(policy_dir, 0).unwrap(),
            config: StoreConfig {
                policy_dir: policy_dir.into(),
                rescan_interval: Duration::from_secs(5),
            },
            state: channel::channel(State::default()).0,
            attempts: channel::channel(Attempts::none()).0,
            watches: Watches::new(policy_dir, wake),
            woken,
            stop: Arc::default(),
            memory: Memory::new(Trust::DEFAULT),
            judged: Vec::new(),
            current: None,
            candidate: None,
            retired: Vec::new(),
        }
    }

    /// The digest in force after one more reading, and whether that reading failed.
    fn after_reading(writing: &mut Writing) -> (Option<Digest>, bool) {
        writing.read();
        let state = writing.state.borrow();
        let loaded = state.loaded.as_ref();
        let digest = loaded.map(|loaded| loaded.snapshot.digest());
        (digest, state.failure.is_some())
    }

    /// The digest of a policy directory with just this decision record.
    fn digest_of(record: &str) -> Option<Digest> {
        let file = SourceFile {
            path: document::DECISION_RECORD_NAME.into(),
            kind: document::Kind::DecisionRecord,
            content: Ok(record.as_bytes().into()),
        };
        Some(Snapshot::build(&[file]).digest())
    }

    #[test]
    fn a_failed_reading_drops_the_candidate() {
        let folder = tempfile::tempdir().unwrap();
        let (policy_dir, aside) = (folder.path().join("policy"), folder.path().join("aside"));
        let record = policy_dir.join(document::DECISION_RECORD_NAME);
        fs::create_dir(&policy_dir).unwrap();
        fs::write(&record, "one").unwrap();
        let mut writing = writing(&policy_dir);
        assert_eq!(after_reading(&mut writing), (None, false));
        assert_eq!(after_reading(&mut writing), (digest_of("one"), false));

        fs::write(&record, "two").unwrap();
        assert_eq!(after_reading(&mut writing), (digest_of("one"), false));
        fs::rename(&policy_dir, &aside).unwrap();
        assert_eq!(after_reading(&mut writing), (digest_of("one"), true));
        // Nobody knows what stood there in between: the readings around it are not two in a row.
        fs::rename(&aside, &policy_dir).unwrap();
        assert_eq!(after_reading(&mut writing), (digest_of("one"), true));
        assert_eq!(after_reading(&mut writing), (digest_of("two"), false));
    }

    #[test]
    fn what_has_been_as_it_is_for_long_is_in_force_at_once() {
        let folder = tempfile::tempdir().unwrap();
        // A link to the folder of temporary files would be a doubt.
        let policy_dir = folder.path().canonicalize().unwrap().join("policy");
        fs::create_dir(&policy_dir).unwrap();
        fs::write(policy_dir.join(document::DECISION_RECORD_NAME), "one").unwrap();
        let first = after_reading(&mut writing(&policy_dir));
        assert_eq!(first, (None, false));

        let written = Instant::now();
        let mut first = first;
        while first.0.is_none() && written.elapsed() < PATIENCE {
            thread::sleep(SETTLE);
            first = after_reading(&mut writing(&policy_dir));
        }
        assert_eq!(first, (digest_of("one"), false));
    }
}
