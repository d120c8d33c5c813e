//! The gathering as a whole: what it states of a launch that is in order, what stays unstated, and
//! that nothing travels that must not.

use std::{ffi::OsString, fs, path::Path};

use admit_proto::v1::{AdapterState, FixtureKind, ScanTarget};
use prost::Message as _;

use super::*;

mod trust;

const SECRET: &str = "sk-ant-canary-0123456789abcdef";
const HOST_CANARY: &str = "127.0.0.77";
const BASE: &str = "http://127.0.0.77:8765/v1";
const DEADLINE: Duration = Duration::from_secs(20);

/// A folder in which a launch is in order.
struct Scene {
    folder: tempfile::TempDir,
    surroundings: Surroundings,
    launch: Launch,
}

/// What makes a launch another one.
type Change = fn(&mut Scene);

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = |name: &str| folder.path().join(name);
        for dir in ["case", "pi", "work"] {
            fs::create_dir(scene(dir)).unwrap();
        }
        let config = r#"{"models":{"default":{"provider":"qwen-local","model":"qwen3"}}}"#;
        fs::write(scene("case/config.json"), config).unwrap();
        let models = format!(
            r#"{{"providers":{{"qwen-local":{{"baseUrl":"{BASE}","api":"openai-completions",
            "apiKey":"none","models":[{{"id":"qwen3"}}]}}}}}}"#
        );
        fs::write(scene("pi/models.json"), models).unwrap();
        let task = r#"{"id":"t1","status":"active","created":"2026-06-01T12:00:00Z","repo":"fx"}"#;
        fs::write(scene("work/t1.task.json"), task).unwrap();
        fs::write(scene("work/t1.md"), "say hello").unwrap();
        fs::write(scene("admission.json"), "{}").unwrap();
        let variables = [
            (PROVIDER, "qwen-local".into()),
            (MODEL, "qwen3".into()),
            (BASE_URL, BASE.into()),
            ("CASE_DATA_DIR", scene("case").into_os_string()),
            ("PI_CODING_AGENT_DIR", scene("pi").into_os_string()),
            (
                "CTO_HARNESS_CASE_MODEL_ADMISSION_FILE",
                scene("admission.json").into_os_string(),
            ),
        ]
        .map(|(name, value)| (OsString::from(name), value));
        let argv = ["bun", "case.ts", "--task", "t1.task.json"];
        Self {
            surroundings: Surroundings {
                variables: variables.into(),
                working_dir: scene("work"),
                argv: argv.map(OsString::from).into(),
            },
            launch: Launch {
                host: "spark-1".into(),
                run_id: "run-1".into(),
                lane: Lane::Real,
                stage: 2,
                dry_run: false,
                expected_policy: None,
                credential_source_class: "none".into(),
                fixture: FixtureKind::CopiedArtificial,
                fake_baseline: Some("run-1".into()),
                served_model: ServedModel::NotProbed,
                probe: false,
                task_file: None,
                target_repositories: TargetRepositories::None,
            },
            folder,
        }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.surroundings
            .variables
            .insert(name.into(), value.into());
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    async fn gather(&self) -> Result<Gathered, GatherError> {
        gather(self.surroundings.clone(), self.launch.clone(), DEADLINE).await
    }

    async fn request(&self) -> AdmitRequest {
        self.gather().await.unwrap().request
    }
}

/// Whether `canary` is anywhere in what was gathered, as text or in the bytes that would travel.
fn leaks(gathered: &Result<Gathered, GatherError>, canary: &str) -> bool {
    let encoded = gathered
        .as_ref()
        .map(|gathered| gathered.request.encode_to_vec())
        .unwrap_or_default();
    let is_in_bytes = encoded
        .windows(canary.len())
        .any(|window| window == canary.as_bytes());
    let display = gathered
        .as_ref()
        .err()
        .map(ToString::to_string)
        .unwrap_or_default();
    is_in_bytes || format!("{gathered:?}{display}").contains(canary)
}

fn findings(request: &AdmitRequest) -> Vec<ScanTarget> {
    request.secret_scan.as_ref().unwrap().findings().collect()
}

fn covered(request: &AdmitRequest) -> Vec<ScanTarget> {
    request.secret_scan.as_ref().unwrap().covered().collect()
}

fn local(request: &AdmitRequest) -> LocalProvider {
    request.local_provider.unwrap()
}

