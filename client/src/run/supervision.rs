//! The wrapper's side of a running command: signals go to it, a revocation ends it, and its end is
//! told.
//!
//! Deliberately absent: any judgment. What a revocation is, the server says.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use admit_client::{Contact, Following, PairEvent, facts::ReadFile};
use tokio::{
    io::AsyncWriteExt as _,
    net::unix::OwnedWriteHalf,
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    control::{self, Incoming, News, Order},
    descendants::{self, Spared},
    entry::{self, Target},
    keeper::OWN_PROGRAM,
    output::{self, Listening, Told},
};
use crate::evidence::{folder::EndedBy, withholding::Withholding};

/// News and contacts that wait to be looked at; there are never more than a few.
const WAITING_MAX: usize = 16;

/// Longest time that an order may take to be given. A keeper that does not listen is killed later.
const ORDER_MAX: Duration = Duration::from_secs(1);
/// How much longer than the grace the keeper may take to end everything.
const KEEPER_MAX: Duration = Duration::from_secs(7);
/// How often it is looked whether the keeper has ended.
const KEEPER_LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// Longest time that the standard error is waited for once everything has ended.
const STDERR_MAX: Duration = Duration::from_secs(5);

/// What is started.
pub(super) struct Start<'a> {
    pub(super) command: &'a [OsString],
    pub(super) variables: &'a BTreeMap<OsString, OsString>,
    pub(super) files: &'a [ReadFile],
    /// The working directory, by its name.
    pub(super) directory: &'a Path,
    /// The time between TERM and KILL.
    pub(super) grace: Duration,
    /// Where the standard error is kept.
    pub(super) stderr: File,
    pub(super) withholding: Withholding,
}

/// What the loss of contact means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContactTerms {
    /// From when on contact counts as lost.
    pub(crate) lost_after: Duration,
    /// Whether the command is ended then.
    pub(crate) is_end: bool,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It ran, and ended with this exit code.
    Exited(i32),
    /// It ran, and was ended by this signal.
    Signaled(i32),
    /// It never ran: a file had changed.
    Changed,
    /// It never ran: the system's error.
    NotStarted(i32),
    /// Its keeper was killed, and it with it.
    Unknown,
}

/// What there is to say of a run.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) ended_by: EndedBy,
    /// The longest time without contact, if it counted as lost.
    pub(super) lost_contact: Option<Duration>,
    pub(super) told: Told,
    /// Whether something that it started could not be killed.
    pub(crate) has_survivors: bool,
}

/// The signals that are passed on, with whether they usually end a process.
pub(super) struct Signals(Vec<(i32, bool, Signal)>);

