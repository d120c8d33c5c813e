//! The steps of a launch: gather, ask, verify, claim, start, attend, hand in. Each step before the
//! start can end the launch, and then nothing was started.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    time::Duration,
};

use admit_client::{
    Answer, AskError, Client, Contact, Following, PairEvent,
    facts::{BASE_URL, FileRole, GatherError, Launch, ReadFile, Surroundings, gather},
};
use admit_proto::v1::{AdmitRequest, Lane};
use tokio::{
    task,
    time::{Instant, timeout},
};

use super::{
    denial::Denial,
    entry,
    permission::{GivenPermit, Permission},
    record::Record,
    sealed::{Sealed, Watched},
    supervision::{ContactTerms, End, Finished, Running, Signals, Start},
};
use crate::evidence::{
    self, fixture,
    folder::EvidenceFolder,
    store::StoreError,
    trace::Before,
    withholding::{Endpoint, Withholding},
};

/// The variable by which the command knows the decision that it runs under.
const DECISION_VARIABLE: &str = "ADMIT_DECISION_ID";

/// A launch as it was ordered.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) launch: Launch,
    /// What surrounds the command: its variables are those that it will get.
    pub(crate) surroundings: Surroundings,
    pub(crate) folder: EvidenceFolder,
    /// The copied fixture that the command works on.
    pub(crate) fixture_dir: Option<PathBuf>,
    /// The evidence folder of the fake run of the same run.
    pub(crate) baseline: Option<PathBuf>,
    /// The harness's own report, which is there when the command has ended.
    pub(crate) report: Option<PathBuf>,
    /// The time between TERM and KILL.
    pub(crate) grace: Duration,
    pub(crate) contact: ContactTerms,
    /// A permit that was obtained elsewhere.
    pub(crate) permit: Option<GivenPermit>,
    /// Time for everything until the start.
    pub(crate) deadline: Duration,
}

/// What a launch came to.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The command was never started.
    NotStarted {
        denial: Denial,
        /// The decision that was made nevertheless; none: there is none.
        decision_id: Option<String>,
        /// Whether the evidence folder says so too.
        is_written: bool,
    },
    /// It ran.
    Ran(Box<Ran>),
}

/// A command that ran.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) decision_id: String,
    pub(crate) finished: Finished,
    pub(crate) evidence: Evidence,
}

/// What became of the evidence; none: a run of the fake lane, which is a baseline and is not judged.
pub(crate) type Evidence = Result<Option<evidence::Ending>, evidence::CollectError>;

/// What there is to know before anybody is asked.
struct Prepared {
    request: AdmitRequest,
    files: Vec<ReadFile>,
    task_id: Option<String>,
    fixture: Option<String>,
    before: Before,
}

/// A started command, with everything that its end will need.
struct Started {
    permission: Permission,
    prepared: Prepared,
    running: Running,
    following: Option<Following>,
    config: Watched,
    adapter: Watched,
    sealed: Option<Sealed>,
}

