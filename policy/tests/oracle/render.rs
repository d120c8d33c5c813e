//! From the description of a world to documents and facts.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use admit_policy::{
    Digest, Launch, Snapshot, SourceFile, Terms, document::Kind, facts::LocalProvider,
    facts::SecretScan, source_file::ContentFault,
};

use crate::world::{
    Admission, AdmissionForm, CANARY, Config, Entry, ExpectedPolicy, HostFile, Models, Policy,
    Record, RecordForm, World,
};

pub(crate) fn snapshot(policy: &Policy) -> Snapshot {
    let mut files = Vec::new();
    for (index, record) in policy.records.iter().enumerate() {
        files.push(SourceFile {
            path: format!("{index}/CTO-CASE-PROVIDER-DECISION-RECORD.md").into(),
            kind: Kind::DecisionRecord,
            content: record_content(record),
        });
    }
    for (index, admission) in policy.admissions.iter().enumerate() {
        let content = match admission.form {
            AdmissionForm::Unreadable => Err(ContentFault::Unreadable),
            _ => Ok(Arc::from(admission_bytes(admission))),
        };
        files.push(SourceFile {
            path: format!("CTO-CASE-MODEL-PROVIDER-ADMISSION.{index}.json").into(),
            kind: Kind::Admission,
            content,
        });
    }
    if let Some(text) = policy.work_items {
        files.push(SourceFile {
            path: "CTO-ISSUES.md".into(),
            kind: Kind::WorkItems,
            content: Ok(Arc::from(text.as_bytes())),
        });
    }
    Snapshot::build(&files)
}

fn record_content(record: &Record) -> Result<Arc<[u8]>, ContentFault> {
    match record.form {
        RecordForm::Unreadable => Err(ContentFault::Unreadable),
        RecordForm::TooLarge => Err(ContentFault::TooLarge),
        RecordForm::LinkNotFollowed => Err(ContentFault::LinkNotFollowed),
        _ => Ok(Arc::from(record_bytes(record))),
    }
}

fn record_bytes(record: &Record) -> Vec<u8> {
    let front = match record.lifecycle {
        Some(lifecycle) => format!("---\nlifecycle_classification: {lifecycle}\n---\n"),
        None => "---\ntitle: a record\n---\n".to_owned(),
    };
    let keys = keys_text(record);
    let heading = "\n## Current Decision State\n\n";
    let text = match record.form {
        RecordForm::KeysFenced => format!("{front}{heading}```\n{keys}```\n"),
        RecordForm::KeysCommented => format!("{front}{heading}<!--\n{keys}-->\n"),
        RecordForm::KeysQuoted => {
            let quoted: String = keys.lines().map(|line| format!("> {line}\n")).collect();
            format!("{front}{heading}{quoted}")
        }
        RecordForm::KeysUnderOtherHeading => {
            format!("{front}{heading}Nothing yet.\n\n## Proposed State\n\n{keys}")
        }
        RecordForm::SecondSection => format!("{front}{heading}{keys}{heading}{keys}"),
        RecordForm::LookalikeSection => {
            format!("{front}{heading}{keys}\n## Current decision state\n\n{keys}")
        }
        RecordForm::WithHistory => {
            format!("{front}{heading}{keys}\n## History\n\n- `decision_status`: `not_decided`.\n")
        }
        RecordForm::SecretInHistory => format!("{front}{heading}{keys}\n## History\n\n{CANARY}\n"),
        RecordForm::EndpointInHistory => {
            format!("{front}{heading}{keys}\n## History\n\nOnce at http://10.9.8.7:8000/v1.\n")
        }
        RecordForm::ByteOrderMark => format!("\u{feff}{front}{heading}{keys}"),
        RecordForm::NoFrontMatter => format!("{heading}{keys}"),
        RecordForm::Crlf => format!("{front}{heading}{keys}").replace('\n', "\r\n"),
        _ => format!("{front}{heading}{keys}"),
    };
    let mut bytes = text.into_bytes();
    if record.form == RecordForm::NotUtf8 {
        bytes.extend(b"\n\xff\n");
    }
    bytes
}

