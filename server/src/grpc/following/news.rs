//! What there is to tell at one moment, and what of it somebody knows already.
//!
//! Deliberately absent: whom it is told.

use std::sync::Arc;

use admit_proto::v1::{PairChanged, PolicyChanged};

/// What a watch can be told: policy and pair, from one state.
#[derive(Debug)]
pub(in crate::grpc) struct News {
    /// The same allocation for as long as the same snapshot is in force.
    pub(super) policy: Arc<PolicyChanged>,
    /// The pair, if one is followed.
    pub(super) pair: Option<PairChanged>,
}

impl News {
    /// The policy, if it is another one than was `told`.
    pub(in crate::grpc) fn policy_since(&self, told: Option<&Self>) -> Option<&PolicyChanged> {
        let is_told = told.is_some_and(|told| Arc::ptr_eq(&told.policy, &self.policy));
        (!is_told).then_some(&*self.policy)
    }

    /// The pair, if it stands otherwise than was `told`.
    pub(in crate::grpc) fn pair_since(&self, told: Option<&Self>) -> Option<&PairChanged> {
        let pair = self.pair.as_ref()?;
        let is_told = told
            .and_then(|told| told.pair.as_ref())
            .is_some_and(|told| told.state == pair.state && told.reasons == pair.reasons);
        (!is_told).then_some(pair)
    }
}

/// How things stand for whoever follows the same.
#[derive(Clone, Debug)]
pub(in crate::grpc) enum Latest {
    /// There is this to tell.
    News(Arc<News>),
    /// Nothing can be said about the pair, and silence would say that it is still admitted.
    ClockUnusable,
}

impl Latest {
    /// Whether this leaves nothing to tell to whoever knows `told`.
    pub(super) fn is_known_by(&self, told: &Self) -> bool {
        match (self, told) {
            (Self::News(news), Self::News(told)) => {
                news.policy_since(Some(told)).is_none() && news.pair_since(Some(told)).is_none()
            }
            (Self::ClockUnusable, Self::ClockUnusable) => true,
            (Self::News(_), Self::ClockUnusable) | (Self::ClockUnusable, Self::News(_)) => false,
        }
    }
}