/// Runs the plan to its end.
pub(crate) async fn run(plan: &Plan, client: &mut Client) -> Ending {
    let mut record = match Record::create(&plan.folder, &plan.launch) {
        Ok(record) => record,
        Err(error) => {
            return Ending::NotStarted {
                denial: Denial::NoEvidence(error),
                decision_id: None,
                is_written: false,
            };
        }
    };
    let mut signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => return not_started(&mut record, Denial::NotStarted(error)),
    };
    let deadline = Instant::now().checked_add(plan.deadline);
    let started = tokio::select! {
        // What has started has started: a signal is passed on to it.
        biased;
        started = timeout(plan.deadline, start(plan, client, &mut record, deadline)) => started,
        () = ending(&mut signals) => Ok(Err(Denial::Interrupted)),
    };
    let started = match started.unwrap_or_else(|_| Err(late())) {
        Ok(started) => started,
        Err(denial) => return not_started(&mut record, denial),
    };
    let finished = started
        .running
        .attend(signals, started.following, plan.contact)
        .await;
    match finished.end {
        End::Changed => return not_started(&mut record, Denial::Changed),
        End::NotStarted(error) => {
            let error = io::Error::from_raw_os_error(error);
            return not_started(&mut record, Denial::NotStarted(error));
        }
        End::Exited(_) | End::Signaled(_) | End::Unknown => {}
    }
    let (mut config, mut adapter) = (started.config.state(), started.adapter.state());
    // Whoever moved the working directory showed the command other files than were looked at.
    let is_moved = !entry::is_here(&plan.surroundings.working_dir);
    config.is_touched |= is_moved;
    adapter.is_touched |= is_moved;
    // Whoever writes to the configuration from here on does not change this run any more.
    drop(started.sealed);
    let evidence = match record.ended(&finished, config, adapter) {
        Ok(run) => {
            let held = record.held(&started.permission, &run);
            hand_in(plan, client, &started.prepared, held).await
        }
        Err(error) => Err(StoreError::Write {
            name: "run.json",
            error,
        }
        .into()),
    };
    Ending::Ran(Box::new(Ran {
        decision_id: started.permission.claims().decision_id.clone(),
        finished,
        evidence,
    }))
}

/// Waits for a signal that usually ends a process. Before the start there is nobody to pass another one
/// on to.
async fn ending(signals: &mut Signals) {
    while !signals.next().await.1 {}
}

fn late() -> Denial {
    Denial::NoAnswer(Box::new(AskError::TimedOut))
}

/// Every step up to the start. Whoever waits for this gives up at `deadline`; a step that does not wait
/// is over it too, if it took so long.
async fn start(
    plan: &Plan,
    client: &mut Client,
    record: &mut Record,
    deadline: Option<Instant>,
) -> Result<Started, Denial> {
    let prepared = prepare(plan).await?;
    record.asks(&prepared.request, prepared.fixture.clone());
    let permission = match &plan.permit {
        Some(given) => Permission::of_file(given, client, &prepared.request).await?,
        None => ask(client, &prepared.request).await?,
    };
    record.allowed(&permission).map_err(Denial::NoEvidence)?;
    look_again(&prepared)?;
    // The configuration is claimed before its last look: whoever touches it from here on is seen.
    let sealed = Sealed::seal(&prepared.files).map_err(Denial::NotSealed)?;
    let config = Watched::new(&prepared.files, FileRole::CaseConfig);
    let adapter = Watched::new(&prepared.files, FileRole::Models);
    let following = follow(plan, client, &permission).await?;
    look_again(&prepared)?;
    let stderr = record.stderr().map_err(Denial::NoEvidence)?;
    permission.holds()?;
    if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
        return Err(late());
    }
    record.starts(&permission).map_err(Denial::NoEvidence)?;
    // INVARIANT: the one place where a command is started, behind a verified permission.
    let running = Running::start(Start {
        command: &plan.surroundings.argv,
        variables: &variables(plan, &permission),
        files: &prepared.files,
        directory: &plan.surroundings.working_dir,
        grace: plan.grace,
        stderr,
        withholding: Withholding::new(&Endpoint::new(base_url(plan).as_deref())),
    })
    .map_err(Denial::NotStarted)?;
    Ok(Started {
        permission,
        prepared,
        running,
        following,
        config,
        adapter,
        sealed,
    })
}

async fn prepare(plan: &Plan) -> Result<Prepared, Denial> {
    let gathered = gather(
        plan.surroundings.clone(),
        plan.launch.clone(),
        plan.deadline,
    )
    .await
    .map_err(Denial::NoFacts)?;
    if !gathered.refusals.is_empty() {
        return Err(Denial::Refused(gathered.refusals));
    }
    let fixture_dir = plan.fixture_dir.clone();
    let agent_dir = plan.surroundings.pi_agent_dir();
    // Both read many files, and neither is waited for beyond the deadline.
    let looked = task::spawn_blocking(move || {
        let fixture_dir = fixture_dir.as_deref();
        let fixture = fixture_dir.map(fixture::digest).transpose();
        (fixture, Before::look(fixture_dir, agent_dir.as_deref()))
    });
    let (fixture, before) = looked
        .await
        .map_err(|_| Denial::NoFacts(GatherError::BrokeOff))?;
    Ok(Prepared {
        request: gathered.request,
        files: gathered.files,
        task_id: gathered.task_id,
        fixture: fixture
            .map_err(Denial::NoFixture)?
            .map(|digest| digest.to_string()),
        before,
    })
}

