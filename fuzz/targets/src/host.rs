//! A harness host, as the client gathers the facts of a launch there: Case's config, Pi's models,
//! environment files, task files, the command and its environment.
//!
//! An input is a bundle: `env` and `argv` have one variable or argument a line, every other file is
//! written to the host. A path that begins with `/` is one of that host. Deliberately absent: the network;
//! a base URL whose host is a name is looked at in the fake lane, where nobody resolves it.

use std::{
    ffi::OsString, os::unix::ffi::OsStrExt as _, path::Path, sync::LazyLock, time::Duration,
};

use admit_client::facts::{
    BASE_URL, Launch, Surroundings, TargetRepositories, child_environment, gather, has_secret,
};
use admit_proto::v1::{FixtureKind, Lane, ServedModel};
use admit_server::wire::request;
use prost::Message as _;
use tokio::runtime::{Builder, Runtime};

use crate::{
    bundle,
    held::{check_visible, check_without_canary},
};

const DEADLINE: Duration = Duration::from_secs(60);
/// The shortest base URL that is looked for in what travels; a shorter one may stand there by chance.
const BASE_URL_CHARS_MIN: usize = 12;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().unwrap());

/// What is gathered is a request that the server takes, without a secret, without the base URL, and
/// with nothing in a note that stands in a file.
pub fn launch(data: &[u8]) {
    let files = bundle::files(data);
    let host = bundle::folder(&files);
    let surroundings = surroundings(host.path(), &files);
    for value in child_environment(&surroundings, "").values() {
        assert!(
            !has_secret(&value.to_string_lossy()),
            "a child gets a secret"
        );
    }
    let base_url = surroundings
        .variables
        .get(std::ffi::OsStr::new(BASE_URL))
        .and_then(|url| url.to_str())
        .map(|url| url.trim_end_matches('/').to_owned());
    let lane = if base_url.as_deref().is_none_or(is_address) {
        Lane::Real
    } else {
        Lane::Fake
    };
    let launch = in_order(lane);
    let gathered = match RUNTIME.block_on(gather(surroundings, launch, DEADLINE)) {
        Ok(gathered) => gathered,
        Err(error) => {
            check_visible(&error.to_string());
            check_without_canary(error.to_string().as_bytes());
            return;
        }
    };
    for note in &gathered.notes {
        check_visible(&note.message);
        check_without_canary(format!("{note:?}").as_bytes());
    }
    for refusal in &gathered.refusals {
        check_without_canary(refusal.code.as_str().as_bytes());
    }
    let encoded = gathered.request.encode_to_vec();
    let found = base_url.filter(|url| url.len() >= BASE_URL_CHARS_MIN);
    if let Some(url) = found {
        let is_there = encoded
            .windows(url.len())
            .any(|part| part == url.as_bytes());
        assert!(!is_there, "the base URL travels");
    }
    let launch = request::launch(gathered.request).unwrap();
    assert!(!launch.observe().has_secret, "a secret travels");
}

/// A launch in order, apart from what is read.
fn in_order(lane: Lane) -> Launch {
    Launch {
        host: "spark-1".to_owned(),
        run_id: "run-1".to_owned(),
        lane,
        stage: 2,
        dry_run: false,
        expected_policy: None,
        credential_source_class: "none".to_owned(),
        fixture: FixtureKind::CopiedArtificial,
        fake_baseline: Some("run-1".to_owned()),
        served_model: ServedModel::NotProbed,
        probe: false,
        task_file: None,
        target_repositories: TargetRepositories::None,
    }
}

/// Whether the host of `base_url` is an address by its characters alone, so that nobody has to resolve
/// it.
fn is_address(base_url: &str) -> bool {
    let (_, rest) = base_url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_digit = |byte: u8| byte.is_ascii_digit() || b".:[]".contains(&byte);
    authority.bytes().all(is_digit)
        && !authority.contains("..")
        && authority.starts_with(|first: char| first.is_ascii_digit() || first == '[')
}

fn surroundings(host: &Path, files: &[bundle::File<'_>]) -> Surroundings {
    let lines = |name| {
        bundle::content(files, name)
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty() && !line.contains(&0))
    };
    let placed = |text: &[u8]| match text {
        [b'/', ..] => {
            let mut path = host.as_os_str().to_owned();
            path.push(std::ffi::OsStr::from_bytes(text));
            path
        }
        text => std::ffi::OsStr::from_bytes(text).to_owned(),
    };
    let variables: Vec<(OsString, OsString)> = lines("env")
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b'=')?;
            let name = std::ffi::OsStr::from_bytes(&line[..at]).to_owned();
            Some((name, placed(&line[at + 1..])))
        })
        .collect();
    Surroundings {
        variables: variables.into_iter().collect(),
        working_dir: host.join("work"),
        argv: lines("argv").map(placed).collect(),
    }
}
