//! `admit watch`: the changes of the policy, a line per event.

use std::io::{self, Write};

use admit_client::{AskError, facts::Bound};
use admit_proto::v1::{Branch, Lane, PairState, WatchPolicyRequest, watch_policy_response::Event};
use clap::ValueEnum;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    Break, Outcome, Server, UsageError,
    policy::branch_name,
    render::{
        BAD, ErrorShape, FAINT, GOOD, ReasonShape, counted, json_line, no_answer, time_text,
        unless_empty,
    },
};

/// Follows the policy.
#[derive(Debug, clap::Args)]
pub(crate) struct Follow {
    #[command(flatten)]
    server: Server,

    /// The provider of a pair to follow.
    #[arg(long, requires = "model")]
    provider: Option<String>,

    /// The model of the pair to follow.
    #[arg(long, requires = "provider")]
    model: Option<String>,

    /// The lane to follow the pair in; the fake lane admits no pair.
    #[arg(long, value_enum, requires = "provider")]
    lane: Option<FollowedLane>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FollowedLane {
    /// Case runs with a model.
    Real,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventShape<'a> {
    PolicyChanged {
        schema: &'static str,
        digest: Option<&'a str>,
        read_time: Option<String>,
        branch: Option<&'static str>,
        findings_count: u32,
    },
    PairChanged {
        schema: &'static str,
        provider: &'a str,
        model: &'a str,
        admitted: bool,
        reasons: Vec<ReasonShape<'a>>,
        policy_digest: Option<&'a str>,
    },
    Ended {
        schema: &'static str,
        error: ErrorShape<'a>,
    },
}

const SCHEMA: &str = "admit.watch/1";

impl Follow {
    pub(crate) async fn run(&self) -> Result<Outcome, Break> {
        // Listened for from the start: a signal between two events must not be lost.
        let mut interrupts = signal(SignalKind::interrupt())?;
        tokio::select! {
            outcome = self.follow() => outcome,
            _ = interrupts.recv() => Ok(Outcome::Yes),
        }
    }

    async fn follow(&self) -> Result<Outcome, Break> {
        let request = self.request()?;
        let mut client = self.server.client(self.server.deadline())?;
        let mut out = anstream::stdout();
        let mut watch = match client.watch(request).await {
            Ok(watch) => watch,
            Err(error) => return self.ended(&mut out, &error),
        };
        loop {
            match watch.next().await {
                Ok(Some(event)) => self.print(&mut out, &event)?,
                // The contract lets the stream end only with a failure.
                Ok(None) => {
                    let ended = AskError::Unreachable("the server ended the stream".to_owned());
                    return self.ended(&mut out, &ended);
                }
                Err(error) => return self.ended(&mut out, &error),
            }
        }
    }

    fn request(&self) -> Result<WatchPolicyRequest, UsageError> {
        let (Some(provider), Some(model)) = (&self.provider, &self.model) else {
            return Ok(WatchPolicyRequest::default());
        };
        for (flag, bound, text) in [
            ("--provider", Bound::Provider, provider),
            ("--model", Bound::Model, model),
        ] {
            if text.is_empty() || !bound.holds(text) {
                return Err(UsageError(format!(
                    "{flag} is not empty and {}",
                    bound.describe()
                )));
            }
        }
        Ok(WatchPolicyRequest {
            provider: provider.clone(),
            model: model.clone(),
            lane: Lane::Real.into(),
        })
    }

    fn ended(&self, out: &mut dyn Write, error: &AskError) -> Result<Outcome, Break> {
        if self.server.json {
            let shape = EventShape::Ended {
                schema: SCHEMA,
                error: error.into(),
            };
            json_line(out, &shape)?;
        } else {
            let consequence = "take every followed pair for revoked";
            no_answer(&mut anstream::stderr(), error, consequence)?;
        }
        Ok(Outcome::NoAnswer)
    }

    fn print(&self, out: &mut dyn Write, event: &Event) -> io::Result<()> {
        if self.server.json {
            json_line(out, &self.shape(event))
        } else {
            writeln!(out, "{}", self.line(event))?;
            out.flush()
        }
    }

