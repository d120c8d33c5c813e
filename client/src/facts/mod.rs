//! The facts of a launch, gathered from what surrounds it.
//!
//! One file per source of facts. What could not be looked at stays unstated, which denies, and a
//! note says why. No secret, no path, and no part of the base URL is in the request or in a note:
//! where a text of the request would carry one, there is no request at all.
//!
//! Deliberately absent: any judgment of policy. That is the server's.

mod admission_file;
mod arguments;
mod base_url;
pub mod bounded_file;
mod case;
mod child;
mod credentials;
mod dotenv;
mod endpoint_scope;
mod launch;
mod ledger;
mod outcome;
mod pi;
mod probe;
mod probe_tls;
mod read_file;
mod refusal;
mod scan;
mod search;
mod surroundings;
mod target_repository;
mod task_file;
mod trap;
mod travel;

use std::time::{Duration, Instant};

use admit_policy::{Digest, facts::EndpointScope as Scope};
use admit_proto::v1::{
    AdmitRequest, EndpointScope, FakeBaseline, Fixture, Lane, LocalProvider, Presence, ServedModel,
    VisibleCredentials,
};
use tokio::{task, time::timeout};

use case::ConfigFile;
use ledger::Ledger;
use probe::ProbeFault;
use search::GeneratedConfig;
use task_file::TaskFiles;

pub use admit_policy::bounds::{Bound, STAGE_MAX};
pub use bounded_file::FileFault;
pub use child::child_environment;
pub use launch::{Launch, TargetRepositories};
pub use outcome::{GatherError, Gathered, Note};
pub use read_file::{FileRole, ReadFile};
pub use refusal::{Refusal, RefusalCode};
pub use scan::has_secret;
pub use surroundings::Surroundings;

/// The variable of the base URL, whose value never leaves this host.
pub const BASE_URL: &str = "CTO_HARNESS_CASE_LOCAL_BASE_URL";
/// The variable of the requested provider.
pub const PROVIDER: &str = "CTO_HARNESS_CASE_MODEL_PROVIDER";
/// The variable of the requested model.
pub const MODEL: &str = "CTO_HARNESS_CASE_MODEL";

/// Gathers every fact of a launch, within `deadline`.
///
/// The surroundings have to be those of the command itself: where the caller takes credentials out of the
/// environment, with [`child_environment`], the facts are gathered of what is left.
///
/// # Errors
///
/// When there is no request that could be asked: the launch does not start.
pub async fn gather(
    surroundings: Surroundings,
    launch: Launch,
    deadline: Duration,
) -> Result<Gathered, GatherError> {
    let start = Instant::now();
    // A resolver or an endpoint that hangs must not use up the time for the question itself.
    let patience = || (deadline / 2).saturating_sub(start.elapsed());
    let is_real = launch.lane == Lane::Real;
    let is_probe_due = is_real && launch.probe;
    let base_url = is_real
        .then(|| surroundings.value(BASE_URL)?.to_str().map(str::to_owned))
        .flatten();
    // Both run on threads that may wait for a file system or a resolver; neither is waited for
    // beyond the deadline.
    let endpoint = task::spawn_blocking({
        let base_url = base_url.clone();
        move || endpoint_scope::resolve(base_url.as_deref()?)
    });
    let local = task::spawn_blocking(move || gather_local(&surroundings, &launch));
    let mut gathered = timeout(deadline, local)
        .await
        .map_err(|_| GatherError::TimedOut)?
        .map_err(|_| GatherError::BrokeOff)??;
    let endpoint = match timeout(patience(), endpoint).await {
        Ok(Ok(endpoint)) => endpoint,
        Ok(Err(_)) | Err(_) => None,
    };
    if is_real {
        gathered.state_scope(endpoint.as_ref().map(|endpoint| endpoint.scope));
    }
    if is_probe_due {
        let addresses = endpoint.map(|endpoint| endpoint.addresses);
        let question = probe::serves_model(
            base_url.as_deref().unwrap_or_default(),
            addresses.as_deref().unwrap_or_default(),
            &gathered.request.model,
        );
        let served = timeout(patience(), question)
            .await
            .unwrap_or(Err(ProbeFault::TimedOut));
        gathered.state_served_model(served);
    }
    Ok(gathered)
}

impl Gathered {
    fn state_scope(&mut self, scope: Option<Scope>) {
        let Some(local_provider) = &mut self.request.local_provider else {
            return;
        };
        local_provider.endpoint_scope = wire_scope(scope).into();
        if scope.is_none() && local_provider.base_url() == Presence::Present {
            self.notes.push(Note {
                about: BASE_URL,
                message: "has a host that could not be resolved".to_owned(),
            });
        }
    }

    fn state_served_model(&mut self, served: Result<(), ProbeFault>) {
        let state = match served {
            Ok(()) => ServedModel::Match,
            Err(fault) => {
                self.notes.push(Note {
                    about: BASE_URL,
                    message: fault.describe().to_owned(),
                });
                ServedModel::Mismatch
            }
        };
        if let Some(local_provider) = &mut self.request.local_provider {
            local_provider.served_model = state.into();
        }
    }
}

