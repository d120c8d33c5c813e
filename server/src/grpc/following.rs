//! What open watches follow: a topic for each pair that is followed, and one for the policy alone.
//!
//! A topic is there from its first watch to its last, so there are never more of them than watches, which
//! have their limit. How a pair stands is found once for all of its watches: by one task, after every change
//! of the policy and at an interval besides, and by whoever joins, who is told what holds at that moment.
//! That task tells watches in groups, and lets everything else have its turn after each, so a change that
//! concerns thousands of watches does not stand before the requests. It waits for no watch: what is latest
//! lies there until its reader takes it. Deliberately absent: the stream of a watch ([`super::policy`]), and
//! everything that ends it but the end of that task.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use admit_proto::v1::{PairChanged, PolicyChanged};
use tokio::{sync::watch as channel, task::yield_now, time::sleep};

use crate::{
    clock,
    store::{Loaded, State, Store},
    wire::{
        policy::{pair_changed, policy_changed},
        request::FollowedPair,
    },
};

/// Watches that are told in one go, before everything else has its turn.
const GROUP_MAX: usize = 32;
/// How often followed pairs are looked at without any change of the policy: they expire in silence.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What a watch can be told at one moment: policy and pair, from one state.
#[derive(Debug)]
pub(super) struct News {
    /// The same allocation for as long as the same snapshot is in force.
    pub(super) policy: Arc<PolicyChanged>,
    /// The followed pair.
    pub(super) pair: Option<PairChanged>,
}

impl News {
    /// The policy, if it is another one than was `told`.
    pub(super) fn policy_since(&self, told: Option<&Self>) -> Option<&PolicyChanged> {
        let is_told = told.is_some_and(|told| Arc::ptr_eq(&told.policy, &self.policy));
        (!is_told).then_some(&*self.policy)
    }

    /// The pair, if it stands otherwise than was `told`.
    pub(super) fn pair_since(&self, told: Option<&Self>) -> Option<&PairChanged> {
        let pair = self.pair.as_ref()?;
        let is_told = told
            .and_then(|told| told.pair.as_ref())
            .is_some_and(|told| told.state == pair.state && told.reasons == pair.reasons);
        (!is_told).then_some(pair)
    }
}

/// How things stand for the watches of one topic.
#[derive(Clone, Debug)]
pub(super) enum Latest {
    /// There is this to tell.
    News(Arc<News>),
    /// Nothing can be said about the pair, and silence would say that it is still admitted.
    ClockUnusable,
}

impl Latest {
    /// Whether this leaves nothing to tell to whoever was told `other`.
    fn is_told_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::News(news), Self::News(told)) => {
                news.policy_since(Some(told)).is_none() && news.pair_since(Some(told)).is_none()
            }
            (Self::ClockUnusable, Self::ClockUnusable) => true,
            (Self::News(_), Self::ClockUnusable) | (Self::ClockUnusable, Self::News(_)) => false,
        }
    }
}

/// What is followed: nothing beyond the policy, or a pair.
type Subject = Option<FollowedPair>;

/// Every topic. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Following {
    store: Store,
    topics: Arc<Mutex<Topics>>,
}

#[derive(Debug, Default)]
struct Topics {
    /// Whether nobody tells anything any more.
    has_ended: bool,
    /// The snapshot that was last told of, and the event that tells of it; the inner `None` stands for
    /// "none has been read".
    policy: Option<(Option<Arc<Loaded>>, Arc<PolicyChanged>)>,
    by_subject: BTreeMap<Subject, Topic>,
}

#[derive(Debug)]
struct Topic {
    /// No group was told anything later.
    latest: Latest,
    /// Each of at most [`GROUP_MAX`] watches; one that all have left is filled again.
    groups: Vec<channel::Sender<Latest>>,
    watches: usize,
}

/// One watch's part in a topic, for as long as it lives.
#[derive(Debug)]
pub(super) struct Followed {
    topics: Arc<Mutex<Topics>>,
    subject: Subject,
    group: channel::Receiver<Latest>,
}

/// The task that tells watches. Without it every watch ends.
#[derive(Debug)]
pub(super) struct Teller {
    following: Following,
}

impl Following {
    /// No topic yet, and who is to tell of them.
    pub(super) fn new(store: Store) -> (Self, Teller) {
        let following = Self {
            store,
            topics: Arc::default(),
        };
        let teller = Teller {
            following: following.clone(),
        };
        (following, teller)
    }

    /// Joins the topic of `subject`. What there is to tell now is there at once.
    pub(super) fn join(&self, subject: Subject) -> Followed {
        let mut topics = lock(&self.topics);
        let latest = topics.look(&self.store, subject.as_ref());
        let group = if topics.has_ended {
            channel::channel(latest).1
        } else {
            let topic = topics.by_subject.entry(subject.clone());
            topic.or_insert_with(|| Topic::new(&latest)).join(latest)
        };
        drop(topics);
        Followed {
            topics: Arc::clone(&self.topics),
            subject,
            group,
        }
    }
}