fn keys_text(record: &Record) -> String {
    const STRICT: [&str; 6] = [
        "decision_status",
        "provider_class",
        "provider",
        "model",
        "fallback_provider",
        "fallback_model",
    ];
    let mut text = String::new();
    for (index, (key, value)) in record.keys.iter().enumerate() {
        let bullet = match record.form {
            RecordForm::KeysNumbered => "1.",
            RecordForm::WithOtherBullets => "*",
            _ => "-",
        };
        let after = match record.form {
            RecordForm::WithProse if !STRICT.contains(key) => "; and `more` about it.",
            RecordForm::TrailingText if index == 0 => ", for now.",
            _ => ".",
        };
        let _ = if value.is_empty() {
            writeln!(text, "{bullet} `{key}`:")
        } else {
            writeln!(text, "{bullet} `{key}`: `{value}`{after}")
        };
    }
    text
}

/// The bytes of an admission file.
pub(crate) fn admission_bytes(admission: &Admission) -> Vec<u8> {
    let text = |value: &str| format!("\"{value}\"");
    let mut fields: Vec<(&str, String)> = Vec::new();
    let mut push = |name, value: Option<String>| {
        if let Some(value) = value {
            fields.push((name, value));
        }
    };
    push(
        "schema_version",
        admission.schema_version.map(str::to_owned),
    );
    push("work_item", admission.work_item.map(text));
    push("case_model_admission_status", admission.status.map(text));
    push("provider_class", admission.class.map(text));
    push("provider", admission.provider.map(text));
    push(
        "model",
        match admission.form {
            AdmissionForm::ModelIsANumber => Some("7".to_owned()),
            AdmissionForm::Escaped => admission.model.map(escaped),
            _ => admission.model.map(text),
        },
    );
    push("role", admission.role.map(text));
    push(
        "credential_source_class",
        admission.credential_source.map(text),
    );
    push("allowed_network_class", admission.network.map(text));
    push("approval_source", admission.approval_source.map(text));
    push(
        "admission_timestamp",
        admission.from.map(|time| text(time.text)),
    );
    push("review_trigger", Some(review_trigger(admission)));
    push(
        "evidence_expectations",
        admission.evidence.as_ref().map(|all| {
            let items: Vec<String> = all.iter().map(|item| text(item)).collect();
            format!("[{}]", items.join(","))
        }),
    );
    push(
        "auth_bridge",
        admission.bridge.map(|(status, evidence)| {
            format!("{{\"status\":\"{status}\",\"evidence\":\"{evidence}\"}}")
        }),
    );
    push(
        "note",
        (admission.form == AdmissionForm::UnknownField).then(|| text("x")),
    );
    push(
        "review_trigger",
        (admission.form == AdmissionForm::DuplicateField).then(|| review_trigger(admission)),
    );
    let members: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    formed(admission.form, &format!("{{{}}}", members.join(",\n")))
}

fn formed(form: AdmissionForm, object: &str) -> Vec<u8> {
    match form {
        AdmissionForm::ByteOrderMark => format!("\u{feff}{object}").into_bytes(),
        AdmissionForm::NotUtf8 => object.bytes().chain(*b"\xff").collect(),
        AdmissionForm::Truncated => object.trim_end_matches('}').to_owned().into_bytes(),
        AdmissionForm::NotAnObject => format!("[{object}]").into_bytes(),
        _ => object.to_owned().into_bytes(),
    }
}

fn review_trigger(admission: &Admission) -> String {
    let mut members: Vec<String> = Vec::new();
    members.extend(
        admission
            .review_condition
            .map(|text| format!("\"condition\":\"{text}\"")),
    );
    members.extend(
        admission
            .review_at
            .map(|time| format!("\"expires_at\":\"{}\"", time.text)),
    );
    match admission.form {
        AdmissionForm::UnknownInnerField => members.push("\"note\":\"x\"".to_owned()),
        AdmissionForm::DuplicateInnerField => {
            members.extend([
                "\"condition\":\"x\"".to_owned(),
                "\"condition\":\"y\"".to_owned(),
            ]);
        }
        _ => {}
    }
    format!("{{{}}}", members.join(","))
}

