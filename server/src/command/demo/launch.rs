//! The launches that the demo asks about, as a launch wrapper would state them.

use admit_proto::v1::{
    AdapterState, AdmitRequest, EndpointScope, FakeBaseline, Fixture, FixtureKind, Lane,
    LocalProvider, Presence, ScanTarget, SecretScan, ServedModel, VisibleCredentials,
};

use super::stage::{ADMISSION, FALLBACK_ADMISSION, Stage};

/// One launch, and what the demo promises of it.
pub(super) struct Launch {
    pub(super) title: &'static str,
    pub(super) is_allowed: bool,
    pub(super) request: AdmitRequest,
}

/// Every launch, in the order of the demo.
pub(super) fn all(stage: &Stage) -> Vec<Launch> {
    vec![
        admitted(stage),
        denied(
            stage,
            "config.json has no `models`, so Case would fall back in silence",
            |request| {
                request.case_config = Some(r#"{"defaultModel":"qwen3.6-35b-a3b"}"#.into());
            },
        ),
        denied(
            stage,
            "one role of config.json has a model of its own",
            |request| {
                request.case_config = Some(
                    r#"{"models":{"default":{"provider":"qwen-local","model":"qwen3.6-35b-a3b"},
                    "reviewer":{"provider":"anthropic","model":"claude-sonnet-4-6"}}}"#
                        .into(),
                );
            },
        ),
        denied(
            stage,
            "a pair that nobody admitted: the model id differs in one letter's case",
            |request| {
                request.model = "qwen3.6-35B-a3b".into();
                request.case_config = Some(case_config("qwen-local", "qwen3.6-35B-a3b").into());
            },
        ),
        denied(
            stage,
            "the fallback pair, whose auth bridge is not proven",
            |request| {
                request.provider = "openai-codex".into();
                request.model = "gpt-5.5".into();
                request.credential_source_class = "codex-oauth".into();
                request.admission_file_digest = stage.digest_of(FALLBACK_ADMISSION);
                request.case_config = Some(case_config("openai-codex", "gpt-5.5").into());
            },
        ),
        denied(
            stage,
            "a key of another provider is in sight, and CASE_MODEL_OVERRIDE is set",
            |request| {
                request.case_model_override = Presence::Present.into();
                request.visible_credentials = Some(VisibleCredentials {
                    names: vec!["ANTHROPIC_API_KEY".into()],
                });
            },
        ),
        denied(stage, "a caller that states next to nothing", |request| {
            *request = AdmitRequest {
                host: request.host.clone(),
                run_id: request.run_id.clone(),
                lane: Lane::Real.into(),
                ..AdmitRequest::default()
            };
        }),
        fake_lane(),
    ]
}

/// The launch of the admitted pair, with every fact in order.
pub(super) fn admitted(stage: &Stage) -> Launch {
    Launch {
        title: "the admitted pair `qwen-local` / `qwen3.6-35b-a3b`, every fact in order",
        is_allowed: true,
        request: AdmitRequest {
            lane: Lane::Real.into(),
            stage: 2,
            provider: "qwen-local".into(),
            model: "qwen3.6-35b-a3b".into(),
            admission_file_digest: stage.digest_of(ADMISSION),
            credential_source_class: "pi-models-json-local-no-secret".into(),
            case_config: Some(case_config("qwen-local", "qwen3.6-35b-a3b").into()),
            case_model_override: Presence::Absent.into(),
            model_flag: Presence::Absent.into(),
            agent_flag: Presence::Absent.into(),
            visible_credentials: Some(VisibleCredentials { names: Vec::new() }),
            fake_baseline: Some(FakeBaseline { run_id: RUN.into() }),
            local_provider: Some(LocalProvider {
                base_url: Presence::Present.into(),
                endpoint_scope: EndpointScope::Loopback.into(),
                adapter: AdapterState::Valid.into(),
                served_model: ServedModel::NotProbed.into(),
            }),
            ..every_lane()
        },
    }
}

/// The harness run that the demo pretends to be.
const RUN: &str = "demo-run-1";

/// The facts that every lane needs.
fn every_lane() -> AdmitRequest {
    AdmitRequest {
        host: "demo-host".into(),
        run_id: RUN.into(),
        target_repository: Presence::Absent.into(),
        secret_scan: Some(SecretScan {
            covered: vec![
                ScanTarget::Argv.into(),
                ScanTarget::TaskFile.into(),
                ScanTarget::GeneratedConfig.into(),
            ],
            findings: Vec::new(),
        }),
        fixture: Some(Fixture {
            kind: FixtureKind::CopiedArtificial.into(),
        }),
        ..AdmitRequest::default()
    }
}

fn fake_lane() -> Launch {
    Launch {
        title: "the fake lane, which uses no model and needs no admission",
        is_allowed: true,
        request: AdmitRequest {
            lane: Lane::Fake.into(),
            ..every_lane()
        },
    }
}

/// The admitted launch with one thing changed.
fn denied(stage: &Stage, title: &'static str, change: impl FnOnce(&mut AdmitRequest)) -> Launch {
    let mut request = admitted(stage).request;
    change(&mut request);
    Launch {
        title,
        is_allowed: false,
        request,
    }
}

fn case_config(provider: &str, model: &str) -> String {
    format!(r#"{{"models":{{"default":{{"provider":"{provider}","model":"{model}"}}}}}}"#)
}