#[tokio::test]
async fn a_launch_in_order_states_every_fact() {
    let scene = Scene::new();
    let gathered = scene.gather().await.unwrap();
    assert_eq!(gathered.notes, []);
    assert_eq!(gathered.refusals, []);
    assert_eq!(gathered.task_id.as_deref(), Some("t1"));
    let request = gathered.request;
    assert_eq!(request.provider, "qwen-local");
    assert_eq!(request.model, "qwen3");
    assert_eq!(request.admission_file_digest, Digest::of(b"{}").to_string());
    assert!(
        request
            .case_config
            .as_deref()
            .unwrap()
            .starts_with(b"{\"models\"")
    );
    assert_eq!(request.case_model_override(), Presence::Absent);
    assert_eq!(request.model_flag(), Presence::Absent);
    assert_eq!(request.agent_flag(), Presence::Absent);
    assert_eq!(request.target_repository(), Presence::Absent);
    assert_eq!(
        request.visible_credentials,
        Some(VisibleCredentials::default())
    );
    assert_eq!(
        covered(&request),
        [
            ScanTarget::Argv,
            ScanTarget::TaskFile,
            ScanTarget::GeneratedConfig
        ]
    );
    assert_eq!(findings(&request), []);
    let local = local(&request);
    assert_eq!(local.base_url(), Presence::Present);
    assert_eq!(local.endpoint_scope(), EndpointScope::Loopback);
    assert_eq!(local.adapter(), AdapterState::Valid);
    assert_eq!(local.served_model(), ServedModel::NotProbed);
}

