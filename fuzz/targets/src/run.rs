//! What a run left on its host: the evidence folder, Case's event log, its standard error, session
//! logs of Pi.
//!
//! These are modules of the `admit` command, compiled in here. Deliberately absent: the verdict, which
//! is the server's.

use admit_client::facts::has_secret;
use admit_policy::{Digest, bounds::Bound};
use admit_proto::v1::PipelineOutcome;
use admit_server::wire::evidence::handed;
use prost::Message as _;
use serde_json::Value;

use crate::{
    bundle,
    evidence::{
        Inputs, collect,
        folder::EvidenceFolder,
        observed::{MODELS_MAX, Observed},
        pipeline::Pipeline,
        withholding::{Endpoint, Withholding},
    },
    held::check_visible,
};

/// The value of the variable of the base URL, and its host.
const BASE_URL: &str = "http://10.1.2.3:8000/v1";
const BASE_URL_HOST: &str = "10.1.2.3";
/// What no kept line may have.
const SECRET: &[u8] = b" sk-ant-canary0123456789abcd ";

/// An evidence folder: what is collected is a request that the server takes, without the endpoint and
/// without a secret, and a pass is one in its event log.
pub fn evidence_folder(data: &[u8]) {
    let files = bundle::files(data);
    let host = bundle::folder(&files);
    for lane in ["real", "fake"] {
        let log = bundle::content(&files, &format!("{lane}/backend/case.stderr.log"));
        let run = format!("{lane}/run.json");
        let digest = format!("\"stderr\":\"{}\"", Digest::of(log));
        let content = String::from_utf8_lossy(bundle::content(&files, &run))
            .replace("\"stderr\":\"@\"", &digest);
        if !content.is_empty() {
            bundle::write(host.path(), &run, content.as_bytes());
        }
    }
    let path = |name: &str| host.path().join(name);
    let report = path("harness-report.json");
    let inputs = Inputs {
        fixture_dir: Some(path("fixture")),
        task_id: Some("t1".to_owned()),
        agent_dir: Some(path("agent")),
        may_have_trace: true,
        held: None,
        before: None,
        baseline: path("fake").is_dir().then(|| path("fake")),
        report: report.is_file().then_some(report),
        base_url: Some(BASE_URL.to_owned()),
    };
    let collected = match collect(&EvidenceFolder::new(path("real")), &inputs) {
        Ok(collected) => collected,
        Err(error) => return check_visible(&error.to_string()),
    };
    let request = collected.request;
    let encoded = request.encode_to_vec();
    let has_host = encoded
        .windows(BASE_URL_HOST.len())
        .any(|part| part == BASE_URL_HOST.as_bytes());
    assert!(!has_host, "the endpoint travels");
    if request.pipeline() == PipelineOutcome::Passed {
        let log = files.iter().any(|(name, content)| {
            name.ends_with(".jsonl")
                && Pipeline::read(content, None).outcome == PipelineOutcome::Passed
        });
        assert!(log, "a pass without an event log that says so");
    }
    let written = std::fs::read(path("real/report.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert!(written.is_object());
    let handed = handed(request).unwrap();
    let evidence = handed.run.under(admit_policy::evidence::Permit::Invalid);
    assert!(!evidence.has_secret, "a secret travels");
}

/// An event log of Case: a pass is a whole log from its start to an end that says so.
pub fn event_log(data: &[u8]) {
    let pipeline = Pipeline::read(data, None);
    let cut = pipeline.clone().cut("it was cut");
    assert_ne!(cut.outcome, PipelineOutcome::Passed);
    assert_eq!(
        pipeline.fault.is_none(),
        pipeline.outcome == PipelineOutcome::Passed
    );
    if pipeline.outcome != PipelineOutcome::Passed {
        return;
    }
    let text = std::str::from_utf8(data).unwrap();
    let events: Vec<Value> = text
        .strip_suffix('\n')
        .unwrap()
        .split('\n')
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(events[0]["event"], "pipeline_start");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "pipeline_end");
    assert_eq!(last["outcome"], "completed");
    let phases = events
        .iter()
        .filter(|event| event["event"] == "phase_start");
    let starts: u64 = pipeline.agents.values().sum();
    assert_eq!(u64::try_from(phases.count()).unwrap(), starts);
    // Neither a part of it nor more than it is a pass.
    let shorter = &data[..data.len() - 1];
    let longer = [data, b"{}\n"].concat();
    for other in [shorter, &longer] {
        let other = Pipeline::read(other, None);
        assert_ne!(other.outcome, PipelineOutcome::Passed);
    }
    let other_task = Pipeline::read(data, Some("another task than any"));
    assert_ne!(other_task.outcome, PipelineOutcome::Passed);
}

/// Standard error of Case and a session log of Pi: every model that is seen can be stated, and a line
/// with a secret or the endpoint is withheld.
pub fn run_logs(data: &[u8]) {
    let mut observed = Observed::default();
    observed.read_stderr(data);
    observed.read_session(data);
    assert!(observed.models().len() <= MODELS_MAX);
    for seen in observed.models() {
        assert!(Bound::Agent.holds(&seen.agent), "{seen:?}");
        assert!(Bound::Provider.holds(&seen.provider), "{seen:?}");
        assert!(Bound::Model.holds(&seen.model), "{seen:?}");
        for text in [&seen.agent, &seen.provider, &seen.model] {
            assert!(!text.is_empty() && !has_secret(text), "{seen:?}");
        }
    }
    if data.last().is_some_and(|byte| *byte != b'\n') {
        assert!(!observed.faults().is_empty(), "a torn log is complete");
    }
    let endpoint = Endpoint::new(Some(BASE_URL));
    let mut withholding = Withholding::new(&endpoint);
    for line in data.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        if !withholding.withholds(line) {
            assert!(
                !has_secret(&text) && !text.contains(BASE_URL_HOST),
                "{text}"
            );
        }
        assert!(Withholding::new(&endpoint).withholds(&[line, SECRET].concat()));
        assert!(Withholding::new(&endpoint).withholds(&[line, BASE_URL.as_bytes()].concat()));
    }
}
