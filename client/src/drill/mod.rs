//! The drill: proves on a running server that its gates are closed.
//!
//! It sends launches that have to be denied, each as a dry run and each with one thing amiss, and looks
//! for the code that the thing has to be denied with. A denial for another reason proves nothing, and
//! neither does a code that the launch in which nothing is amiss is denied with too.
//!
//! Deliberately absent: any launch that is not a dry run, and any way to pass without every answer.

mod ground;
mod table;

use admit_client::{Answer, AskError, Client};
use admit_policy::Code;
use admit_proto::v1::{AdmitRequest, Branch, EndpointScope, PairState, Policy};

pub(crate) use ground::Driller;
use ground::{Ground, request_pair};
use table::EXERCISES;

/// Most pairs that the policy does not admit and that are asked for.
const PAIRS_MAX: usize = 32;
/// Why a gate cannot be shown whose code the control is denied with.
const DENIED_ANYWAY: &str = "the launch in which nothing is amiss is denied with the same code";
/// The scopes of an endpoint, in the order in which the first fitting one is looked for.
const SCOPES: [EndpointScope; 4] = [
    EndpointScope::Loopback,
    EndpointScope::Tailnet,
    EndpointScope::Private,
    EndpointScope::Public,
];

/// Everything that a drill found out.
#[derive(Debug, Default)]
pub(crate) struct Drilled {
    /// Whether the server says that it is serving. None: it was not told.
    pub(crate) is_serving: Option<bool>,
    /// The policy that it was drilled under.
    pub(crate) policy_digest: Option<String>,
    pub(crate) branch: Option<Branch>,
    /// The launch in which nothing is amiss, as far as could be known. It may be allowed.
    pub(crate) control: Option<Control>,
    pub(crate) launches: Vec<Launched>,
    /// Why the drill broke off.
    pub(crate) fault: Option<Fault>,
}

/// Why a drill broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    NoAnswer(#[from] AskError),
    #[error("the policy changed during the drill; repeat it")]
    PolicyChanged,
}

/// The answer to the launch that every other one is a change of.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) is_allowed: bool,
    pub(crate) reasons: Vec<String>,
}

/// A launch of the drill, and what became of it.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) name: String,
    /// The codes of which one has to be among the reasons.
    pub(crate) expected: Vec<String>,
    pub(crate) result: Finding,
}

/// What a launch proves.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The gate is closed.
    Closed(Denial),
    /// The launch was allowed.
    Open {
        /// The decision that allowed it.
        decision_id: String,
    },
    /// The launch was denied for other reasons only.
    Unproven(Denial),
    /// The gate cannot be shown: not under the policy in force, which was not asked then, or not with
    /// what is known of the launch.
    NotApplicable(&'static str),
}

/// A denial.
#[derive(Debug)]
pub(crate) struct Denial {
    pub(crate) decision_id: String,
    pub(crate) reasons: Vec<String>,
}

/// What a drill ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Every gate that can be shown is closed.
    Passed,
    /// A launch was allowed, or a gate not proven closed.
    Failed,
    /// Answers are missing.
    NoAnswer,
}

impl Drilled {
    /// What the drill ends in. An open gate is never made up for.
    pub(crate) fn ending(&self) -> Ending {
        let has = |wanted: fn(&Finding) -> bool| {
            self.launches
                .iter()
                .any(|launched| wanted(&launched.result))
        };
        if has(|result| matches!(result, Finding::Open { .. })) {
            Ending::Failed
        } else if self.fault.is_some() || self.is_serving.is_none() {
            Ending::NoAnswer
        } else if has(|result| matches!(result, Finding::Unproven(_)))
            || !has(|result| matches!(result, Finding::Closed(_)))
        {
            Ending::Failed
        } else {
            Ending::Passed
        }
    }
}

/// Drills the server of `client`. It breaks off where an answer is missing.
pub(crate) async fn drill(client: &mut Client, driller: &Driller) -> Drilled {
    let mut drilled = Drilled::default();
    if let Err(fault) = drill_into(client, driller, &mut drilled).await {
        drilled.fault = Some(fault);
    }
    drilled
}

