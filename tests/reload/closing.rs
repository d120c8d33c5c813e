//! What closes at once, with which reasons, and what opens again.
//!
//! There is no last known good: an edit that breaks something is in force as it stands, until it is
//! mended.

use std::{fs, time::Instant};

use admit_proto::v1::{PairChanged, PairState, Verdict};

use crate::{
    assert_in_time,
    daemon::{
        Client, Daemon, Settings, codes,
        policy::{A, B},
        written,
    },
    writes::write,
};

/// One way to break policy A, and what is said about it then.
struct Break {
    name: &'static str,
    /// The file that is written, and its new text; without one it is deleted.
    file: &'static str,
    text: Option<String>,
    /// What denies a launch of the pair, by a host that has the file as it was.
    codes: &'static [&'static str],
    /// The places of the first reason.
    places: Vec<String>,
    /// The codes of the findings.
    findings: &'static [&'static str],
}

/// `path`, and the line and column at which `part` starts in `text`.
pub(crate) fn place(path: &str, text: &str, part: &str) -> String {
    let (before, _) = text.split_once(part).unwrap();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{path}:{line}:{column}")
}

pub(crate) const SOT_RECORD: &str = "sot/CTO-CASE-PROVIDER-DECISION-RECORD.md";
pub(crate) const SOT_ADMISSION: &str = "sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.chosen.json";
const OTHER_RECORD: &str = ".sot/CTO-CASE-PROVIDER-DECISION-RECORD.md";
const OTHER_ADMISSION: &str = "sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.again.json";
/// Has the form of a key and opens nothing.
const SECRET: &str = "sk-ant-0123456789abcdef";

fn broken_records() -> Vec<Break> {
    let misspelled = A
        .record()
        .replace("external_provider_approved", "external_provider_aproved");
    let leaking = A.record().replace("the end of the test", SECRET);
    vec![
        Break {
            name: "a misspelled branch",
            file: SOT_RECORD,
            codes: &["decision-record-invalid"],
            places: vec![place(SOT_RECORD, &misspelled, "`external_provider_aproved")],
            findings: &["decision-status-unknown"],
            text: Some(misspelled),
        },
        Break {
            name: "a secret in the record",
            file: SOT_RECORD,
            codes: &["decision-record-invalid"],
            places: vec![place(SOT_RECORD, &leaking, SECRET)],
            findings: &["secret-found"],
            text: Some(leaking),
        },
        Break {
            name: "no record",
            file: SOT_RECORD,
            text: None,
            codes: &["decision-record-missing"],
            places: Vec::new(),
            findings: &["decision-record-missing"],
        },
        Break {
            name: "a second record, the very same",
            file: OTHER_RECORD,
            text: Some(A.record()),
            codes: &["decision-record-conflict"],
            places: vec![format!("{OTHER_RECORD}:0:0"), format!("{SOT_RECORD}:0:0")],
            findings: &["decision-record-conflict", "decision-record-conflict"],
        },
        Break {
            name: "the record of another pair",
            file: SOT_RECORD,
            codes: &["pair-not-selected"],
            places: vec![place(SOT_RECORD, &B.record(), "`anthropic`")],
            findings: &["admission-not-selected"],
            text: Some(B.record()),
        },
    ]
}

fn broken_admissions() -> Vec<Break> {
    let slipped = A.admission().replace("\"model\":", "model:");
    let revoked = A.admission().replace("\"admitted\"", "\"revoked\"");
    let pair = place(SOT_ADMISSION, &A.admission(), "\"anthropic\"");
    vec![
        Break {
            name: "an admission with a slip",
            file: SOT_ADMISSION,
            codes: &["provider-model-not-admitted"],
            places: vec![place(SOT_ADMISSION, &slipped, "model:")],
            findings: &["json-malformed"],
            text: Some(slipped),
        },
        Break {
            name: "no admission",
            file: SOT_ADMISSION,
            text: None,
            codes: &["provider-model-not-admitted"],
            places: Vec::new(),
            findings: &[],
        },
        Break {
            name: "a second admission of the pair",
            file: OTHER_ADMISSION,
            text: Some(A.admission()),
            codes: &["admission-conflict"],
            places: vec![pair.replace(SOT_ADMISSION, OTHER_ADMISSION), pair],
            findings: &["admission-conflict", "admission-conflict"],
        },
        Break {
            name: "a revoked admission",
            file: SOT_ADMISSION,
            codes: &["admission-file-mismatch", "admission-revoked"],
            places: vec![format!("{SOT_ADMISSION}:0:0")],
            findings: &[],
            text: Some(revoked),
        },
    ]
}