/// Everything but what the endpoint has to be asked for.
fn gather_local(surroundings: &Surroundings, launch: &Launch) -> Result<Gathered, GatherError> {
    let mut ledger = Ledger::default();
    let provider = variable_text(surroundings, PROVIDER, Bound::Provider)?;
    let model = variable_text(surroundings, MODEL, Bound::Model)?;
    launch.check()?;
    let sources = Sources::read(surroundings, launch, &mut ledger)?;
    trap::refuse(surroundings, &mut ledger);
    let base_url = surroundings.value(BASE_URL);
    let pair = (provider.as_str(), model.as_str());
    pi::refuse(surroundings, &sources.models, pair, base_url, &mut ledger);
    let admission = admission_file::digest(surroundings, &mut ledger);
    let request = AdmitRequest {
        admission_file_digest: admission.map(text_of).unwrap_or_default(),
        ..sources.request(surroundings, launch, provider, model)
    };
    travel::check(surroundings, &request)?;
    if launch.lane == Lane::Real {
        credentials::note_foreign(&request, &mut ledger);
    }
    Ok(Gathered {
        request,
        notes: ledger.notes,
        files: ledger.files,
        refusals: refusal::in_order(&ledger.refusals, launch.lane),
        task_id: sources.tasks.id,
    })
}

/// What the facts are taken from, besides the surroundings themselves.
struct Sources {
    config: ConfigFile,
    models: ConfigFile,
    tasks: TaskFiles,
    is_environment_known: bool,
    generated: GeneratedConfig,
}

impl Sources {
    fn read(
        surroundings: &Surroundings,
        launch: &Launch,
        ledger: &mut Ledger,
    ) -> Result<Self, GatherError> {
        let config = case::read_config(surroundings, ledger)?;
        let models = pi::read_models(surroundings, ledger);
        let tasks = task_file::read(surroundings, launch.task_file.as_deref(), ledger);
        let is_environment_known = dotenv::is_environment_known(surroundings, ledger);
        if surroundings.argv.is_empty() {
            ledger.note("COMMAND", "is not given, so its arguments stay unstated");
        }
        let generated = GeneratedConfig::search(surroundings, &config, &models);
        if generated.is_secret_in_case_config {
            ledger.note(
                "CASE_DATA_DIR",
                "leads to a config.json with something that looks like a secret; it is not sent",
            );
        }
        Ok(Self {
            config,
            models,
            tasks,
            is_environment_known,
            generated,
        })
    }

    fn request(
        &self,
        surroundings: &Surroundings,
        launch: &Launch,
        provider: String,
        model: String,
    ) -> AdmitRequest {
        let seen_if = |looked: bool, present: bool| match (looked, present) {
            (_, true) => Presence::Present,
            (true, false) => Presence::Absent,
            (false, false) => Presence::Unspecified,
        };
        let is_known = self.is_environment_known;
        let argv = &surroundings.argv;
        let shows_flags = !argv.is_empty() && arguments::is_case_itself(argv);
        let flag = |name| seen_if(shows_flags, arguments::has_flag(argv, name)).into();
        let base_url = surroundings.value(BASE_URL);
        let Self {
            config,
            models,
            tasks,
            ..
        } = self;
        AdmitRequest {
            host: launch.host.clone(),
            run_id: launch.run_id.clone(),
            lane: launch.lane.into(),
            stage: launch.stage,
            dry_run: launch.dry_run,
            expected_policy_digest: launch.expected_policy.map(text_of).unwrap_or_default(),
            admission_file_digest: String::new(),
            credential_source_class: launch.credential_source_class.clone(),
            case_config: (!self.generated.is_secret_in_case_config)
                .then(|| config.bytes().map(|bytes| bytes.to_vec().into()))
                .flatten(),
            case_model_override: seen_if(is_known, case::has_override(surroundings)).into(),
            model_flag: flag("model"),
            agent_flag: flag("agent"),
            visible_credentials: is_known.then(|| VisibleCredentials {
                names: credentials::visible(surroundings),
            }),
            target_repository: search::target_repository(
                surroundings,
                launch,
                config,
                models,
                tasks,
            )
            .into(),
            secret_scan: Some(search::secret_scan(surroundings, tasks, &self.generated)),
            fixture: Some(Fixture {
                kind: launch.fixture.into(),
            }),
            fake_baseline: launch
                .fake_baseline
                .clone()
                .map(|run_id| FakeBaseline { run_id }),
            local_provider: Some(LocalProvider {
                base_url: seen_if(true, base_url.is_some()).into(),
                endpoint_scope: EndpointScope::Unspecified.into(),
                adapter: pi::judge(models, &provider, &model, base_url).into(),
                served_model: launch.served_model.into(),
            }),
            provider,
            model,
        }
    }
}

fn text_of(digest: Digest) -> String {
    digest.to_string()
}

fn variable_text(
    surroundings: &Surroundings,
    about: &'static str,
    bound: Bound,
) -> Result<String, GatherError> {
    let Some(value) = surroundings.value(about) else {
        return Ok(String::new());
    };
    value
        .to_str()
        .filter(|text| bound.holds(text))
        .map(str::to_owned)
        .ok_or(GatherError::OutOfBounds { about, bound })
}

fn wire_scope(scope: Option<Scope>) -> EndpointScope {
    match scope {
        None => EndpointScope::Unspecified,
        Some(Scope::Loopback) => EndpointScope::Loopback,
        Some(Scope::Private) => EndpointScope::Private,
        Some(Scope::Tailnet) => EndpointScope::Tailnet,
        Some(Scope::Public) => EndpointScope::Public,
    }
}

#[cfg(test)]
mod tests;