async fn drill_into(
    client: &mut Client,
    driller: &Driller,
    drilled: &mut Drilled,
) -> Result<(), Fault> {
    drilled.is_serving = Some(client.health("").await?);
    let policy = client.policy().await?;
    drilled.policy_digest = (!policy.digest.is_empty()).then(|| policy.digest.clone());
    drilled.branch = Some(policy.branch());
    let mut asking = Asking {
        client,
        policy: &policy,
    };
    let mut ground = Ground::new(&policy, driller);
    let control = asking.control(&mut ground).await?;
    let control_reasons = control.reasons.clone();
    drilled.control = Some(control);
    for exercise in &EXERCISES {
        let expected = exercise
            .expected
            .iter()
            .map(|code| code.as_str().to_owned());
        let expected: Vec<String> = expected.collect();
        let result = match exercise.when.obstacle(&ground) {
            Some(obstacle) => Finding::NotApplicable(obstacle),
            None => {
                let mut request = ground.base();
                (exercise.change)(&mut request, &ground);
                // A state is what denies the control; it is shown by that.
                let denied_anyway: &[String] = if exercise.when.is_what_denies() {
                    &[]
                } else {
                    &control_reasons
                };
                asking.ask(request, &expected, denied_anyway).await?
            }
        };
        drilled.launches.push(Launched {
            name: exercise.name.to_owned(),
            expected,
            result,
        });
    }
    let revoked = ground
        .pairs
        .iter()
        .filter(|pair| pair.state() != PairState::Admitted)
        .take(PAIRS_MAX);
    for pair in revoked {
        let mut request = ground.base();
        request_pair(&mut request, &pair.provider, &pair.model);
        let expected: Vec<String> = pair
            .reasons
            .iter()
            .map(|reason| reason.code.clone())
            .collect();
        drilled.launches.push(Launched {
            name: format!("revoked-pair: {} / {}", pair.provider, pair.model),
            // What is shown is the state of this pair, whichever pair the control asks for.
            result: asking.ask(request, &expected, &[]).await?,
            expected,
        });
    }
    Ok(())
}

/// Asks under one policy.
struct Asking<'a> {
    client: &'a mut Client,
    policy: &'a Policy,
}

impl Asking<'_> {
    /// The answer, if it was made under the policy of the drill.
    async fn answer(&mut self, request: AdmitRequest) -> Result<Answer, Fault> {
        let answer = self.client.admit(request).await?;
        let digest = match &answer {
            Answer::Allowed(allowed) => allowed.policy_digest(),
            Answer::Denied(denied) => denied.policy_digest(),
        };
        let digest = digest.map(|digest| digest.to_string()).unwrap_or_default();
        if digest == self.policy.digest {
            Ok(answer)
        } else {
            Err(Fault::PolicyChanged)
        }
    }

    /// Asks for the launch in which nothing is amiss, with the first scope of the endpoint that its
    /// network class allows.
    async fn control(&mut self, ground: &mut Ground) -> Result<Control, Fault> {
        let mut control = Control {
            is_allowed: false,
            reasons: Vec::new(),
        };
        for scope in SCOPES {
            ground.set_scope(scope);
            control = match self.answer(ground.base()).await? {
                Answer::Allowed(_) => Control {
                    is_allowed: true,
                    reasons: Vec::new(),
                },
                Answer::Denied(denied) => Control {
                    is_allowed: false,
                    reasons: codes(denied.reasons()),
                },
            };
            let is_out_of_class = control
                .reasons
                .iter()
                .any(|code| code == Code::NetworkClassNotAllowed.as_str());
            if !is_out_of_class {
                break;
            }
        }
        Ok(control)
    }

    /// Asks for a launch that has to be denied with one of the codes that are `expected`. One that is
    /// in `denied_anyway` too shows nothing.
    async fn ask(
        &mut self,
        request: AdmitRequest,
        expected: &[String],
        denied_anyway: &[String],
    ) -> Result<Finding, Fault> {
        Ok(match self.answer(request).await? {
            Answer::Allowed(allowed) => Finding::Open {
                decision_id: allowed.decision_id().to_owned(),
            },
            Answer::Denied(denied) => {
                let denial = Denial {
                    decision_id: denied.decision_id().to_owned(),
                    reasons: codes(denied.reasons()),
                };
                let mut met = denial.reasons.iter().filter(|code| expected.contains(code));
                let is_met = met.clone().next().is_some();
                if met.any(|code| !denied_anyway.contains(code)) {
                    Finding::Closed(denial)
                } else if is_met {
                    Finding::NotApplicable(DENIED_ANYWAY)
                } else {
                    Finding::Unproven(denial)
                }
            }
        })
    }
}

fn codes(reasons: &[admit_proto::v1::Reason]) -> Vec<String> {
    reasons.iter().map(|reason| reason.code.clone()).collect()
}
