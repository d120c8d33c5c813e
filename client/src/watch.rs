//! The changes of the policy, as they come.

use admit_proto::v1::{PairChanged, PairState, WatchPolicyResponse, watch_policy_response::Event};
use tonic::Streaming;

use crate::{
    answer::{digest, verified_reasons},
    failure::AskError,
    route::unpanicked,
};

/// An open stream of changes, from one server.
#[derive(Debug)]
pub struct Watch {
    /// `None` once it failed: nothing that comes after a failure counts.
    stream: Option<Streaming<WatchPolicyResponse>>,
}

impl Watch {
    pub(crate) fn new(stream: Streaming<WatchPolicyResponse>) -> Self {
        Self {
            stream: Some(stream),
        }
    }

    /// The next event; `None` when the server ended the stream, and after an error. There is no
    /// deadline: a policy may stay as it is for months. A connection that is dead is noticed within
    /// 15 s. Nothing is lost when the future is dropped before it is done.
    ///
    /// A pair whose state is not known is [`PairState::Revoked`]; an event that is not known is
    /// passed over.
    ///
    /// # Errors
    ///
    /// When the stream fails, or an event is malformed. Whoever followed a pair takes it for
    /// revoked then.
    pub async fn next(&mut self) -> Result<Option<Event>, AskError> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        let event = event(stream).await;
        if event.is_err() {
            self.stream = None;
        }
        event
    }
}

/// The next event of `stream` that means something.
async fn event(stream: &mut Streaming<WatchPolicyResponse>) -> Result<Option<Event>, AskError> {
    loop {
        let message = async {
            let message = stream.message().await;
            message.map_err(|status| AskError::from_status(&status))
        };
        let Some(message) = unpanicked(message).await? else {
            return Ok(None);
        };
        match message.event {
            Some(Event::PairChanged(change)) => {
                return verified(change).map(|change| Some(Event::PairChanged(change)));
            }
            Some(Event::PolicyChanged(change)) => {
                digest(&change.digest)?;
                return Ok(Some(Event::PolicyChanged(change)));
            }
            None => {}
        }
    }
}

fn verified(change: PairChanged) -> Result<PairChanged, AskError> {
    let digest = digest(&change.policy_digest)?;
    let reasons = verified_reasons(change.reasons)?;
    let state = match PairState::try_from(change.state) {
        Ok(PairState::Admitted) if !reasons.is_empty() => {
            return Err(AskError::Malformed(
                "it admits a pair and has reasons against it",
            ));
        }
        Ok(PairState::Admitted) if digest.is_none() => {
            return Err(AskError::Malformed("it admits a pair and names no policy"));
        }
        Ok(PairState::Admitted) => PairState::Admitted,
        Ok(PairState::Unspecified | PairState::Revoked) | Err(_) => PairState::Revoked,
    };
    Ok(PairChanged {
        state: state.into(),
        reasons,
        policy_digest: change.policy_digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(state: i32) -> PairChanged {
        PairChanged {
            state,
            reasons: Vec::new(),
            policy_digest: "0a".repeat(32),
        }
    }

    #[test]
    fn an_unknown_state_is_a_revocation() {
        for (state, expected) in [
            (0, PairState::Revoked),
            (1, PairState::Admitted),
            (2, PairState::Revoked),
            (3, PairState::Revoked),
            (-1, PairState::Revoked),
        ] {
            assert_eq!(verified(change(state)).unwrap().state(), expected);
        }
    }

    #[test]
    fn an_admission_without_a_policy_or_with_reasons_is_malformed() {
        let without = PairChanged {
            policy_digest: String::new(),
            ..change(1)
        };
        let with_reason = PairChanged {
            reasons: vec![admit_proto::v1::Reason {
                code: "review-due".into(),
                ..Default::default()
            }],
            ..change(1)
        };
        for change in [without, with_reason] {
            assert!(matches!(verified(change), Err(AskError::Malformed(_))));
        }
    }
}
