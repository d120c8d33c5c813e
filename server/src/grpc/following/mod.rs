//! What open watches follow, and the one task that tells them.
//!
//! How a pair stands is found once for all who follow it: after every change of the policy, at an interval
//! besides, and when somebody joins, who is told what holds at that moment. Watches are told in groups, and
//! everything else has its turn after each: a change that concerns thousands of watches does not stand
//! before the requests. Nobody is waited for: what is latest lies there until its reader takes it.
//! In reading order: [`news`], [`topics`]. Deliberately absent: the stream of a watch
//! ([`super::watch`]), and whatever ends it but the end of that task.

mod news;
mod topics;

use std::time::Duration;

use tokio::{task::yield_now, time::sleep};

use self::topics::{GROUP_MAX, Subject};
pub(super) use self::{
    news::{Latest, News},
    topics::{Followed, Topics},
};

/// How often topics are looked at without any change of the policy: pairs expire in silence.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Whoever tells watches. Without it every watch ends.
#[derive(Debug)]
pub(super) struct Teller {
    topics: Topics,
}

impl Teller {
    pub(super) fn new(topics: Topics) -> Self {
        Self { topics }
    }

    /// Tells every watch what has changed for it, until `stopped` or until the writer of the policy is gone.
    pub(super) async fn tell(self, stopped: impl Future<Output = ()>) {
        let telling = async {
            let mut store = self.topics.store().clone();
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
        while let Some(subject) = self.topics.look_after(former.as_ref()) {
            // The look takes its time as well.
            told = told.saturating_add(1);
            let mut group = 0;
            while let Some(watches) = self.topics.tell(&subject, group) {
                told = told.saturating_add(watches);
                group = group.saturating_add(1);
                if told >= GROUP_MAX {
                    told = 0;
                    yield_now().await;
                }
            }
            former = Some(subject);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.topics.end();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc, time::Instant};

    use tempfile::TempDir;

    use super::*;
    use crate::{
        operations::stage::{self, Kept},
        store::{FIRST_READING_MAX, Store},
        wire::request::FollowedPair,
    };

    /// Longest time that a test waits for what ought to come.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// The topics of a daemon whose policy can be changed.
    struct Scene {
        topics: Topics,
        store: Store,
        folder: TempDir,
        _kept: Kept,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (watched, kept) = stage::watching(folder.path().to_owned());
            let mut store = watched.store;
            store.first_reading(FIRST_READING_MAX).await;
            Self {
                topics: Topics::new(store.clone()),
                store,
                folder,
                _kept: kept,
            }
        }

        /// Another policy, and in it another reason against every pair.
        async fn change(&self) {
            let name = "CTO-CASE-PROVIDER-DECISION-RECORD.md";
            fs::write(self.folder.path().join(name), "no record\n").unwrap();
            let former = self.digest();
            while self.digest() == former {
                self.store.reread().await;
            }
        }

        fn digest(&self) -> String {
            let loaded = self.store.state().loaded.unwrap();
            loaded.snapshot.digest().to_string()
        }
    }

    fn subject(model: &str) -> Subject {
        Some(FollowedPair {
            provider: "p".into(),
            model: model.into(),
        })
    }

    /// The digests that both events name.
    fn digests(followed: &mut Followed) -> (String, Option<String>) {
        let Latest::News(news) = followed.latest() else {
            panic!("the clock of this host is of no use");
        };
        let pair = news.pair_since(None).map(|pair| pair.policy_digest.clone());
        (news.policy_since(None).unwrap().digest.clone(), pair)
    }

    #[tokio::test]
    async fn a_topic_is_there_from_its_first_watch_to_its_last() {
        let scene = Scene::new().await;
        let follow = |subject: Subject| scene.topics.join(subject);
        let mut followed = vec![follow(subject("a")), follow(subject("b")), follow(None)];
        assert_eq!(scene.topics.count(), 3);
        followed.extend((0..3 * GROUP_MAX).map(|_| follow(subject("a"))));
        assert_eq!(scene.topics.count(), 3);
        // Of three topics, each but the first has one watch.
        for (left, topics) in [(1, 2), (1, 1), (0, 1)] {
            drop(followed.remove(left));
            assert_eq!(scene.topics.count(), topics);
        }
        followed.clear();
        assert_eq!(scene.topics.count(), 0);
        let again = follow(subject("a"));
        assert_eq!(scene.topics.count(), 1);
        drop(again);
    }

    #[tokio::test]
    async fn whoever_joins_starts_with_what_holds_now() {
        let scene = Scene::new().await;
        let mut early = scene.topics.join(subject("a"));
        assert_eq!(digests(&mut early), (scene.digest(), Some(scene.digest())));
        // Nobody tells anybody here.
        scene.change().await;
        assert!(!early.has_changed());
        let mut late = scene.topics.join(subject("a"));
        assert_eq!(digests(&mut late), (scene.digest(), Some(scene.digest())));
        assert!(early.has_changed());
        assert_eq!(digests(&mut early), (scene.digest(), Some(scene.digest())));
        // It knows.
        Teller::new(scene.topics.clone()).tell_all().await;
        assert_eq!((early.has_changed(), late.has_changed()), (false, false));
    }

    #[tokio::test]
    async fn everybody_is_told_once_and_no_more_than_a_group_at_a_time() {
        let scene = Scene::new().await;
        let teller = Teller::new(scene.topics.clone());
        let mut followed = Vec::new();
        for at in 0..3 * GROUP_MAX {
            // Many of one pair, many of the policy alone, and one of each of many pairs.
            for subject in [subject("a"), None, subject(&format!("m-{at}"))] {
                followed.push(scene.topics.join(subject));
            }
        }
        // Each of them knows as much from its start.
        teller.tell_all().await;
        assert!(followed.iter().all(|followed| !followed.has_changed()));

        scene.change().await;
        let count = || followed.iter().filter(|one| one.has_changed()).count();
        let mut turns = Vec::new();
        let mut telling = std::pin::pin!(teller.tell_all());
        loop {
            let before = count();
            let is_over = tokio::select! {
                biased;
                () = &mut telling => true,
                () = std::future::ready(()) => false,
            };
            turns.push(count() - before);
            if is_over {
                break;
            }
            yield_now().await;
        }
        assert_eq!(count(), followed.len());
        // One that is not full may be told just before one that is.
        assert!(turns.iter().all(|told| *told < 2 * GROUP_MAX), "{turns:?}");

        for followed in &mut followed {
            let (policy, pair) = digests(followed);
            assert_eq!(policy, scene.digest());
            assert_eq!(pair.unwrap_or_else(|| policy.clone()), policy);
        }
        teller.tell_all().await;
        assert!(followed.iter().all(|followed| !followed.has_changed()));
    }

    #[tokio::test]
    async fn no_topic_keeps_a_former_policy_in_memory() {
        let scene = Scene::new().await;
        let _followed = scene.topics.join(subject("a"));
        let former = scene.store.state().loaded.as_ref().map(Arc::downgrade);
        let former = former.unwrap();
        scene.change().await;
        // The writer lets go of it when it has nothing else to do.
        let changed = Instant::now();
        while former.strong_count() > 0 && changed.elapsed() < PATIENCE {
            scene.store.reread().await;
        }
        assert_eq!(former.strong_count(), 0);
    }

    #[tokio::test]
    async fn without_whoever_tells_there_is_no_topic() {
        let scene = Scene::new().await;
        let teller = Teller::new(scene.topics.clone());
        let mut early = scene.topics.join(subject("a"));
        drop(teller);
        assert!(!early.changed().await);
        assert_eq!(scene.topics.count(), 0);
        let mut late = scene.topics.join(None);
        assert_eq!(digests(&mut late).0, scene.digest());
        assert!(!late.changed().await);
        drop((early, late));
        assert_eq!(scene.topics.count(), 0);
    }
}
