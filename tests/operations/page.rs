//! The status page: what stands on it, that nothing in it is markup of somebody else, and its bounds.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use admit_proto::v1::AdmitRequest;

use super::{
    http::{Answer, get},
    policy, settings, start,
};
use crate::daemon::{
    Daemon, Settings,
    policy::{A, ADMISSION, B, RECORD},
    within,
};

/// A name that a policy document may have and a page must not take for markup.
const MARKUP: &str = "<script>alert(1)</script>";
/// Most rows of each table of the page.
const ROWS_MAX: usize = 50;

/// The page once it has `part` in it: it is at most a second old.
async fn page_with(address: SocketAddr, part: &str) -> String {
    let shown = async {
        loop {
            let Answer { status, body, .. } = get(address, "/").await;
            assert_eq!(status, 200);
            if body.contains(part) {
                return body;
            }
        }
    };
    within(&format!("`{part}` on the page"), shown).await
}

/// Whether each of `parts` stands on the page, in this order.
fn assert_in_order(page: &str, parts: &[&str]) {
    let mut rest = page;
    for part in parts {
        let (_, behind) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("no `{part}` in order in {page}"));
        rest = behind;
    }
}

/// What stands on the page of the test below, in this order.
const TOLD: &[&str] = &[
    "<h1>",
    "Serving",
    "Policy in force",
    "class=\"wide\"><dt>Digest",
    "external_provider_approved",
    "60 min",
    // The pairs: the admitted one first, then the others with their reasons.
    "Pairs",
    "1 admitted",
    "ADMITTED",
    A.0,
    "NOT ADMITTED",
    B.0,
    "pair-not-selected",
    "Expiry forecast",
    "2026-06-02 00:00:00 UTC",
    "expired",
    B.0,
    "2999-01-01 00:00:00 UTC",
    A.0,
    "Findings",
    "admission-not-selected",
    "CTO-CASE-MODEL-PROVIDER-ADMISSION.other.json:6:",
    "<mark>",
    "</mark>",
    "Help:",
    "Work items",
    "blocked",
    "CTO-WORK-021",
    "A route",
    "the weather",
    // The newest entry first.
    "Latest decisions",
    ">2</th>",
    "DENY",
    B.0,
    "dry run",
    "caller local",
    "pair-not-selected",
    ">1</th>",
    "ALLOW",
    A.0,
    "Audit trail",
    "WRITABLE",
    "no receiver",
    "Connections",
    "Watchers",
    "What the codes mean",
    "id=\"code-pair-not-selected\"",
];

#[tokio::test]
async fn the_page_tells_what_is_in_force_and_what_was_decided() {
    let folder = tempfile::tempdir().unwrap();
    let files = A.in_sot();
    files.write_to(folder.path());
    let sot = folder.path().join("sot");
    let other = B.admission_until("2026-06-02T00:00:00Z");
    fs::write(sot.join(ADMISSION.replace("chosen", "other")), other).unwrap();
    let items = "---\nlifecycle_classification: sot\n---\n\n## CTO-WORK-021 - A route\n\nStatus: blocked.\n\nBlocked by:\n\n- the weather\n";
    fs::write(sot.join("A-ISSUES.md"), items).unwrap();

    let mut daemon = start(folder.path()).await;
    let address = daemon.metrics_address().await;
    let mut client = daemon.client().await;
    let digest = client.policy().await.digest;
    client.admit(A.launch()).await.unwrap();
    let dry_run = AdmitRequest {
        dry_run: true,
        ..B.launch()
    };
    client.admit(dry_run).await.unwrap();

    let page = page_with(address, "dry run").await;
    assert_in_order(&page, TOLD);
    assert!(page.contains(&digest), "{page}");
}

#[tokio::test]
async fn what_documents_say_is_text_and_never_markup() {
    let folder = tempfile::tempdir().unwrap();
    let sot = folder.path().join("sot");
    fs::create_dir(&sot).unwrap();
    let model = A.0;
    // In the name of a model, of a file, in a line that is underlined, in a title and in a status.
    fs::write(sot.join(RECORD), A.record().replace(model, MARKUP)).unwrap();
    let admission = A.admission().replace(model, MARKUP);
    fs::write(sot.join(ADMISSION), &admission).unwrap();
    let broken = admission.replace("\"role\": \"primary\"", &format!("\"role\": \"{MARKUP}\""));
    let file = ADMISSION.replace("chosen", "<script>alert(2)<script>");
    fs::write(sot.join(file), broken).unwrap();
    let items = "---\nlifecycle_classification: sot\n---\n\n## CTO-WORK-021 - A `<script>alert(3)</script>`\n\nStatus: `<img src=x>`.\n";
    fs::write(sot.join("A-ISSUES.md"), items).unwrap();

    let mut daemon = start(folder.path()).await;
    let address = daemon.metrics_address().await;
    let request = AdmitRequest {
        model: MARKUP.into(),
        ..A.launch()
    };
    daemon.client().await.admit(request).await.unwrap();
    let page = page_with(address, ">1</th>").await;
    // It stands there, everywhere where it has to, and nowhere as it is.
    let escaped = |number: u8| format!("&#60;script&#62;alert({number})");
    assert!(page.matches(&escaped(1)).count() >= 4, "{page}");
    assert!(page.contains(&escaped(2)), "{page}");
    assert!(page.contains(&escaped(3)), "{page}");
    for markup in ["<script", "<img", "javascript:", "onerror="] {
        assert!(!page.contains(markup), "{markup} in {page}");
    }
}

