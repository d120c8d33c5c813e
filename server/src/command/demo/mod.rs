//! `admitd demo`: the whole product at work on an example policy.
//!
//! A real daemon on a loopback port, a real policy directory, the real client. Nothing is prepared
//! and nothing is left behind. Deliberately absent: any Case process; the demo only asks.

mod launch;
mod stage;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use admit_client::AskError;
use admit_proto::v1::PairState;
use anstyle::{AnsiColor, Style};

use self::{
    launch::Launch,
    stage::{RECORD, Stage},
};
use super::serve::StartError;
use crate::{
    audit::{
        record::Entry,
        verify::{Known, VerifyError, verify},
    },
    config::ConfigError,
    grpc::ServeError,
};

const HEADING: Style = Style::new().bold();
const ALLOW: Style = AnsiColor::Green.on_default().bold();
const DENY: Style = AnsiColor::Red.on_default().bold();
const QUIET: Style = Style::new().dimmed();
/// Longest time that a change of the policy may take to be seen here.
const CHANGE_MAX: Duration = Duration::from_secs(10);

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file could not be written, or the terminal is gone.
    #[error("a file or the terminal cannot be written to")]
    Io(#[from] io::Error),
    /// The example configuration is not valid.
    #[error("the example configuration is not valid")]
    Config(#[from] ConfigError),
    /// The daemon did not start.
    #[error("the daemon did not start")]
    Start(#[from] StartError),
    /// The daemon did not stop cleanly.
    #[error("the daemon did not stop cleanly")]
    Stop(#[from] ServeError),
    /// The daemon gave no answer.
    #[error("the daemon gave no answer")]
    Ask(#[from] AskError),
    /// The daemon has no address, or one that is no endpoint.
    #[error("the daemon listens on no address that the client can use")]
    NoAddress,
    /// A change of the policy did not come into force.
    #[error("a change of the policy was not in force after {CHANGE_MAX:?}")]
    NotInForce,
    /// The audit log is not whole.
    #[error("the audit log of the demo is not whole")]
    Trail(#[from] VerifyError),
    /// An answer is not in the audit log.
    #[error("an answer of the demo is not in its audit log")]
    NotRecorded,
    /// The daemon answered otherwise than this demo says it does.
    #[error("the launch `{0}` got another verdict than it should")]
    OtherVerdict(&'static str),
}

/// Shows the demo.
///
/// # Errors
///
/// When something does not work as the demo says.
pub async fn run(to: &mut (impl Write + Send)) -> Result<(), DemoError> {
    let mut stage = Stage::set().await?;
    introduce(&stage, to)?;
    ask_launches(&mut stage, to).await?;
    edit_live(&mut stage, to).await?;
    check_trail(&stage, to)?;
    stage.strike().await?;
    heading(to, "What you saw")?;
    writeln!(
        to,
        "One daemon answered every launch from documents that a person edits. What nobody admitted was
denied with every reason; a broken document closed what it governs at once, and mending it was
enough to open it again. The README shows how to serve your own policy and how to ask about it."
    )?;
    Ok(())
}

fn heading(to: &mut impl Write, text: &str) -> io::Result<()> {
    writeln!(to, "\n{HEADING}{text}{HEADING:#}")
}

fn introduce(stage: &Stage, to: &mut impl Write) -> io::Result<()> {
    heading(to, "The problem")?;
    writeln!(
        to,
        "Case runs agents with a model. When its configuration is missing or malformed it falls back, in
silence, to `anthropic` / `claude-sonnet-4-6`. Admit is asked before a launch and says whether
exactly this pair may run, under the policy of this moment."
    )?;
    heading(to, "The policy")?;
    writeln!(
        to,
        "admitd serves an example policy from {}: a decision record that requires
a local provider and selects `qwen-local` / `qwen3.6-35b-a3b`, and one admission file for it.",
        stage.policy_dir().display()
    )
}

/// Asks about one launch that is allowed and several that are not.
async fn ask_launches(stage: &mut Stage, to: &mut (impl Write + Send)) -> Result<(), DemoError> {
    heading(to, "Launches")?;
    for launch in launch::all(stage) {
        ask(stage, &launch, to).await?;
    }
    Ok(())
}

/// Asks about one launch, shows the answer, and holds it against what the demo promises.
async fn ask(
    stage: &mut Stage,
    launch: &Launch,
    to: &mut (impl Write + Send),
) -> Result<(), DemoError> {
    use admit_client::Answer;

    let answer = stage.ask(launch.request.clone()).await?;
    let (verdict, style) = match &answer {
        Answer::Allowed(_) => ("ALLOW", ALLOW),
        Answer::Denied(_) => ("DENY ", DENY),
    };
    writeln!(to, "{style}{verdict}{style:#}  {}", launch.title)?;
    match &answer {
        Answer::Allowed(_) => {}
        Answer::Denied(denied) => {
            for reason in denied.reasons() {
                writeln!(to, "         {}: {}", reason.code, reason.message)?;
                for place in &reason.places {
                    let at = if place.line > 0 {
                        format!(":{}", place.line)
                    } else {
                        String::new()
                    };
                    writeln!(to, "         {QUIET}at {}{at}{QUIET:#}", place.path)?;
                }
            }
        }
    }
    if matches!(answer, Answer::Allowed(_)) == launch.is_allowed {
        Ok(())
    } else {
        Err(DemoError::OtherVerdict(launch.title))
    }
}

/// Checks the audit log that came about: as many decisions as launches were asked about, in one chain.
fn check_trail(stage: &Stage, to: &mut impl Write) -> Result<(), DemoError> {
    heading(to, "The audit trail")?;
    let mut decisions = 0_u64;
    let verified = verify(&stage.audit_dir(), &Known::default(), |_, entry, _| {
        decisions = decisions.saturating_add(u64::from(matches!(entry, Entry::Decision(_))));
    })?;
    writeln!(
        to,
        "Every answer was recorded before it was given: {decisions} decisions in one chain of hashes, checked
just now. Its head is {QUIET}{}:{}{QUIET:#};
who keeps that can have it checked for ever that none of them was changed or cut off.",
        verified.head.seq, verified.head.hash
    )?;
    if decisions == stage.asked() {
        Ok(())
    } else {
        Err(DemoError::NotRecorded)
    }
}

/// Edits the policy while the daemon runs: the allowed launch is denied, and allowed again.
async fn edit_live(stage: &mut Stage, to: &mut (impl Write + Send)) -> Result<(), DemoError> {
    heading(to, "Editing the policy while it is served")?;
    let record = stage.read(RECORD)?;
    let edits = [
        (
            "the operator takes the decision back: `decision_status` becomes `not_decided`",
            record.replace("local_provider_required", "not_decided"),
            PairState::Revoked,
        ),
        (
            "a slip of the hand: the closing backtick of the model is lost",
            record.replace("`qwen3.6-35b-a3b`.", "`qwen3.6-35b-a3b."),
            PairState::Revoked,
        ),
        ("the edit is undone", record.clone(), PairState::Admitted),
    ];
    for (what, text, state) in edits {
        let written = Instant::now();
        stage.write(RECORD, &text)?;
        if !stage.pair_became(state, CHANGE_MAX).await? {
            return Err(DemoError::NotInForce);
        }
        let took = written.elapsed().as_millis();
        writeln!(
            to,
            "\n{HEADING}edit{HEADING:#}   {what} {QUIET}(in force after {took} ms){QUIET:#}"
        )?;
        let launch = Launch {
            title: "the same launch as the first one",
            is_allowed: state == PairState::Admitted,
            ..launch::admitted(stage)
        };
        ask(stage, &launch, to).await?;
    }
    Ok(())
}