#[tokio::test]
async fn the_base_url_never_travels() {
    let mut scene = Scene::new();
    let gathered = scene.gather().await;
    assert!(!leaks(&gathered, HOST_CANARY));

    scene.set(MODEL, BASE);
    let gathered = scene.gather().await;
    assert!(!leaks(&gathered, HOST_CANARY));
    assert_eq!(gathered.unwrap_err(), GatherError::BaseUrl { about: MODEL });

    for config in [
        format!(r#"{{"a":"{BASE}"}}"#),
        format!(r#"{{"a":"{}"}}"#, BASE.replace('/', r"\/")),
        format!(r#"{{"a":"{}","#, BASE.replace('h', r"\u0068")),
    ] {
        let scene = Scene::new();
        scene.write("case/config.json", &config);
        let gathered = scene.gather().await;
        assert!(!leaks(&gathered, HOST_CANARY));
        assert_eq!(
            gathered.unwrap_err(),
            GatherError::BaseUrl {
                about: "config.json"
            }
        );
    }
}

#[tokio::test]
async fn a_planted_secret_is_found_and_never_travels() {
    let plant_in_argv = |scene: &mut Scene| scene.surroundings.argv.push(SECRET.into());
    let plant_in_task = |scene: &mut Scene| scene.write("work/t1.md", SECRET);
    let plant_in_config = |scene: &mut Scene| {
        scene.write("case/config.json", &format!("{{\"models\":\"{SECRET}\"}}"));
    };
    let plant_in_models = |scene: &mut Scene| {
        let models = format!(r#"{{"providers":{{"p":{{"baseUrl":"u","apiKey":"{SECRET}"}}}}}}"#);
        scene.write("pi/models.json", &models);
    };
    let plant_in_variable = |scene: &mut Scene| scene.set("OPENAI_API_KEY", SECRET);
    let plants: [(Change, &[ScanTarget]); 5] = [
        (plant_in_argv, &[ScanTarget::Argv]),
        (plant_in_task, &[ScanTarget::TaskFile]),
        (plant_in_config, &[ScanTarget::GeneratedConfig]),
        (plant_in_models, &[ScanTarget::GeneratedConfig]),
        (plant_in_variable, &[]),
    ];
    for (plant, due) in plants {
        let mut scene = Scene::new();
        plant(&mut scene);
        let gathered = scene.gather().await;
        assert!(!leaks(&gathered, "canary"), "{due:?}");
        assert_eq!(findings(&gathered.unwrap().request), due);
        assert!(!format!("{:?}", scene.surroundings).contains("canary"));
    }
}

#[tokio::test]
async fn a_secret_in_a_text_that_travels_stops_the_gathering() {
    let mut in_provider = Scene::new();
    in_provider.set(PROVIDER, SECRET);
    let mut in_run = Scene::new();
    in_run.launch.run_id = SECRET.into();
    let mut in_class = Scene::new();
    in_class.launch.credential_source_class = SECRET.into();
    for (scene, about) in [
        (in_provider, PROVIDER),
        (in_run, "--run-id"),
        (in_class, "--credential-source-class"),
    ] {
        let gathered = scene.gather().await;
        assert!(!leaks(&gathered, "canary"));
        assert_eq!(gathered.unwrap_err(), GatherError::Secret { about });
    }
}

#[tokio::test]
async fn a_text_out_of_bounds_stops_the_gathering() {
    let mut scene = Scene::new();
    scene.set(PROVIDER, "qwen local");
    assert_eq!(
        scene.gather().await.unwrap_err(),
        GatherError::OutOfBounds {
            about: PROVIDER,
            bound: Bound::Provider
        }
    );
    let mut scene = Scene::new();
    scene.launch.run_id.clear();
    assert!(matches!(
        scene.gather().await.unwrap_err(),
        GatherError::OutOfBounds {
            about: "--run-id",
            ..
        }
    ));
    let mut scene = Scene::new();
    scene.launch.stage = STAGE_MAX + 1;
    assert_eq!(
        scene.gather().await.unwrap_err(),
        GatherError::StageOutOfBounds
    );
}

#[tokio::test]
async fn an_empty_environment_states_nothing_good() {
    let mut scene = Scene::new();
    scene.surroundings.variables.clear();
    scene.surroundings.argv.clear();
    scene.launch.target_repositories = TargetRepositories::These(vec!["/srv/app".into()]);
    let gathered = scene.gather().await.unwrap();
    let request = gathered.request;
    assert!(request.provider.is_empty() && request.admission_file_digest.is_empty());
    assert_eq!(request.case_config, None);
    assert_eq!(request.model_flag(), Presence::Unspecified);
    assert_eq!(request.agent_flag(), Presence::Unspecified);
    assert_eq!(request.target_repository(), Presence::Unspecified);
    assert_eq!(covered(&request), []);
    let local = local(&request);
    assert_eq!(local.base_url(), Presence::Absent);
    assert_eq!(local.endpoint_scope(), EndpointScope::Unspecified);
    assert_eq!(local.adapter(), AdapterState::Unspecified);
    let about: Vec<_> = gathered.notes.iter().map(|note| note.about).collect();
    assert_eq!(
        about,
        ["CASE_DATA_DIR", "PI_CODING_AGENT_DIR", "--task", "COMMAND"]
    );
}

#[tokio::test]
async fn a_dotenv_file_leaves_the_environment_unstated() {
    let mut scene = Scene::new();
    scene.write("work/.env", "CASE_MODEL_OVERRIDE=x");
    let request = scene.request().await;
    assert_eq!(request.case_model_override(), Presence::Unspecified);
    assert_eq!(request.visible_credentials, None);
    scene.set("CASE_MODEL_OVERRIDE", "");
    assert_eq!(
        scene.request().await.case_model_override(),
        Presence::Present
    );
}

#[tokio::test]
async fn a_target_repository_is_looked_for_everywhere() {
    let target = Path::new("/srv/app");
    let these = TargetRepositories::These(vec![target.into()]);
    let in_nothing = |_: &mut Scene| {};
    let in_argv = |scene: &mut Scene| scene.surroundings.argv.push("--repo=/srv/app".into());
    let in_task = |scene: &mut Scene| scene.write("work/t1.md", "look into /srv/app/src");
    let in_config =
        |scene: &mut Scene| scene.write("case/config.json", r#"{"projects":"\/srv\/app"}"#);
    let in_models = |scene: &mut Scene| scene.write("pi/models.json", r#"{"x":"/srv/app"}"#);
    let in_variable = |scene: &mut Scene| scene.set("OLDPWD", "/srv/app");
    let hidings: [(Change, Presence); 6] = [
        (in_nothing, Presence::Absent),
        (in_argv, Presence::Present),
        (in_task, Presence::Present),
        (in_config, Presence::Present),
        (in_models, Presence::Present),
        (in_variable, Presence::Present),
    ];
    for (at, (hide, due)) in hidings.into_iter().enumerate() {
        let mut scene = Scene::new();
        scene.launch.target_repositories = these.clone();
        hide(&mut scene);
        assert_eq!(scene.request().await.target_repository(), due, "{at}");
    }
    let mut unstated = Scene::new();
    unstated.launch.target_repositories = TargetRepositories::Unstated;
    assert_eq!(
        unstated.request().await.target_repository(),
        Presence::Unspecified
    );
}

#[tokio::test]
async fn the_fake_lane_resolves_no_endpoint() {
    let mut scene = Scene::new();
    scene.launch.lane = Lane::Fake;
    let gathered = scene.gather().await.unwrap();
    assert_eq!(
        local(&gathered.request).endpoint_scope(),
        EndpointScope::Unspecified
    );
    assert_eq!(gathered.notes, []);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_told_is_noted_without_its_value() {
    let mut scene = Scene::new();
    scene.set(BASE_URL, "http://jp:hunter2-canary@127.0.0.1/v1");
    let gathered = scene.gather().await;
    assert!(!leaks(&gathered, "canary"));
    let gathered = gathered.unwrap();
    assert_eq!(
        local(&gathered.request).endpoint_scope(),
        EndpointScope::Unspecified
    );
    assert_eq!(gathered.notes.len(), 1);
    assert_eq!(
        local(&gathered.request).adapter(),
        AdapterState::OtherEndpoint
    );
}
