//! What has to hold between the gathering and the start: the files, the refusals, the environment, and
//! what the endpoint says.

use std::{collections::BTreeSet, os::unix::fs::symlink};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

fn roles(gathered: &Gathered) -> Vec<(FileRole, bool)> {
    let mut roles: Vec<_> = gathered
        .files
        .iter()
        .map(|file| (file.role, file.digest.is_some()))
        .collect();
    roles.dedup();
    roles
}

fn changed(gathered: &Gathered) -> Vec<FileRole> {
    gathered
        .files
        .iter()
        .filter(|file| !file.is_unchanged())
        .map(|file| file.role)
        .collect()
}

#[tokio::test]
async fn every_file_that_a_fact_rests_on_is_given_with_the_digest_of_what_was_stated() {
    let scene = Scene::new();
    let gathered = scene.gather().await.unwrap();
    assert_eq!(
        roles(&gathered),
        [
            (FileRole::CaseConfig, true),
            (FileRole::Models, true),
            (FileRole::Task, true),
            (FileRole::TaskProse, true),
            (FileRole::TaskProse, false),
            (FileRole::BunConfig, false),
            (FileRole::Environment, false),
            (FileRole::PiPackage, false),
            (FileRole::PiAuth, false),
            (FileRole::Admission, true),
        ]
    );
    assert_eq!(changed(&gathered), []);
    let digest = |role| {
        gathered
            .files
            .iter()
            .find(|file| file.role == role)
            .and_then(|file| file.digest)
    };
    let stated = gathered.request.case_config.as_deref().unwrap();
    assert_eq!(digest(FileRole::CaseConfig), Some(Digest::of(stated)));
    let stated = Digest::parse(&gathered.request.admission_file_digest);
    assert_eq!(digest(FileRole::Admission), stated);
    // A path is for this host only.
    let folder = scene.folder.path().to_str().unwrap();
    let bytes = gathered.request.encode_to_vec();
    assert!(
        !bytes
            .windows(folder.len())
            .any(|window| window == folder.as_bytes())
    );
}

#[tokio::test]
async fn a_file_that_becomes_another_is_found() {
    for (name, role) in [
        ("case/config.json", FileRole::CaseConfig),
        ("case/pi-package/package.json", FileRole::PiPackage),
        ("pi/models.json", FileRole::Models),
        ("pi/auth.json", FileRole::PiAuth),
        ("work/t1.task.json", FileRole::Task),
        ("work/t1.md", FileRole::TaskProse),
        ("work/t1.task.md", FileRole::TaskProse),
        ("work/.env", FileRole::Environment),
        ("work/.env.test.local", FileRole::Environment),
        ("work/bunfig.toml", FileRole::BunConfig),
        ("admission.json", FileRole::Admission),
    ] {
        let scene = Scene::new();
        fs::create_dir(scene.folder.path().join("case/pi-package")).unwrap();
        let gathered = scene.gather().await.unwrap();
        assert_eq!(changed(&gathered), []);
        scene.write(name, "another");
        assert_eq!(changed(&gathered), [role], "{name}");
        fs::remove_file(scene.folder.path().join(name)).unwrap();
        symlink("/nowhere", scene.folder.path().join(name)).unwrap();
        assert_eq!(changed(&gathered), [role], "{name}");
    }
}

#[tokio::test]
async fn an_absent_adapter_is_relied_on_and_an_unread_file_is_not() {
    let scene = Scene::new();
    fs::remove_file(scene.folder.path().join("pi/models.json")).unwrap();
    let gathered = scene.gather().await.unwrap();
    assert!(roles(&gathered).contains(&(FileRole::Models, false)));
    scene.write("pi/models.json", "{}");
    assert_eq!(changed(&gathered), [FileRole::Models]);

    let scene = Scene::new();
    fs::remove_file(scene.folder.path().join("pi/models.json")).unwrap();
    fs::create_dir(scene.folder.path().join("pi/models.json")).unwrap();
    let gathered = scene.gather().await.unwrap();
    assert!(
        roles(&gathered)
            .iter()
            .all(|(role, _)| *role != FileRole::Models)
    );
    assert!(gathered.refusals.contains(&Refusal {
        code: RefusalCode::AdapterNotJudged,
        about: "models.json".into()
    }));
}

