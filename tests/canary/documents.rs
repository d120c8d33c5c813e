//! Policies with canaries in everything that a person can write: one that is in force, and one that
//! is wrong in every way.

use std::{fs, path::Path};

use crate::{
    Canaries,
    daemon::policy::{A, ADMISSION, B, RECORD},
};

/// The policy of pair A, in force, with canaries wherever it takes them. The text of its admission.
pub(crate) fn write_valid(folder: &Path, canaries: &mut Canaries) -> String {
    let mut put = |text: String, from: &str, place: &str| {
        let canary = canaries.plant(place);
        let to = from
            .replace("a test", &canary)
            .replace("the end of the test", &canary);
        let to = to.replace("CTO-WORK-020", &format!("{canary}.md"));
        let to = to.replace("the pair stands in the report", &canary);
        let to = to.replace("launches of this pair may start", &canary);
        let to = to.replace("CTO Case Provider Decision Record", &canary);
        assert_ne!(from, to);
        assert!(text.contains(from), "{from}");
        text.replace(from, &to)
    };
    let mut record = A.record();
    for from in [
        "CTO Case Provider Decision Record",
        "`approval_source`: a test.",
        "`review_trigger`: the end of the test.",
        "`evidence_sources`: `CTO-WORK-020`.",
        "`effect`: launches of this pair may start.",
    ] {
        record = put(record, from, from);
    }
    let mut admission = A.admission();
    for from in [
        r#""approval_source": "a test""#,
        r#""condition": "the end of the test""#,
        r#"["the pair stands in the report"]"#,
    ] {
        admission = put(admission, from, from);
    }
    let prose = canaries.plant("prose of the record");
    let fence = canaries.plant("a code fence of the record");
    let comment = canaries.plant("a comment in the record");
    record.push_str(&format!(
        "\n## {prose}\n\n{prose}\n\n```\n{fence}\n```\n\n<!-- {comment} -->\n"
    ));
    let class = canaries.plant("classes of an admission");
    let other = B
        .admission()
        .replace("harness-secret-store", &class)
        .replace("anthropic-service", &class);
    let sot = folder.join("sot");
    fs::create_dir_all(&sot).unwrap();
    fs::write(sot.join(RECORD), record).unwrap();
    fs::write(sot.join(ADMISSION), &admission).unwrap();
    let name = "CTO-CASE-MODEL-PROVIDER-ADMISSION.other.json";
    fs::write(sot.join(name), other).unwrap();
    admission
}

/// Documents that are wrong, each with a canary at the place that is wrong.
pub(crate) fn write_invalid(folder: &Path, canaries: &mut Canaries) {
    let mut record = A.record();
    for (from, to, place) in [
        ("external_provider_approved", "{}", "an unknown status"),
        ("title: ", "{}: [\ntitle: ", "front matter that is no YAML"),
        (
            "- `effect`: ",
            "- `{}`: `{}`.\n- `effect`: ",
            "an unknown key",
        ),
        ("a test", "token=sk-ant-{}{}", "a secret in the record"),
        (
            "the end of the test",
            "see http://{}.local:8080/",
            "an endpoint in the record",
        ),
    ] {
        let canary = canaries.plant(place);
        assert!(record.contains(from), "{from}");
        record = record.replacen(from, &to.replace("{}", &canary), 1);
    }
    fs::write(folder.join(RECORD), record).unwrap();
    for (number, (from, to, place)) in [
        (
            "\"schema_version\": 1",
            "\"schema_version\": \"{}\"",
            "a wrong type",
        ),
        ("\"admitted\"", "\"{}\"", "an unknown admission status"),
        ("\"role\"", "\"{}\"", "an unknown member"),
        (
            "\"primary\"",
            "\"primary\", \"{}\": 1, \"{}\": 2",
            "a member twice",
        ),
        ("claude-alpha-1", "{} *", "a model that is none"),
        ("a test", "password: {}{}", "a secret"),
        ("a test", "http://user:{}@10.0.0.1/", "an endpoint"),
        ("2026-06-01T12:00:00Z", "{}", "a time that is none"),
        ("{\n", "{}", "no JSON"),
    ]
    .into_iter()
    .enumerate()
    {
        let canary = canaries.plant(place);
        let admission = A.admission();
        assert!(admission.contains(from), "{from}");
        let admission = admission.replacen(from, &to.replace("{}", &canary), 1);
        let name = format!("CTO-CASE-MODEL-PROVIDER-ADMISSION.{number}.json");
        fs::write(folder.join(name), admission).unwrap();
    }
    let items = canaries.plant("a work item");
    fs::write(
        folder.join("CTO-ISSUES.md"),
        format!("# {items}\n\n## CTO-WORK-020 - {items}\n\nStatus: {items}\n\nBlocked by:\n\n- {items}\n"),
    )
    .unwrap();
}