#[tokio::test]
async fn a_broken_record_closes_at_once_and_says_where() {
    every_break(broken_records()).await;
}

#[tokio::test]
async fn a_broken_admission_closes_at_once_and_says_where() {
    every_break(broken_admissions()).await;
}

async fn every_break(breaks: Vec<Break>) {
    let folder = tempfile::tempdir().unwrap();
    let a = A.in_sot();
    a.write_to(folder.path());
    fs::create_dir(folder.path().join(".sot")).unwrap();
    let daemon = Daemon::start(&Settings::new(folder.path())).await;
    let mut client = daemon.client().await;
    let mut watch = client.watch(A.follow()).await.unwrap();
    assert_eq!(watch.policy_changed().await.digest, a.digest());
    assert_eq!(watch.pair_changed().await.state(), PairState::Admitted);
    for broken in &breaks {
        println!("{}", broken.name);
        let file = folder.path().join(broken.file);
        let former = fs::read(&file).ok();
        write(&file, broken.text.as_deref().map(str::as_bytes));
        let last_write = Instant::now();
        let policy = watch.policy_changed().await;
        let pair = watch.pair_changed().await;
        assert_in_time(last_write);
        assert_ne!(policy.digest, a.digest());
        assert_eq!(pair.state(), PairState::Revoked);
        assert_eq!(pair.policy_digest, policy.digest);
        says(&mut client, broken, &pair).await;

        write(&file, former.as_deref());
        assert_eq!(watch.policy_changed().await.digest, a.digest());
        let pair = watch.pair_changed().await;
        assert_eq!(
            (pair.state(), codes(&pair.reasons)),
            (PairState::Admitted, vec![])
        );
        let answer = client.admit(A.launch()).await.unwrap();
        assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");
    }
    assert!(!daemon.log().contains(SECRET));
}

/// The pair, a launch of it and the policy say what is wrong with the one file.
async fn says(client: &mut Client, broken: &Break, pair: &PairChanged) {
    let answer = client.admit(A.launch()).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Deny);
    assert_eq!(codes(&answer.reasons), broken.codes);
    let places: Vec<String> = answer.reasons[0].places.iter().map(written).collect();
    assert_eq!(places, broken.places);
    // The pair knows of no host, and so of no host's file.
    let of_pair: Vec<_> = answer
        .reasons
        .iter()
        .filter(|reason| reason.code != "admission-file-mismatch")
        .collect();
    assert_eq!(pair.reasons.iter().collect::<Vec<_>>(), of_pair);

    let policy = client.policy().await;
    let found: Vec<&str> = policy
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect();
    assert_eq!(found, broken.findings);
    let said = format!("{answer:?} {policy:?}");
    assert!(!said.contains(SECRET), "{said}");
}

#[tokio::test]
async fn a_host_with_a_broken_admission_file_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    let broken = A.admission().replace("\"primary\"", "\"main\"");
    fs::write(folder.path().join(SOT_ADMISSION), &broken).unwrap();
    let daemon = Daemon::start(&Settings::new(folder.path())).await;
    let answer = daemon
        .client()
        .await
        .admit(A.launch_with(&broken))
        .await
        .unwrap();
    assert_eq!(
        codes(&answer.reasons),
        ["admission-invalid", "provider-model-not-admitted"]
    );
    let places: Vec<String> = answer.reasons[0].places.iter().map(written).collect();
    assert_eq!(places, [place(SOT_ADMISSION, &broken, "\"main\"")]);
}
