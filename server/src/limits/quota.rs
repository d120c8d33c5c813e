//! A number of places, and of those a part that one holder may have.
//!
//! Deliberately absent: any waiting. Over a limit there is no place, at once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// Places for holders that are told apart by `K`.
#[derive(Debug)]
pub struct Quota<K> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    taken: Mutex<Taken<K>>,
    max: usize,
    max_per_holder: usize,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    /// Whoever holds none is not here.
    by_holder: HashMap<K, usize>,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All of them are taken.
    All,
    /// This holder has as many as one may.
    OfHolder,
}

/// A place, held for as long as this lives.
#[derive(Debug)]
pub struct Place<K: Eq + Hash> {
    shared: Arc<Shared<K>>,
    holder: K,
}

impl<K> Clone for Quota<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K: Clone + Eq + Hash> Quota<K> {
    /// `max` places, of which one holder may have `max_per_holder`.
    #[must_use]
    pub fn new(max: usize, max_per_holder: usize) -> Self {
        let taken = Taken {
            all: 0,
            by_holder: HashMap::new(),
        };
        Self {
            shared: Arc::new(Shared {
                taken: Mutex::new(taken),
                max,
                max_per_holder,
            }),
        }
    }

    /// A place for `holder`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn take(&self, holder: K) -> Result<Place<K>, Full> {
        let shared = &self.shared;
        let mut taken = shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_holder.get(&holder).copied().unwrap_or(0);
        // The holder's own limit first: who is over both is told what it can change itself.
        if own >= shared.max_per_holder {
            return Err(Full::OfHolder);
        }
        if taken.all >= shared.max {
            return Err(Full::All);
        }
        taken.all = taken.all.saturating_add(1);
        taken
            .by_holder
            .insert(holder.clone(), own.saturating_add(1));
        Ok(Place {
            shared: Arc::clone(shared),
            holder,
        })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self
            .shared
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        let left = taken.by_holder.get_mut(&self.holder).map(|own| {
            *own = own.saturating_sub(1);
            *own
        });
        if left == Some(0) {
            taken.by_holder.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_had_up_to_each_limit_and_comes_free_again() {
        let quota = Quota::new(3, 2);
        let first = quota.take("a").unwrap();
        let _second = quota.take("a").unwrap();
        assert_eq!(quota.take("a").unwrap_err(), Full::OfHolder);
        let third = quota.take("b").unwrap();
        assert_eq!(quota.take("c").unwrap_err(), Full::All);
        drop(third);
        drop(first);
        assert!(quota.take("a").is_ok());
        assert!(quota.take("c").is_ok());
    }

    #[test]
    fn whoever_holds_nothing_is_not_remembered() {
        let quota = Quota::new(2, 2);
        drop(quota.take("a").unwrap());
        assert!(quota.shared.taken.lock().unwrap().by_holder.is_empty());
    }
}
