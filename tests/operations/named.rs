//! The files that name metrics (alert rules, dashboard, documentation), held against a running daemon.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use super::{http::get, policy, root, start};

/// Labels that Prometheus itself gives.
const SCRAPED: [&str; 2] = ["job", "instance"];

/// What is exposed, by the name of the metric.
pub(crate) type Exposed = BTreeMap<String, Metric>;

#[derive(Debug, Default)]
pub(crate) struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

impl Metric {
    /// What its samples end in, by its type.
    fn endings(&self) -> &'static [&'static str] {
        match &*self.kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            kind => panic!("a type that is not known: {kind}"),
        }
    }
}

/// The metrics of a page as text (`OpenMetrics`).
pub(crate) fn exposed(page: &str) -> Exposed {
    let mut found = Exposed::new();
    for line in page.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            let metric = found.entry(name.to_owned()).or_default();
            metric.kind = kind.to_owned();
        } else if let Some(helped) = line.strip_prefix("# HELP ") {
            let (name, help) = helped.split_once(' ').unwrap();
            let metric = found.entry(name.to_owned()).or_default();
            metric.help = help.to_owned();
        } else if !line.starts_with('#') {
            let (sample, labels) = sample(line);
            let metric = metric_of(&mut found, &sample);
            metric
                .labels
                .extend(labels.into_iter().filter(|label| label != "le"));
        }
    }
    found
}

/// The metric that a sample is of.
fn metric_of<'a>(found: &'a mut Exposed, sample: &str) -> &'a mut Metric {
    let metric = found.iter_mut().find(|(name, metric)| {
        let rest = sample.strip_prefix(name.as_str());
        rest.is_some_and(|rest| metric.endings().contains(&rest))
    });
    metric.unwrap_or_else(|| panic!("no type of `{sample}`")).1
}

/// The name of a sample or a selector at the start of `text`, and its labels.
fn sample(text: &str) -> (String, Vec<String>) {
    let end = text.find(|c: char| !is_of_name(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(rest) = rest.strip_prefix('{') else {
        return (name.to_owned(), Vec::new());
    };
    let (inside, _) = rest.split_once('}').unwrap();
    let labels = inside.split(',').filter_map(|matcher| {
        let end = matcher.find(['=', '!'])?;
        Some(matcher.split_at(end).0.trim().to_owned())
    });
    (name.to_owned(), labels.collect())
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// Every selector of a metric of admitd in `text`: its name, and the labels that it matches.
fn selectors(text: &str) -> Vec<(String, Vec<String>)> {
    text.match_indices("admit_")
        .filter(|(at, _)| !text.split_at(*at).0.ends_with(is_of_name))
        .map(|(at, _)| sample(text.split_at(at).1))
        .collect()
}

/// The labels that an expression groups by.
fn grouped(text: &str) -> Vec<String> {
    let groups = text.match_indices("by (").filter_map(|(at, start)| {
        let (_, rest) = text.split_at(at + start.len());
        Some(rest.split_once(')')?.0)
    });
    groups
        .flat_map(|group| group.split(','))
        .map(|label| label.trim().to_owned())
        .collect()
}

/// What is wrong with the expressions of a file.
fn faults(exposed: &Exposed, expressions: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    for expression in expressions {
        let mut known: BTreeSet<&str> = SCRAPED.into();
        for (name, matched) in selectors(expression) {
            let metric = exposed.iter().find(|(exposed, metric)| {
                let rest = name.strip_prefix(exposed.as_str());
                rest.is_some_and(|rest| metric.endings().contains(&rest))
            });
            let Some((_, metric)) = metric else {
                faults.push(format!("`{name}` is not exposed: {expression}"));
                continue;
            };
            known.extend(metric.labels.iter().map(String::as_str));
            if name.ends_with("_bucket") {
                known.insert("le");
            }
            for label in matched {
                let is_known = metric.labels.contains(&label) || SCRAPED.contains(&&*label);
                if !is_known {
                    faults.push(format!("`{name}` has no label `{label}`: {expression}"));
                }
            }
        }
        for label in grouped(expression) {
            if !known.contains(label.as_str()) {
                faults.push(format!("nothing has the label `{label}`: {expression}"));
            }
        }
    }
    faults
}

/// The expressions of the alert rules, each on a line of its own.
fn alert_expressions() -> Vec<String> {
    let text = fs::read_to_string(root().join("deploy/prometheus/alerts.yaml")).unwrap();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("expr: ").map(str::to_owned))
        .collect()
}

/// Every text of the dashboard, expressions among them.
fn dashboard_expressions() -> Vec<String> {
    fn texts(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => found.push(text.clone()),
            serde_json::Value::Array(values) => {
                values.iter().for_each(|value| texts(value, found));
            }
            serde_json::Value::Object(values) => {
                values.values().for_each(|value| texts(value, found));
            }
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            }
        }
    }
    let text = fs::read_to_string(root().join("deploy/grafana/admit.json")).unwrap();
    let mut found = Vec::new();
    texts(&serde_json::from_str(&text).unwrap(), &mut found);
    found
}