#[tokio::test]
async fn a_text_of_a_caller_is_not_on_the_page() {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    let request = AdmitRequest {
        provider: "canary-provider".into(),
        model: "canary-model".into(),
        host: "canary-host".into(),
        run_id: "canary-run".into(),
        ..A.launch()
    };
    daemon.client().await.admit(request).await.unwrap();
    let page = page_with(address, "DENY").await;
    assert!(page.contains("(not in the policy)"), "{page}");
    assert!(!page.contains("canary"), "{page}");
}

#[tokio::test]
async fn a_table_has_a_last_row() {
    let folder = tempfile::tempdir().unwrap();
    let sot = folder.path().join("sot");
    A.in_sot().write_to(folder.path());
    // Each names a pair of its own that nobody selected: a pair, an admission and a finding each.
    for number in 0..ROWS_MAX + 9 {
        let admission = A.admission().replace(A.0, &format!("model-{number}"));
        let name = ADMISSION.replace("chosen", &number.to_string());
        fs::write(sot.join(name), admission).unwrap();
    }
    let items: String = (0..ROWS_MAX + 7)
        .map(|number| format!("## CTO-WORK-{number} - Work\n\nStatus: open.\n\n"))
        .collect();
    let items = format!("---\nlifecycle_classification: sot\n---\n\n{items}");
    fs::write(sot.join("A-ISSUES.md"), items).unwrap();

    let mut daemon = start(folder.path()).await;
    let address = daemon.metrics_address().await;
    let mut client = daemon.client().await;
    for _ in 0..ROWS_MAX + 3 {
        client.admit(A.launch()).await.unwrap();
    }
    let page = page_with(address, ">53</th>").await;
    // The admitted one is the first of the pairs, whatever else there is.
    assert_in_order(&page, &["Pairs", "ADMITTED", A.0, "and 10 more pairs"]);
    assert_in_order(&page, &["Expiry forecast", "and 10 more admissions"]);
    assert_in_order(&page, &["Findings", "and 9 more findings"]);
    assert_in_order(&page, &["Work items", "and 7 more work items"]);
    assert_eq!(page.matches("class=\"seq\"").count(), ROWS_MAX);
    assert_in_order(&page, &["Latest decisions", ">53</th>", ">4</th>"]);
    assert!(!page.contains(">3</th>"));
}

#[tokio::test]
async fn a_damaged_line_is_said_to_be_one() {
    let policy = policy();
    let audit = tempfile::tempdir().unwrap();
    let dir = audit.path().join("audit");
    let mut daemon = Daemon::start(&Settings {
        audit_dir: Some(dir.clone()),
        ..settings(policy.path())
    })
    .await;
    let address = daemon.metrics_address().await;
    daemon.client().await.admit(A.launch()).await.unwrap();
    let page = page_with(address, "ALLOW").await;
    assert!(!page.contains("damaged"), "{page}");
    let segment = segments(&dir).pop().unwrap();
    let log = fs::read_to_string(&segment).unwrap();
    fs::write(
        &segment,
        log.replace("\"verdict\":\"allow\"", "\"verdict\":\"deny\""),
    )
    .unwrap();
    let page = page_with(address, "1 damaged line").await;
    // An entry that is not what was written is not shown as if it were.
    assert!(!page.contains("DENY"), "{page}");
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_the_page_alone() {
    let policy = policy();
    let audit = tempfile::tempdir().unwrap();
    let dir = audit.path().join("audit");
    let mut daemon = Daemon::start(&Settings {
        audit_dir: Some(dir.clone()),
        ..settings(policy.path())
    })
    .await;
    let address = daemon.metrics_address().await;
    // Whoever opens it waits for somebody who writes.
    let hanging = dir.join("segment-00000000099999999999.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&hanging)
            .status()
            .unwrap()
            .success()
    );
    let [first, second] = [get(address, "/"), get(address, "/")];
    let (first, second) = tokio::join!(first, second);
    for answer in [first, second] {
        assert_eq!((answer.status, &*answer.body), (503, "busy\n"));
    }
    assert_eq!(get(address, "/livez").await.status, 200);
    assert_eq!(get(address, "/metrics").await.status, 200);
    // One at a time, whoever asks.
    assert_eq!(threads(&daemon, "status-page"), 1);
    assert_eq!(daemon.terminate().await.code(), Some(0));
}

fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect()
}

/// How many threads of the daemon have this name.
fn threads(daemon: &Daemon, name: &str) -> usize {
    let tasks = format!("/proc/{}/task", daemon.id());
    fs::read_dir(tasks)
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
        .filter(|comm| comm.trim() == name)
        .count()
}
