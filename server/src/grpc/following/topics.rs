//! The topics: for each pair that is followed, and for the policy alone, how it stands and who follows it.
//!
//! A topic is there from its first watch to its last, so there are never more of them than watches, which
//! have their limit. Deliberately absent: when a topic is looked at, and in which order its watches are
//! told.

use std::{
    collections::BTreeMap,
    ops::Bound,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use admit_proto::v1::PolicyChanged;
use tokio::sync::watch as channel;

use super::news::{Latest, News};
use crate::{
    clock,
    store::{Loaded, State, Store},
    wire::{
        policy::{pair_changed, policy_changed},
        request::FollowedPair,
    },
};

/// Most watches that are told in one go.
pub(super) const GROUP_MAX: usize = 32;

/// What a topic is about: nothing beyond the policy, or a pair.
pub(super) type Subject = Option<FollowedPair>;

/// Every topic. A clone is the same.
#[derive(Clone, Debug)]
pub(in crate::grpc) struct Topics {
    store: Store,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// Whether nobody is told anything any more.
    has_ended: bool,
    /// The snapshot that was last told of, which is not kept for that, and the event that tells of it; the
    /// inner `None` stands for "none has been read".
    policy: Option<(Option<Weak<Loaded>>, Arc<PolicyChanged>)>,
    topics: BTreeMap<Subject, Topic>,
}

#[derive(Debug)]
struct Topic {
    /// No group has been told anything later.
    latest: Latest,
    /// Each of at most [`GROUP_MAX`] watches; one that some have left is filled again.
    groups: Vec<channel::Sender<Latest>>,
    watches: usize,
}

/// The part of one watch in a topic, for as long as it lives.
#[derive(Debug)]
pub(in crate::grpc) struct Followed {
    table: Arc<Mutex<Table>>,
    subject: Subject,
    group: channel::Receiver<Latest>,
}

impl Topics {
    /// No topic yet.
    pub(in crate::grpc) fn new(store: Store) -> Self {
        Self {
            store,
            table: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Joins the topic of `subject`. What holds now is there to be told at once.
    pub(in crate::grpc) fn join(&self, subject: Subject) -> Followed {
        let mut table = lock(&self.table);
        let latest = table.look(&self.store, subject.as_ref());
        let group = if table.has_ended {
            channel::channel(latest).1
        } else {
            let topic = table.topics.entry(subject.clone());
            topic.or_insert_with(|| Topic::new(&latest)).join(latest)
        };
        drop(table);
        Followed {
            table: Arc::clone(&self.table),
            subject,
            group,
        }
    }

    /// Looks at the topic that comes after the one of `former`, if there is one; what it is about.
    pub(super) fn look_after(&self, former: Option<&Subject>) -> Option<Subject> {
        let mut table = lock(&self.table);
        let after = former.map_or(Bound::Unbounded, Bound::Excluded);
        let (subject, _) = table.topics.range((after, Bound::Unbounded)).next()?;
        let subject = subject.clone();
        let latest = table.look(&self.store, subject.as_ref());
        table.topics.get_mut(&subject)?.update(latest);
        Some(subject)
    }

    /// Tells this group of the topic what is latest; how many watches were told, or `None` when there is no
    /// such group.
    pub(super) fn tell(&self, subject: &Subject, group: usize) -> Option<usize> {
        lock(&self.table).topics.get(subject)?.tell(group)
    }

    /// Ends every topic: nobody is told anything any more.
    pub(super) fn end(&self) {
        let mut table = lock(&self.table);
        table.has_ended = true;
        table.topics.clear();
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.table).topics.len()
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    /// How things stand for whoever follows `subject`. Nobody else has the table meanwhile, so of two looks
    /// the later one sees a state that is not older.
    fn look(&mut self, store: &Store, subject: Option<&FollowedPair>) -> Latest {
        let state = store.state();
        let policy = self.policy(&state);
        let Some(pair) = subject else {
            return Latest::News(Arc::new(News { policy, pair: None }));
        };
        let Some(now) = clock::now() else {
            return Latest::ClockUnusable;
        };
        let standing = state.standing(store.terms());
        let found = pair_changed(&standing, &pair.provider, &pair.model, now);
        let pair = Some(found);
        Latest::News(Arc::new(News { policy, pair }))
    }

    /// The event that tells of the policy in force.
    fn policy(&mut self, state: &State) -> Arc<PolicyChanged> {
        let known = self
            .policy
            .as_ref()
            .filter(|(known, _)| match (known, &state.loaded) {
                (None, None) => true,
                (Some(known), Some(loaded)) => ptr::eq(known.as_ptr(), Arc::as_ptr(loaded)),
                (None, Some(_)) | (Some(_), None) => false,
            });
        if let Some((_, event)) = known {
            return Arc::clone(event);
        }
        let event = Arc::new(policy_changed(state));
        let loaded = state.loaded.as_ref().map(Arc::downgrade);
        self.policy = Some((loaded, Arc::clone(&event)));
        event
    }
}

impl Topic {
    fn new(latest: &Latest) -> Self {
        Self {
            latest: latest.clone(),
            groups: Vec::new(),
            watches: 0,
        }
    }

    /// A place in the first group that has one.
    fn join(&mut self, latest: Latest) -> channel::Receiver<Latest> {
        self.watches = self.watches.saturating_add(1);
        self.update(latest);
        let with_room = self
            .groups
            .iter()
            .position(|group| group.receiver_count() < GROUP_MAX);
        let number = with_room.unwrap_or(self.groups.len());
        // Whoever joins a group starts with what that was told.
        self.tell(number);
        match self.groups.get(number) {
            Some(group) => group.subscribe(),
            None => {
                let (group, joined) = channel::channel(self.latest.clone());
                self.groups.push(group);
                joined
            }
        }
    }

    fn update(&mut self, latest: Latest) {
        if !latest.is_known_by(&self.latest) {
            self.latest = latest;
        }
    }

    /// Tells the group with this number, unless it knows; how many watches were told.
    fn tell(&self, number: usize) -> Option<usize> {
        let group = self.groups.get(number)?;
        if self.latest.is_known_by(&group.borrow()) {
            return Some(0);
        }
        group.send_replace(self.latest.clone());
        Some(group.receiver_count())
    }
}

impl Followed {
    /// How things stand, which counts as told.
    pub(in crate::grpc) fn latest(&mut self) -> Latest {
        self.group.borrow_and_update().clone()
    }

    /// Waits until things stand otherwise; `false` once nobody is told anything any more.
    pub(in crate::grpc) async fn changed(&mut self) -> bool {
        self.group.changed().await.is_ok()
    }

    #[cfg(test)]
    pub(super) fn has_changed(&self) -> bool {
        self.group.has_changed().unwrap_or(false)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        if let Some(topic) = table.topics.get_mut(&self.subject) {
            topic.watches = topic.watches.saturating_sub(1);
            if topic.watches == 0 {
                table.topics.remove(&self.subject);
            }
        }
    }
}