#[tokio::test]
async fn an_unread_file_was_not_searched() {
    for name in ["pi/models.json", "case/config.json"] {
        let mut scene = Scene::new();
        scene.launch.target_repositories = TargetRepositories::These(vec!["/srv/app".into()]);
        fs::remove_file(scene.folder.path().join(name)).unwrap();
        fs::create_dir(scene.folder.path().join(name)).unwrap();
        let request = scene.request().await;
        assert_eq!(
            covered(&request),
            [ScanTarget::Argv, ScanTarget::TaskFile],
            "{name}"
        );
        assert_eq!(request.target_repository(), Presence::Unspecified, "{name}");
    }
}

#[tokio::test]
async fn a_dotenv_file_that_is_not_loaded_is_not_relied_on() {
    let mut scene = Scene::new();
    scene.surroundings.argv.insert(1, "--no-env-file".into());
    scene.write("work/.env", "CASE_MODEL_OVERRIDE=x");
    let gathered = scene.gather().await.unwrap();
    assert_eq!(gathered.refusals, []);
    assert!(
        roles(&gathered)
            .iter()
            .all(|(role, _)| *role != FileRole::Environment)
    );
}

/// Launches that Case or Bun would read in another way than they are stated.
fn launches_with_other_arguments() -> [(Change, RefusalCode); 6] {
    [
        (
            |scene| scene.surroundings.argv.insert(0, "env".into()),
            RefusalCode::CommandNotCase,
        ),
        (
            |scene| scene.surroundings.argv.insert(2, "1234".into()),
            RefusalCode::TaskNotExplicit,
        ),
        (
            |scene| scene.write("work/t1.task.json", "{}"),
            RefusalCode::TaskInvalid,
        ),
        (
            |scene| scene.set("CASE_QUIET", "1"),
            RefusalCode::CaseQuietSet,
        ),
        (
            |scene| scene.set("CASE_PACKAGE_ROOT", "/x"),
            RefusalCode::CaseAssetsRedirected,
        ),
        (
            |scene| scene.write("work/.env", ""),
            RefusalCode::DotenvInWorkingDirectory,
        ),
    ]
}

