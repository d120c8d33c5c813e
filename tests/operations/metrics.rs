//! Metrics: the gauges that are a look at the state, and that labels are words of closed sets.

use std::{collections::BTreeSet, fs, net::SocketAddr};

use admit_proto::v1::AdmitRequest;

use super::{
    http::get,
    named::{Exposed, exposed},
    policy, serves, start,
};
use crate::daemon::policy::{A, ADMISSION};

/// The value of the metric `name`, which has no labels.
async fn value(address: SocketAddr, name: &str) -> f64 {
    let page = get(address, "/metrics").await.body;
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no `{name}` in {page}"));
    line.parse().unwrap()
}

async fn is(address: SocketAddr, name: &str, expected: f64) -> bool {
    (value(address, name).await - expected).abs() < f64::EPSILON
}

#[tokio::test]
async fn gauges_are_a_look_at_the_state() {
    let folder = tempfile::tempdir().unwrap();
    A.in_sot().write_to(folder.path());
    fs::write(folder.path().join(ADMISSION.replace("chosen", "x")), "{}").unwrap();
    let mut daemon = start(folder.path()).await;
    let address = daemon.metrics_address().await;
    serves(&daemon).await;
    let findings = f64::from(daemon.client().await.policy().await.findings_count);
    assert!(findings > 0.0);
    for (name, expected) in [
        ("admit_serving", 1.0),
        ("admit_policy_admitted_pairs", 1.0),
        ("admit_policy_findings", findings),
        ("admit_policy_staleness_max_seconds", 3600.0),
        ("admit_audit_writable", 1.0),
        ("admit_audit_waiting_records", 0.0),
    ] {
        assert!(is(address, name, expected).await, "{name}");
    }
    let age = value(address, "admit_policy_age_seconds").await;
    assert!((0.0..3600.0).contains(&age), "{age}");
    // The admission of policy A ends with the year 2998.
    let expiry = value(address, "admit_policy_next_expiry_seconds").await;
    assert!((1e10..4e10).contains(&expiry), "{expiry}");
    assert!(
        value(address, "admit_certificate_expiry_seconds")
            .await
            .is_nan()
    );
}

#[tokio::test]
async fn without_a_policy_nothing_is_known_of_it() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut daemon = start(&nowhere.path().join("absent")).await;
    let address = daemon.metrics_address().await;
    assert!(is(address, "admit_serving", 0.0).await);
    assert!(is(address, "admit_policy_admitted_pairs", 0.0).await);
    assert!(value(address, "admit_policy_age_seconds").await.is_nan());
    assert!(
        value(address, "admit_policy_next_expiry_seconds")
            .await
            .is_nan()
    );
}

#[tokio::test]
async fn no_caller_makes_a_label() {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    let before = exposed(&get(address, "/metrics").await.body);
    let mut client = daemon.client().await;
    for number in 0..50 {
        let request = AdmitRequest {
            provider: format!("canary-{number}"),
            host: format!("canary-{number}"),
            ..A.launch()
        };
        client.admit(request).await.unwrap();
    }
    let page = get(address, "/metrics").await.body;
    assert!(!page.contains("canary"), "{page}");
    let names = |exposed: &Exposed| exposed.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&before), names(&exposed(&page)));
}