impl Signals {
    /// From here on these signals do not end this process.
    pub(super) fn take() -> io::Result<Self> {
        let kinds = [
            (SignalKind::terminate(), true),
            (SignalKind::interrupt(), true),
            (SignalKind::hangup(), true),
            (SignalKind::quit(), true),
            (SignalKind::user_defined1(), false),
            (SignalKind::user_defined2(), false),
        ];
        kinds
            .into_iter()
            .map(|(kind, is_end)| Ok((kind.as_raw_value(), is_end, signal(kind)?)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The next signal, with whether it usually ends a process.
    pub(super) async fn next(&mut self) -> (i32, bool) {
        std::future::poll_fn(|context| {
            for (number, is_end, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready((*number, *is_end));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// A running command.
pub(super) struct Running {
    keeper: Child,
    orders: OwnedWriteHalf,
    news: mpsc::Receiver<News>,
    stderr: Listening,
    spared: Spared,
    grace: Duration,
    /// What the keeper said of the command so far.
    heard: Heard,
}

/// What the keeper, and the last step, said so far.
#[derive(Debug, Default)]
struct Heard {
    /// The last step was about to become the command.
    has_entered: bool,
    has_survivors: bool,
}

impl Running {
    /// Starts the keeper, which starts the command.
    pub(super) fn start(start: Start<'_>) -> io::Result<Self> {
        let spared = descendants::adopt()?;
        let (control, keepers) = control::pair()?;
        let mut command = Command::new(OWN_PROGRAM);
        command
            .arg("keep")
            .arg(format!("--grace-ms={}", start.grace.as_millis()));
        let target = Target {
            directory: start.directory.to_owned(),
            files: start.files.iter().map(entry::stated).collect(),
            command: start.command.to_vec(),
        };
        target.hand_on(&mut command);
        let mut keeper = command
            .env_clear()
            .envs(start.variables)
            .stdin(keepers)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let stderr = keeper.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let stderr = output::follow(OwnedFd::from(stderr), start.stderr, start.withholding)?;
        let (incoming, orders) = control.into_split();
        let (sender, news) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut incoming = Incoming::new(incoming);
            while let Some(news) = incoming.next().await {
                if sender.send(news).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            keeper,
            orders,
            news,
            stderr,
            spared,
            grace: start.grace,
            heard: Heard::default(),
        })
    }

    /// Attends to the command until it and everything that it started has ended.
    pub(super) async fn attend(
        mut self,
        mut signals: Signals,
        mut following: Option<Following>,
        terms: ContactTerms,
    ) -> Finished {
        let mut ended_by = EndedBy::Itself;
        let mut contact = ContactClock::default();
        let mut give_up_at: Option<Instant> = None;
        let end = loop {
            let lost_at = contact.lost_at(terms.lost_after);
            // INVARIANT: whatever ends the command first is what ended it.
            let cause = tokio::select! {
                news = self.news.recv() => match self.end_of(news) {
                    Some(end) => break end,
                    None => continue,
                },
                (number, is_end) = signals.next() => {
                    if is_end && ended_by == EndedBy::Itself {
                        ended_by = EndedBy::Signal;
                    }
                    self.order(Order::Signal(number)).await;
                    continue;
                }
                event = heard(&mut following) => match event {
                    PairEvent::Revoked(_) => EndedBy::Revocation,
                    PairEvent::Admitted | PairEvent::Contact(Contact::Restored) => {
                        contact.is_back();
                        continue;
                    }
                    PairEvent::Contact(Contact::Lost { .. }) => {
                        contact.is_lost();
                        continue;
                    }
                },
                () = at(lost_at) => {
                    contact.counts_as_lost();
                    if !terms.is_end {
                        continue;
                    }
                    EndedBy::LostContact
                }
                // A keeper that does not do its work is killed, and the command dies with it.
                () = at(give_up_at) => {
                    let _ = self.keeper.kill();
                    break End::Unknown;
                }
            };
            if give_up_at.is_none() {
                ended_by = cause;
                self.order(Order::End).await;
                give_up_at = Instant::now().checked_add(self.grace.saturating_add(KEEPER_MAX));
            }
        };
        let lost_contact = contact.longest_lost(terms.lost_after);
        let (told, has_survivors) = self.close();
        Finished {
            end,
            ended_by,
            lost_contact,
            told,
            has_survivors,
        }
    }

    /// The end of the command, if that is the news.
    fn end_of(&mut self, news: Option<News>) -> Option<End> {
        let has_run = self.heard.has_entered;
        match news {
            Some(News::Enters) => {
                self.heard.has_entered = true;
                None
            }
            Some(News::Survived) => {
                self.heard.has_survivors = true;
                None
            }
            Some(News::Changed) => Some(End::Changed),
            Some(News::NotStarted(error)) => Some(End::NotStarted(error)),
            // The last step ended by itself, and never became the command.
            Some(News::Exited(_) | News::Signaled(_)) | None if !has_run => {
                Some(End::NotStarted(0))
            }
            Some(News::Exited(code)) => Some(End::Exited(code)),
            Some(News::Signaled(number)) => Some(End::Signaled(number)),
            None => Some(End::Unknown),
        }
    }

    /// Orders the keeper. One that is gone is noticed by the end of its news.
    async fn order(&mut self, order: Order) {
        if let Ok(line) = control::line(&order) {
            let _ = timeout(ORDER_MAX, self.orders.write_all(&line)).await;
        }
    }

    /// Waits for the end of the keeper, kills what is left, and gathers what was told; with whether
    /// something could not be killed.
    fn close(mut self) -> (Told, bool) {
        // The end of the stream tells the keeper to end as well.
        drop(self.orders);
        let patience = std::time::Instant::now();
        while matches!(self.keeper.try_wait(), Ok(None)) && patience.elapsed() < KEEPER_MAX {
            std::thread::sleep(KEEPER_LOOK_INTERVAL);
        }
        // One that has ended is not killed twice; one that has not is, even if it was stopped.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
        let is_over = descendants::end_all(&self.spared) && !self.heard.has_survivors;
        let told = self.stderr.end(STDERR_MAX).unwrap_or(Told {
            withheld_lines: 0,
            is_whole: false,
            kept: None,
        });
        (told, !is_over)
    }
}

/// Ends at `time`; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The next event of the pair. Without one nothing is ever heard.
async fn heard(following: &mut Option<Following>) -> PairEvent {
    match following {
        Some(following) => following.next().await,
        None => std::future::pending().await,
    }
}

/// For how long there has been no contact.
#[derive(Debug, Default)]
struct ContactClock {
    since: Option<Instant>,
    is_counted: bool,
    longest: Duration,
}

impl ContactClock {
    fn is_lost(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_back(&mut self) {
        self.longest = self.longest_now();
        self.since = None;
        self.is_counted = false;
    }

    fn counts_as_lost(&mut self) {
        self.is_counted = true;
    }

    /// When the present loss will count.
    fn lost_at(&self, after: Duration) -> Option<Instant> {
        self.since
            .filter(|_| !self.is_counted)
            .and_then(|since| since.checked_add(after))
    }

    fn longest_now(&self) -> Duration {
        let now = self.since.map(|since| since.elapsed()).unwrap_or_default();
        self.longest.max(now)
    }

    /// The longest loss, if it counted.
    fn longest_lost(&self, after: Duration) -> Option<Duration> {
        let longest = self.longest_now();
        (longest >= after).then_some(longest)
    }
}