impl Topics {
    /// How things stand for whoever follows `subject`. Of two looks the later one is at a state that is not
    /// older: it is taken while nobody else has the topics.
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
        Latest::News(Arc::new(News {
            policy,
            pair: Some(found),
        }))
    }

    /// The event that tells of the policy in force.
    fn policy(&mut self, state: &State) -> Arc<PolicyChanged> {
        let known = self
            .policy
            .as_ref()
            .filter(|(known, _)| match (known, &state.loaded) {
                (None, None) => true,
                (Some(known), Some(loaded)) => Arc::ptr_eq(known, loaded),
                (None, Some(_)) | (Some(_), None) => false,
            });
        if let Some((_, event)) = known {
            return Arc::clone(event);
        }
        let event = Arc::new(policy_changed(state));
        self.policy = Some((state.loaded.clone(), Arc::clone(&event)));
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

    /// A place in the first group that has one, which is told `latest` before.
    fn join(&mut self, latest: Latest) -> channel::Receiver<Latest> {
        self.watches = self.watches.saturating_add(1);
        self.update(latest);
        let with_room = self
            .groups
            .iter()
            .position(|group| group.receiver_count() < GROUP_MAX);
        let number = with_room.unwrap_or(self.groups.len());
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
        if !latest.is_told_by(&self.latest) {
            self.latest = latest;
        }
    }

    /// Tells the group with this number what is latest, unless it knows; how many watches were told, or
    /// `None` when there is no such group.
    fn tell(&self, number: usize) -> Option<usize> {
        let group = self.groups.get(number)?;
        if self.latest.is_told_by(&group.borrow()) {
            return Some(0);
        }
        group.send_replace(self.latest.clone());
        Some(group.receiver_count())
    }
}

impl Followed {
    /// How things stand.
    pub(super) fn latest(&mut self) -> Latest {
        self.group.borrow_and_update().clone()
    }

    /// Waits until things stand otherwise; `false` once nobody tells anything any more.
    pub(super) async fn changed(&mut self) -> bool {
        self.group.changed().await.is_ok()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let mut topics = lock(&self.topics);
        if let Some(topic) = topics.by_subject.get_mut(&self.subject) {
            topic.watches = topic.watches.saturating_sub(1);
            if topic.watches == 0 {
                topics.by_subject.remove(&self.subject);
            }
        }
    }
}

impl Teller {
    /// Tells every watch what has changed for it, until `stopped` or until the writer of the policy is gone.
    pub(super) async fn tell(self, stopped: impl Future<Output = ()>) {
        let telling = async {
            let mut store = self.following.store.clone();
            loop {
                self.tell_all().await;
                tokio::select! {
                    changed = store.changed() => if !changed { return },
                    () = sleep(LOOK_INTERVAL) => {}
                }
            }
        };
        tokio::select! {
            () = telling => {}
            () = stopped => {}
        }
    }

    /// Looks at every topic once, and tells its groups one after the other.
    async fn tell_all(&self) {
        let mut told = 0_usize;
        let mut former: Option<Subject> = None;
        while let Some(subject) = self.look_after(former.as_ref()) {
            // The look took its time as well.
            told = told.saturating_add(1);
            let mut number = 0;
            while let Some(watches) = self.tell_group(&subject, number) {
                told = told.saturating_add(watches);
                number = number.saturating_add(1);
                if told >= GROUP_MAX {
                    told = 0;
                    yield_now().await;
                }
            }
            former = Some(subject);
        }
    }

    /// Looks at the topic that comes after `former`, if there is one; which it is.
    fn look_after(&self, former: Option<&Subject>) -> Option<Subject> {
        let mut topics = lock(&self.following.topics);
        let after = former.map_or(Bound::Unbounded, Bound::Excluded);
        let (subject, _) = topics.by_subject.range((after, Bound::Unbounded)).next()?;
        let subject = subject.clone();
        let latest = topics.look(&self.following.store, subject.as_ref());
        topics.by_subject.get_mut(&subject)?.update(latest);
        Some(subject)
    }

    /// Tells this group of the topic; how many watches were told, or `None` when there is no such group.
    fn tell_group(&self, subject: &Subject, number: usize) -> Option<usize> {
        let topics = lock(&self.following.topics);
        topics.by_subject.get(subject)?.tell(number)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let mut topics = lock(&self.following.topics);
        topics.has_ended = true;
        topics.by_subject.clear();
    }
}

fn lock(topics: &Mutex<Topics>) -> MutexGuard<'_, Topics> {
    topics.lock().unwrap_or_else(PoisonError::into_inner)
}