/// A JSON text with every character as an escape.
fn escaped(text: &str) -> String {
    let mut json = "\"".to_owned();
    for unit in text.encode_utf16() {
        let _ = write!(json, "\\u{unit:04x}");
    }
    json.push('"');
    json
}

/// The bytes of Case's config; `None` when there is none.
pub(crate) fn config_bytes(config: &Config) -> Option<Vec<u8>> {
    let (byte_order_mark, models, beside) = match config {
        Config::Missing => return None,
        Config::Broken(bytes) => return Some(bytes.to_vec()),
        Config::Object {
            byte_order_mark,
            models,
            beside,
        } => (byte_order_mark, models, beside),
    };
    let models = match models {
        Models::Absent => None,
        Models::NotAnObject(json) => Some((*json).to_owned()),
        Models::Entries(entries) => {
            let members: Vec<String> = entries
                .iter()
                .map(|(name, entry)| match entry {
                    Entry::Pair(provider, model) => {
                        format!("\"{name}\":{{\"provider\":\"{provider}\",\"model\":\"{model}\"}}")
                    }
                    Entry::Falsy(json) | Entry::Malformed(json) => format!("\"{name}\":{json}"),
                })
                .collect();
            Some(format!("{{{}}}", members.join(",")))
        }
    };
    let members: Vec<String> = models
        .map(|models| format!("\"models\":{models}"))
        .into_iter()
        .chain(beside.map(str::to_owned))
        .collect();
    let mark = if *byte_order_mark { "\u{feff}" } else { "" };
    Some(format!("{mark}{{{}}}", members.join(",")).into_bytes())
}

/// The bytes of the admission file on the host.
pub(crate) fn host_file(world: &World) -> Option<Vec<u8>> {
    match world.stated.host_file {
        HostFile::Unset => None,
        HostFile::CopyOf(index) => Some(match world.policy.admissions.get(index) {
            Some(admission) => admission_bytes(admission),
            None => b"a file of another policy".to_vec(),
        }),
        HostFile::Other => Some(b"another file".to_vec()),
    }
}

pub(crate) fn terms(world: &World) -> Terms {
    let classes = world.network_classes.iter();
    Terms {
        staleness_max: Duration::from_secs(world.staleness_max_s),
        network_classes: classes
            .map(|(name, scopes)| ((*name).to_owned(), scopes.iter().copied().collect()))
            .collect::<BTreeMap<_, _>>(),
    }
}

pub(crate) fn launch(world: &World, snapshot: &Snapshot) -> Launch {
    let stated = &world.stated;
    Launch {
        host: stated.host.to_owned(),
        run_id: stated.run.to_owned(),
        lane: stated.lane,
        stage: stated.stage,
        expected_policy: match stated.expected_policy {
            ExpectedPolicy::Unset => None,
            ExpectedPolicy::Same => Some(snapshot.digest()),
            ExpectedPolicy::Other => Some(Digest::of(b"another policy")),
        },
        provider: stated.provider.to_owned(),
        model: stated.model.to_owned(),
        admission_file: host_file(world).map(|bytes| Digest::of(&bytes)),
        credential_source_class: stated.credential_source.to_owned(),
        case_config: config_bytes(&stated.config),
        case_model_override: stated.model_override,
        model_flag: stated.model_flag,
        agent_flag: stated.agent_flag,
        visible_credentials: stated
            .credentials
            .as_ref()
            .map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        target_repository: stated.target_repository,
        secret_scan: stated.scan_covered.as_ref().map(|covered| SecretScan {
            covered: covered.clone(),
            findings: stated.scan_findings.clone(),
        }),
        fixture: stated.fixture,
        fake_baseline_run: stated.baseline_run.map(str::to_owned),
        local_provider: LocalProvider {
            base_url: stated.base_url,
            endpoint_scope: stated.scope,
            adapter: stated.adapter,
            served_model: stated.served_model,
        },
    }
}