async fn exposed_by_a_daemon() -> Exposed {
    let policy = policy();
    let mut daemon = start(policy.path()).await;
    let address = daemon.metrics_address().await;
    exposed(&get(address, "/metrics").await.body)
}

#[tokio::test]
async fn alerts_and_dashboard_name_nothing_that_is_not_exposed() {
    let exposed = exposed_by_a_daemon().await;
    for (expressions, count_min) in [(alert_expressions(), 17), (dashboard_expressions(), 20)] {
        let named: usize = expressions.iter().map(|text| selectors(text).len()).sum();
        assert!(named >= count_min, "{named} of {expressions:?}");
        let faults = faults(&exposed, &expressions);
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
    // The check itself finds what it is for.
    for wrong in [
        "admit_serving_total",
        "admit_decisions",
        "admit_answer_seconds",
        "admit_nothing",
        "rate(admit_decisions_total{host=\"a\"}[5m])",
        "sum by (rpc) (admit_decisions_total)",
        "sum by (le) (admit_serving)",
    ] {
        assert_eq!(faults(&exposed, &[wrong.to_owned()]).len(), 1, "{wrong}");
    }
}

#[tokio::test]
async fn the_documentation_lists_every_metric() {
    let rows: String = exposed_by_a_daemon()
        .await
        .iter()
        .map(|(name, metric)| {
            let ending = metric.endings()[0].trim_end_matches("_bucket");
            let labels: Vec<String> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let help = metric.help.trim_end_matches('.');
            let labels = labels.join(", ");
            format!(
                "| `{name}{ending}` | {} | {labels} | {help} |\n",
                metric.kind
            )
        })
        .collect();
    let table = format!("| name | type | labels | meaning |\n| --- | --- | --- | --- |\n{rows}");
    let text = fs::read_to_string(root().join("docs/operations/metrics.md")).unwrap();
    let (_, rest) = text.split_once("<!-- metrics:").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let (listed, _) = rest.split_once("<!-- /metrics -->").unwrap();
    assert_eq!(listed, table, "the table has to read:\n{table}");
}

#[test]
fn every_alert_is_explained() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (rules, manual) = (
        read("deploy/prometheus/alerts.yaml"),
        read("docs/operations.md"),
    );
    let headings: Vec<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("### Admit"))
        .flat_map(|line| line.split(", Admit"))
        .collect();
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: Admit"))
        .collect();
    assert!(!alerts.is_empty());
    for alert in &alerts {
        assert!(
            headings.contains(alert),
            "docs/operations.md: no heading for Admit{alert}"
        );
    }
    for heading in headings {
        assert!(
            alerts.contains(&heading),
            "there is no alert Admit{heading}"
        );
    }
}
