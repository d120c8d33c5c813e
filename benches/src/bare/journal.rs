//! Append and group commit: every call waits until its line is on the disk, and one `fdatasync` does for all
//! that wait.
//!
//! Deliberately absent: content and recovery; a line is so many bytes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use anyhow::Context as _;
use tokio::{
    sync::{Notify, oneshot},
    task::yield_now,
};
use tonic::Status;

/// How a bare server syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sync {
    /// Not at all.
    None,
    /// On a thread of its own, which takes what has gathered while it synced.
    Thread,
    /// On a thread of the runtime, which meanwhile does nothing else.
    Inline,
}

impl Sync {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Thread => "thread",
            Self::Inline => "inline",
        }
    }
}

/// Who waits for a sync.
type Waiter = oneshot::Sender<()>;

/// A file that calls append to.
pub(super) enum Journal {
    /// The thread takes them from a channel.
    Thread(mpsc::Sender<Waiter>),
    /// A task of the runtime takes them from a list.
    Inline(Mutex<Vec<Waiter>>, Notify),
}

impl Journal {
    /// Opens `path` for lines of `record_bytes`, and starts who syncs it.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub(super) fn open(path: &Path, record_bytes: usize, sync: Sync) -> anyhow::Result<Arc<Self>> {
        let mut log = Appended::open(path, record_bytes)?;
        match sync {
            Sync::None | Sync::Inline => {
                let journal = Arc::new(Self::Inline(Mutex::default(), Notify::new()));
                let own = Arc::clone(&journal);
                tokio::spawn(async move { own.commit(&mut log).await });
                Ok(journal)
            }
            Sync::Thread => {
                let (sender, waiting) = mpsc::channel::<Waiter>();
                thread::Builder::new().spawn(move || {
                    while let Ok(first) = waiting.recv() {
                        let group: Vec<Waiter> =
                            std::iter::once(first).chain(waiting.try_iter()).collect();
                        log.commit(group);
                    }
                })?;
                Ok(Arc::new(Self::Thread(sender)))
            }
        }
    }

    /// Appends a line; returns when it is synced.
    ///
    /// # Errors
    ///
    /// When it could not be.
    pub(super) async fn append(&self) -> Result<(), Status> {
        let (waiter, synced) = oneshot::channel();
        match self {
            Self::Thread(sender) => drop(sender.send(waiter)),
            Self::Inline(waiting, notify) => {
                waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(waiter);
                notify.notify_one();
            }
        }
        synced.await.map_err(|_| Status::unavailable("not synced"))
    }

    async fn commit(&self, log: &mut Appended) {
        let Self::Inline(waiting, notify) = self else {
            return;
        };
        loop {
            notify.notified().await;
            // Calls that are ready too join the group.
            yield_now().await;
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let group = std::mem::take(&mut *waiting);
            drop(waiting);
            log.commit(group);
        }
    }
}

/// The file and what is written to it.
pub(crate) struct Appended {
    file: File,
    record: Vec<u8>,
    lines: Vec<u8>,
}

impl Appended {
    /// A new file for lines of so many bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) fn open(path: &Path, record_bytes: usize) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let mut record = vec![b'r'; record_bytes.saturating_sub(1)];
        record.push(b'\n');
        Ok(Self {
            file: file.context("the journal cannot be made")?,
            record,
            lines: Vec::new(),
        })
    }

    /// Appends so many lines at once, and syncs them.
    ///
    /// # Errors
    ///
    /// When the disk fails.
    pub(crate) fn append(&mut self, lines: usize) -> io::Result<()> {
        self.lines.clear();
        for _ in 0..lines {
            self.lines.extend_from_slice(&self.record);
        }
        self.file.write_all(&self.lines)?;
        self.file.sync_data()
    }

    fn commit(&mut self, group: Vec<Waiter>) {
        if group.is_empty() || self.append(group.len()).is_err() {
            // Whoever waits is told by the end of its channel.
            return;
        }
        for waiter in group {
            // Its call may have been given up.
            let _ = waiter.send(());
        }
    }
}