/// Launches that would run other code, or reach another endpoint.
fn launches_led_elsewhere() -> [(Change, RefusalCode); 10] {
    [
        (
            |scene| scene.write("work/bunfig.toml", ""),
            RefusalCode::BunConfigInWorkingDirectory,
        ),
        (
            |scene| scene.set("BUN_OPTIONS", ""),
            RefusalCode::BunOptionsSet,
        ),
        (
            |scene| scene.set("LD_PRELOAD", "/x.so"),
            RefusalCode::CodeInjectionVariable,
        ),
        (
            |scene| scene.set("https_proxy", "http://10.0.0.1:1"),
            RefusalCode::ProxyConfigured,
        ),
        (
            |scene| scene.set("OPENAI_BASE_URL", "http://10.0.0.1"),
            RefusalCode::EndpointVariableSet,
        ),
        (
            |scene| scene.set("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
            RefusalCode::TlsNotVerified,
        ),
        (
            |scene| scene.set("PI_PACKAGE_DIR", "/x"),
            RefusalCode::PiPackageRedirected,
        ),
        (
            |scene| scene.write("pi/models.json", "{"),
            RefusalCode::AdapterNotJudged,
        ),
        (
            |scene| scene.write("pi/auth.json", r#"{"x":{"key":"!id"}}"#),
            RefusalCode::AdapterRunsCommand,
        ),
        (
            |scene| {
                let models =
                    fs::read_to_string(scene.folder.path().join("pi/models.json")).unwrap();
                scene.write("pi/models.json", &models.replace(HOST_CANARY, "10.0.0.1"));
            },
            RefusalCode::AdapterRedirectsModel,
        ),
    ]
}

#[tokio::test]
async fn every_refusal_has_a_launch_that_it_stops() {
    let rows = [
        &launches_with_other_arguments()[..],
        &launches_led_elsewhere(),
    ]
    .concat();
    let covered: BTreeSet<&str> = rows.iter().map(|(_, code)| code.as_str()).collect();
    assert_eq!(covered.len(), RefusalCode::ALL.len());
    for (change, code) in rows {
        let mut scene = Scene::new();
        change(&mut scene);
        let codes = |gathered: &Gathered| -> Vec<RefusalCode> {
            let refusals = &gathered.refusals;
            refusals.iter().map(|refusal| refusal.code).collect()
        };
        let gathered = scene.gather().await;
        assert!(!leaks(&gathered, HOST_CANARY), "{code:?}");
        assert_eq!(codes(&gathered.unwrap()), [code]);
        scene.launch.lane = Lane::Fake;
        let due = if code.lets_other_code_run() {
            vec![code]
        } else {
            vec![]
        };
        assert_eq!(codes(&scene.gather().await.unwrap()), due);
    }
}

#[tokio::test]
async fn refusals_are_in_order_and_bounded() {
    let mut scene = Scene::new();
    scene.set("PI_PACKAGE_DIR", "/x");
    scene.set("CASE_QUIET", "1");
    for number in 0..100 {
        scene.set(&format!("BUN_X{number}"), "1");
    }
    let gathered = scene.gather().await.unwrap();
    let codes: Vec<_> = gathered
        .refusals
        .iter()
        .map(|refusal| refusal.code)
        .collect();
    let mut due = vec![RefusalCode::CaseQuietSet];
    due.extend([RefusalCode::CodeInjectionVariable; 16]);
    due.push(RefusalCode::PiPackageRedirected);
    assert_eq!(codes, due);
}

#[tokio::test]
async fn the_facts_are_those_of_the_environment_that_the_command_gets() {
    let mut scene = Scene::new();
    scene.set("ANTHROPIC_API_KEY", SECRET);
    let names = |request: &AdmitRequest| request.visible_credentials.as_ref().unwrap().names.len();
    assert_eq!(names(&scene.request().await), 1);
    scene.surroundings.variables = child_environment(&scene.surroundings, "qwen-local");
    assert_eq!(names(&scene.request().await), 0);
}

/// A server that is asked once, answers with what it serves, or never.
async fn serving(model: Option<&'static str>) -> (String, task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let question = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).into_owned();
        if let Some(model) = model {
            let body = format!(r#"{{"data":[{{"id":"{model}","root":"/canary"}}]}}"#);
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        } else {
            // Until the other side has had enough.
            let _ = stream.read(&mut [0]).await;
        }
        head
    });
    (base_url, question)
}

#[tokio::test]
async fn the_endpoint_is_asked_when_the_caller_wants_it() {
    for (model, state, note) in [
        (Some("qwen3"), ServedModel::Match, None),
        (
            Some("other"),
            ServedModel::Mismatch,
            Some(ProbeFault::NotServed),
        ),
        (None, ServedModel::Mismatch, Some(ProbeFault::TimedOut)),
    ] {
        let (base_url, question) = serving(model).await;
        let mut scene = Scene::new();
        scene.launch.probe = true;
        scene.launch.served_model = ServedModel::Match;
        scene.set(BASE_URL, &base_url);
        scene.set("OPENAI_API_KEY", SECRET);
        let models = fs::read_to_string(scene.folder.path().join("pi/models.json")).unwrap();
        scene.write("pi/models.json", &models.replace(BASE, &base_url));
        let deadline = if model.is_none() {
            Duration::from_secs(1)
        } else {
            DEADLINE
        };
        let gathered = gather(scene.surroundings.clone(), scene.launch.clone(), deadline).await;
        assert!(!leaks(&gathered, "canary"));
        let gathered = gathered.unwrap();
        assert_eq!(local(&gathered.request).served_model(), state, "{model:?}");
        let noted = gathered
            .notes
            .iter()
            .filter(|noted| noted.about == BASE_URL)
            .map(|noted| noted.message.as_str())
            .next();
        assert_eq!(noted, note.map(ProbeFault::describe));
        let question = question.await.unwrap().to_lowercase();
        assert!(question.starts_with("get /v1/models http/1.1\r\n"));
        assert!(!question.contains("authorization") && !question.contains("canary"));
    }
}

#[tokio::test]
async fn the_endpoint_is_not_asked_in_the_fake_lane_or_without_a_wish() {
    let (base_url, question) = serving(Some("qwen3")).await;
    for (lane, probe) in [(Lane::Fake, true), (Lane::Real, false)] {
        let mut scene = Scene::new();
        scene.launch.probe = probe;
        scene.launch.lane = lane;
        scene.set(BASE_URL, &base_url);
        let request = scene.request().await;
        assert_eq!(local(&request).served_model(), ServedModel::NotProbed);
    }
    assert!(!question.is_finished());
    question.abort();

    let mut scene = Scene::new();
    scene.launch.probe = true;
    scene
        .surroundings
        .variables
        .remove(&OsString::from(BASE_URL));
    let request = scene.request().await;
    assert_eq!(local(&request).served_model(), ServedModel::Mismatch);
}
