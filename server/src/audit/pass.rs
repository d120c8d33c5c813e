//! A pass over segments: big blocks of lines are read in order, taken apart by as many threads as
//! there are cores, and shown in order again.
//!
//! What a line says by itself (its hash, its entry, what follows from the entry) needs no other line, and
//! is nearly all of the work. Memory is bounded by the blocks on their way. A segment of one block, as a
//! young log has it, is taken apart where it is read, and no thread is started for it. Deliberately
//! absent: what lines say together; see [`super::verify`].

use std::{
    collections::VecDeque,
    io::{self, BufRead as _},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, Scope},
};

use super::{
    chain::{LINE_BYTES_MAX, LinkFault, Links},
    record::Entry,
    segment::{Block, Blocks, SegmentFile},
};

/// Blocks on their way for each thread: one in work, and one that waits.
const BLOCKS_PER_THREAD: usize = 2;

/// A line by itself.
#[derive(Debug)]
pub(super) enum Content<T> {
    /// It is one, with what was derived from it.
    Whole(Links, Entry, T),
    /// It is none.
    Faulty(LinkFault),
    /// No line feed ends it, or it is longer than a line can be and cut off behind that. It is the last
    /// one that is shown of its segment.
    Unended(Vec<u8>),
}

/// A line of a pass.
#[derive(Debug)]
pub(super) struct Passed<T> {
    /// The offset of its first byte in the segment.
    pub(super) offset: u64,
    /// The offset behind it and its line feed.
    pub(super) end: u64,
    pub(super) content: Content<T>,
}

/// A block on its way, where its lines go, and lines that were shown: what a thread has made is cheaper
/// to free there than on the one that shows.
type Job<T> = (Block, SyncSender<Apart<T>>, Vec<Passed<T>>);
/// The lines of a block, and the memory that it had.
type Apart<T> = (Vec<Passed<T>>, Vec<u8>);

/// Makes passes over segments in `work`; `derive` is called for every entry, in no order, on any thread.
pub(super) fn pass<T: Send, R>(
    derive: impl Fn(&Entry) -> T + Sync,
    work: impl for<'scope> FnOnce(&mut Pass<'scope, '_, T>) -> R,
) -> R {
    thread::scope(|scope| {
        work(&mut Pass {
            scope,
            derive: &derive,
            jobs: None,
            spare: Vec::new(),
            shown: Vec::new(),
        })
    })
}

/// Passes over segments, one after the other.
pub(super) struct Pass<'scope, 'env, T> {
    scope: &'scope Scope<'scope, 'env>,
    derive: &'scope (dyn Fn(&Entry) -> T + Sync),
    /// The way to the threads, once there are any, and how many they are.
    jobs: Option<(SyncSender<Job<T>>, usize)>,
    /// Memory of blocks that are done.
    spare: Vec<Vec<u8>>,
    /// The lines that were shown last.
    shown: Vec<Passed<T>>,
}

impl<'scope, T: Send + 'scope> Pass<'scope, '_, T> {
    /// Shows every line of `segment` in order, until `visit` fails or a line is not ended.
    pub(super) fn segment<E: From<io::Error>>(
        &mut self,
        segment: &SegmentFile,
        mut visit: impl FnMut(&Passed<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut blocks = Blocks::open(&segment.path)?;
        let mut on_way: VecDeque<Receiver<Apart<T>>> = VecDeque::new();
        let mut is_over = false;
        while !is_over || !on_way.is_empty() {
            if !is_over {
                let next = blocks.next_block(self.spare.pop().unwrap_or_default())?;
                is_over = next.as_ref().is_none_or(|block| block.is_last);
                match next {
                    // Nothing else is to be done meanwhile.
                    Some(block) if is_over && on_way.is_empty() => {
                        self.show(apart(block, self.derive), &mut visit)?;
                    }
                    Some(block) => on_way.push_back(self.send(block)?),
                    None => {}
                }
            }
            if (is_over || on_way.len() >= self.on_way_max())
                && let Some(first) = on_way.pop_front()
            {
                let apart = first.recv().map_err(io::Error::other)?;
                self.show(apart, &mut visit)?;
            }
        }
        Ok(())
    }

    fn show<E>(
        &mut self,
        (lines, memory): Apart<T>,
        visit: &mut impl FnMut(&Passed<T>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.spare.push(memory);
        let visited = lines.iter().try_for_each(visit);
        self.shown = lines;
        visited
    }

    fn on_way_max(&self) -> usize {
        let threads = self.jobs.as_ref().map_or(0, |(_, threads)| *threads);
        threads.saturating_mul(BLOCKS_PER_THREAD)
    }

    /// Has a block taken apart by a thread; where its lines come from.
    fn send(&mut self, block: Block) -> io::Result<Receiver<Apart<T>>> {
        if self.jobs.is_none() {
            self.jobs = Some(self.start()?);
        }
        let (to, from) = sync_channel(1);
        if let Some((jobs, _)) = &self.jobs {
            let shown = std::mem::take(&mut self.shown);
            jobs.send((block, to, shown))
                .map_err(|_| io::Error::other("a thread has ended"))?;
        }
        Ok(from)
    }

    fn start(&self) -> io::Result<(SyncSender<Job<T>>, usize)> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let (jobs, queue) = sync_channel::<Job<T>>(threads.saturating_mul(BLOCKS_PER_THREAD));
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let (queue, derive) = (Arc::clone(&queue), self.derive);
            thread::Builder::new()
                .name("audit-pass".into())
                .spawn_scoped(self.scope, move || {
                    while let Some((block, to, shown)) = next_job(&queue) {
                        drop(shown);
                        // Who has seen enough takes no more lines.
                        let _ = to.send(apart(block, derive));
                    }
                })?;
        }
        Ok((jobs, threads))
    }
}

fn next_job<T>(queue: &Mutex<Receiver<Job<T>>>) -> Option<Job<T>> {
    let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.recv().ok()
}

/// Takes a block apart.
fn apart<T>(block: Block, derive: &dyn Fn(&Entry) -> T) -> Apart<T> {
    let mut lines = Vec::new();
    let mut rest = block.bytes.as_slice();
    let mut offset = block.offset;
    while !rest.is_empty() {
        let from = rest;
        // Reading from memory does not fail.
        let length = rest.skip_until(b'\n').unwrap_or_default();
        let bytes = from.get(..length).unwrap_or_default();
        let end = offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let content = match bytes.strip_suffix(b"\n") {
            Some(line) if line.len() <= LINE_BYTES_MAX => match Entry::read(line) {
                Ok((links, entry)) => {
                    let derived = derive(&entry);
                    Content::Whole(links, entry, derived)
                }
                Err(fault) => Content::Faulty(fault),
            },
            Some(_) | None => {
                let length = bytes.len().min(LINE_BYTES_MAX.saturating_add(1));
                Content::Unended(bytes.get(..length).unwrap_or_default().to_vec())
            }
        };
        let is_unended = matches!(content, Content::Unended(_));
        lines.push(Passed {
            offset,
            end,
            content,
        });
        if is_unended {
            break;
        }
        offset = end;
    }
    (lines, block.bytes)
}