/// Whether every file that a fact was stated from is what it was.
fn look_again(prepared: &Prepared) -> Result<(), Denial> {
    if prepared.files.iter().all(ReadFile::is_unchanged) {
        Ok(())
    } else {
        Err(Denial::Changed)
    }
}

async fn ask(client: &mut Client, request: &AdmitRequest) -> Result<Permission, Denial> {
    match client.admit(request.clone()).await {
        Ok(Answer::Allowed(allowed)) => Permission::of_allow(&allowed, client, request).await,
        Ok(Answer::Denied(denied)) => Err(Denial::Denied(Box::new(denied))),
        Err(error) => Err(Denial::NoAnswer(Box::new(error))),
    }
}

/// Follows the pair of the launch, which has to be admitted still; none: the fake lane has no pair.
async fn follow(
    plan: &Plan,
    client: &Client,
    permission: &Permission,
) -> Result<Option<Following>, Denial> {
    if plan.launch.lane != Lane::Real {
        return Ok(None);
    }
    let claims = permission.claims();
    let mut following = client.clone().follow(&claims.provider, &claims.model);
    // Whoever brings a permit and the keys starts without a server; the loss of contact counts from
    // here on.
    let needs_server = plan
        .permit
        .as_ref()
        .is_none_or(|given| given.jwks.is_none());
    if needs_server {
        match following.next().await {
            PairEvent::Admitted => {}
            PairEvent::Revoked(reasons) => return Err(Denial::Revoked(reasons)),
            PairEvent::Contact(Contact::Lost { error, .. }) => {
                return Err(Denial::NoAnswer(Box::new(error)));
            }
            PairEvent::Contact(Contact::Restored) => {
                return Err(Denial::NoAnswer(Box::new(AskError::Malformed(
                    "it tells no state",
                ))));
            }
        }
    }
    Ok(Some(following))
}

/// The variables of the command: what surrounds it, and the decision that it runs under.
fn variables(plan: &Plan, permission: &Permission) -> BTreeMap<OsString, OsString> {
    let mut variables = plan.surroundings.variables.clone();
    let decision_id = permission.claims().decision_id.clone();
    variables.insert(DECISION_VARIABLE.into(), decision_id.into());
    variables
}

fn base_url(plan: &Plan) -> Option<String> {
    let value = plan.surroundings.variables.get(OsStr::new(BASE_URL));
    value.map(|value| value.to_string_lossy().into_owned())
}

fn not_started(record: &mut Record, denial: Denial) -> Ending {
    // The reason for not starting outweighs that it could not be written; that is told besides.
    let is_written = record.not_started(&denial).is_ok();
    Ending::NotStarted {
        denial,
        decision_id: record.decision_id().map(str::to_owned),
        is_written,
    }
}

/// Collects the evidence; that of the real lane is handed in.
async fn hand_in(
    plan: &Plan,
    client: &mut Client,
    prepared: &Prepared,
    held: evidence::Held<'_>,
) -> Evidence {
    let inputs = evidence::Inputs {
        fixture_dir: plan.fixture_dir.clone(),
        task_id: prepared.task_id.clone(),
        agent_dir: plan.surroundings.pi_agent_dir(),
        may_have_trace: false,
        held: Some(held),
        before: Some(&prepared.before),
        baseline: plan.baseline.clone(),
        report: plan.report.clone(),
        base_url: base_url(plan),
    };
    let collected = evidence::collect(&plan.folder, &inputs)?;
    if plan.launch.lane != Lane::Real {
        return Ok(None);
    }
    evidence::hand_in(client, &plan.folder, collected)
        .await
        .map(Some)
}