    fn shape<'a>(&'a self, event: &'a Event) -> EventShape<'a> {
        match event {
            Event::PolicyChanged(change) => EventShape::PolicyChanged {
                schema: SCHEMA,
                digest: unless_empty(&change.digest),
                read_time: time_text(change.read_time.as_ref()),
                branch: branch(change.branch),
                findings_count: change.findings_count,
            },
            Event::PairChanged(change) => EventShape::PairChanged {
                schema: SCHEMA,
                provider: self.provider.as_deref().unwrap_or_default(),
                model: self.model.as_deref().unwrap_or_default(),
                admitted: change.state() == PairState::Admitted,
                reasons: ReasonShape::all(&change.reasons),
                policy_digest: unless_empty(&change.policy_digest),
            },
        }
    }

    fn line(&self, event: &Event) -> String {
        match event {
            Event::PolicyChanged(change) => format!(
                "policy {}  {}  {}",
                unless_empty(&change.digest).unwrap_or("not read yet"),
                branch(change.branch).unwrap_or("no valid decision record"),
                counted(
                    usize::try_from(change.findings_count).unwrap_or(usize::MAX),
                    "finding",
                    "findings"
                ),
            ),
            Event::PairChanged(change) => {
                let pair = format!(
                    "{} / {}",
                    self.provider.as_deref().unwrap_or_default(),
                    self.model.as_deref().unwrap_or_default()
                );
                if change.state() == PairState::Admitted {
                    return format!("{GOOD}ADMITTED{GOOD:#}  {pair}");
                }
                let codes: Vec<&str> = change
                    .reasons
                    .iter()
                    .map(|reason| reason.code.as_str())
                    .collect();
                format!(
                    "{BAD}REVOKED{BAD:#}  {pair}  {FAINT}{}{FAINT:#}",
                    codes.join(", ")
                )
            }
        }
    }
}

fn branch(branch: i32) -> Option<&'static str> {
    branch_name(Branch::try_from(branch).unwrap_or(Branch::Unspecified))
}

#[cfg(test)]
mod tests {
    use admit_proto::v1::{PairChanged, PolicyChanged, Reason};

    use super::*;

    fn follow(json: bool) -> Follow {
        Follow {
            server: Server::nobody(json),
            provider: Some("p".into()),
            model: Some("m".into()),
            lane: None,
        }
    }

    fn printed(json: bool, event: &Event) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        follow(json).print(&mut out, event).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn each_event_is_one_line() {
        let policy = Event::PolicyChanged(PolicyChanged {
            digest: "0a".repeat(32),
            branch: Branch::LocalProviderRequired.into(),
            findings_count: 1,
            read_time: None,
        });
        let revoked = Event::PairChanged(PairChanged {
            state: PairState::Revoked.into(),
            reasons: ["review-due", "pair-not-selected"]
                .map(|code| Reason {
                    code: code.into(),
                    ..Reason::default()
                })
                .into(),
            policy_digest: String::new(),
        });
        assert_eq!(
            printed(false, &policy),
            format!(
                "policy {}  local_provider_required  1 finding\n",
                "0a".repeat(32)
            )
        );
        assert_eq!(
            printed(false, &revoked),
            "REVOKED  p / m  review-due, pair-not-selected\n"
        );
        let json: serde_json::Value = serde_json::from_str(&printed(true, &revoked)).unwrap();
        assert_eq!(json["schema"], SCHEMA);
        assert_eq!(json["event"], "pair_changed");
        assert_eq!(json["admitted"], false);
        assert_eq!(json["reasons"][1]["code"], "pair-not-selected");
        let json: serde_json::Value = serde_json::from_str(&printed(true, &policy)).unwrap();
        assert_eq!(json["event"], "policy_changed");
        assert_eq!(json["branch"], "local_provider_required");
    }

    #[test]
    fn a_pair_out_of_bounds_is_not_asked_about() {
        let mut follow = follow(false);
        follow.model = Some("a b".into());
        assert!(follow.request().is_err());
        follow.model = Some(String::new());
        assert!(follow.request().is_err());
        follow.model = Some("m".into());
        assert_eq!(follow.request().unwrap().lane(), Lane::Real);
        follow.provider = None;
        assert_eq!(follow.request().unwrap(), WatchPolicyRequest::default());
    }
}
