//! The choice among endpoints, and when they are asked again.
//!
//! An endpoint that says nothing about the launch is passed over and the next one is asked within what
//! remains of the deadline; whatever a server does say is final. An endpoint is asked twice in one call
//! only where all were passed over and one said when to ask again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{Client, answered, asking};
use crate::{
    failure::{AskError, PassedOver},
    route::unpanicked,
};

/// The shortest pause before overloaded servers are asked again, whatever they hint at.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// What became of one endpoint.
enum Attempt<T> {
    /// It answered, or failed for good.
    Settled(Result<T, AskError>),
    /// It said nothing about the matter.
    PassedOver(AskError),
}

/// What became of all of them.
enum Round<T> {
    /// One answered, or failed for good.
    Settled(Result<T, AskError>),
    /// None said anything.
    PassedOver(Vec<PassedOver>),
}

impl Client {
    /// What the first endpoint makes of `call` that is not passed over. With a service to look at,
    /// an endpoint where it is not serving is.
    pub(super) async fn settle<T, F>(
        &mut self,
        look_at: Option<&str>,
        call: impl Fn(Channel, Duration) -> F,
    ) -> Result<T, AskError>
    where
        F: Future<Output = Result<T, AskError>>,
    {
        let start = Instant::now();
        let mut rounds = 0;
        loop {
            let passed_over = match self.round(start, look_at, &call).await {
                Round::Settled(outcome) => return outcome,
                Round::PassedOver(passed_over) => passed_over,
            };
            let left = self.deadline.saturating_sub(start.elapsed());
            let Some(pause) = pause(&passed_over, rounds).filter(|pause| *pause < left) else {
                return Err(AskError::of_passed_over(passed_over));
            };
            rounds = rounds.saturating_add(1);
            sleep(pause).await;
        }
    }

    /// Asks each endpoint once, within what remains of the deadline since `start`.
    async fn round<T, F>(
        &mut self,
        start: Instant,
        look_at: Option<&str>,
        call: &impl Fn(Channel, Duration) -> F,
    ) -> Round<T>
    where
        F: Future<Output = Result<T, AskError>>,
    {
        let deadline = self.deadline;
        self.answered_by = None;
        let others = (0..self.routes.len()).filter(|at| *at != self.preferred);
        let order: Vec<usize> = std::iter::once(self.preferred).chain(others).collect();
        let mut unasked = u32::try_from(order.len()).unwrap_or(u32::MAX);
        let mut passed_over = Vec::new();
        for at in order {
            let Some(route) = self.routes.get_mut(at) else {
                continue;
            };
            let remaining = deadline.saturating_sub(start.elapsed());
            let share = remaining.checked_div(unasked).unwrap_or_default();
            unasked = unasked.saturating_sub(1);
            let attempt = match route.channel(&self.tls, deadline) {
                Ok(channel) => attempt(channel, look_at, share, call).await,
                Err(error) => Attempt::PassedOver(error),
            };
            match attempt {
                Attempt::Settled(outcome) => {
                    self.answered_by = Some(at);
                    if outcome.is_ok() {
                        self.preferred = at;
                    }
                    return Round::Settled(outcome);
                }
                Attempt::PassedOver(error) => {
                    if matches!(error, AskError::Unreachable(_) | AskError::TimedOut) {
                        route.hang_up();
                    }
                    let endpoint = route.endpoint().clone();
                    passed_over.push(PassedOver { endpoint, error });
                }
            }
        }
        Round::PassedOver(passed_over)
    }
}

/// How long to wait before all of them are asked again, after so many rounds before this one; `None` when
/// none of them wants to be.
fn pause(passed_over: &[PassedOver], rounds: u32) -> Option<Duration> {
    let hints = passed_over
        .iter()
        .filter_map(|passed| passed.error.retry_after());
    let shortest = hints.min()?.max(PAUSE_MIN);
    Some(shortest.saturating_mul(2_u32.saturating_pow(rounds)))
}

/// What comes of `call`, and of a look at the health before it, within `share`.
async fn attempt<T, F>(
    channel: Channel,
    look_at: Option<&str>,
    share: Duration,
    call: impl Fn(Channel, Duration) -> F,
) -> Attempt<T>
where
    F: Future<Output = Result<T, AskError>>,
{
    let start = Instant::now();
    let attempt = async {
        if let Some(service) = look_at
            && let Err(error) = unpanicked(serving(channel.clone(), service, share)).await
        {
            // Whatever is wrong with the health: nothing was asked about the launch yet.
            return Attempt::PassedOver(error);
        }
        let left = share.saturating_sub(start.elapsed());
        match unpanicked(call(channel, left)).await {
            Err(error) if error.passes_over() => Attempt::PassedOver(error),
            outcome => Attempt::Settled(outcome),
        }
    };
    timeout(share, attempt)
        .await
        .unwrap_or(Attempt::PassedOver(AskError::TimedOut))
}

async fn serving(channel: Channel, service: &str, left: Duration) -> Result<(), AskError> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let response = answered(HealthClient::new(channel).check(asking(request, left, None))).await?;
    match ServingStatus::try_from(response.status) {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(ServingStatus::Unknown | ServingStatus::NotServing | ServingStatus::ServiceUnknown)
        | Err(_) => Err(AskError::NotServing),
    }
}
