//! `replay`: every recorded decision is derived again, and what differs is named.

use std::{fs, sync::Arc, time::Duration};

use admit_policy::Timestamp;
use admit_server::{
    audit::{
        basis::Basis,
        record::{AdmissionStatus, Decision, Entry, Verdict},
    },
    config::Config,
};
use serde_json::{Value, json};

use crate::{
    audit,
    casebook::{Casebook, Standing as Stands},
    policy::{A, B},
    recording::{
        ALL_IN_ONE, Asked, Loaded, NOW, Recording, THREE_EACH, Written, folder, lines, numbered,
        rewrite, segments,
    },
};

const NOTHING: [&str; 0] = [];

/// A finding without its seq and id, and the summary.
fn findings(lines: &[Value]) -> (Vec<&Value>, &Value) {
    let (summary, findings) = lines.split_last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert!(
        lines
            .iter()
            .all(|line| line["schema"] == "admitd.audit.replay/1")
    );
    (findings.iter().collect(), summary)
}

/// Every case file, recorded and derived again: what closes the facts loses nothing that decides.
#[test]
fn every_case_is_derived_again() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), 512 * 1024);
    let casebook = Casebook::open().unwrap();
    let config = Config::parse(&casebook.config().unwrap()).unwrap();
    let mut codes = std::collections::BTreeSet::new();
    let mut count = 0;
    let files = casebook.files().unwrap();
    let entries = files
        .values()
        .flat_map(|file| file.denied.iter().chain(&file.allowed))
        .map(|entry| (entry, casebook.case(entry).unwrap()));
    let bases = casebook.bases().values();
    let bases = bases.map(|entry| (entry, casebook.base_case(entry).unwrap()));
    for (entry, case) in entries.chain(bases) {
        let loaded = Loaded::read(
            case.policy_dir.path(),
            config.terms.clone(),
            recording.key(),
        );
        let request = case.request(&loaded.snapshot.digest().to_string()).unwrap();
        let asked = Asked {
            request,
            at: Timestamp::parse(entry.now.as_deref().unwrap_or(NOW)).unwrap(),
            unverified_for: match entry.standing {
                Some(Stands::Stale) => config.terms.staleness_max,
                None | Some(Stands::Unavailable) => Duration::ZERO,
            },
        };
        let (decision, basis) = match entry.standing {
            Some(Stands::Unavailable) => (asked.decided(Err(recording.key())), None),
            None | Some(Stands::Stale) => {
                (asked.decided(Ok(&loaded)), Some(Arc::clone(&loaded.basis)))
            }
        };
        codes.extend(decision.reasons.clone());
        recording.record((Entry::Decision(Box::new(decision)), basis));
        count += 1;
    }
    assert!(count > 400, "{count} cases");
    assert_eq!(
        codes.len(),
        admit_policy::Code::ALL.len(),
        "every gate denies"
    );
    drop(recording);
    let done = audit(folder.path(), "replay", &["--json"]).exits(0).json();
    assert_eq!(
        (
            &done["decisions"],
            &done["same"],
            &done["differing"],
            &done["underivable"]
        ),
        (&json!(count), &json!(count), &json!(0), &json!(0))
    );
    // The key of the names has no part in it: an auditor gets no secret.
    fs::remove_file(folder.path().join("names-key")).unwrap();
    let done = audit(folder.path(), "replay", &NOTHING).exits(0);
    let expected = format!(
        "{count} decisions replayed: {count} as recorded, 0 different, 0 not to be derived\n"
    );
    assert_eq!(done.out, expected);
}

/// Makes a decision another one, before it is recorded.
type Edit = fn(&mut Decision, &Loaded);

/// One decision on the launch of `A` under its own policy, recorded as `edit` makes it.
fn recorded(edit: impl FnOnce(&mut Decision, &Loaded)) -> tempfile::TempDir {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let loaded = Loaded::of(&A.in_sot(), recording.key());
    let basis = Arc::clone(&loaded.basis);
    recording.record(Asked::now(numbered(A, 1)).entry(&loaded));
    let mut decision = Asked::now(numbered(A, 3)).decided(Ok(&loaded));
    edit(&mut decision, &loaded);
    recording.record((Entry::Decision(Box::new(decision)), Some(basis)));
    recording.record(Asked::now(numbered(A, 2)).entry(&loaded));
    folder
}

#[test]
fn a_decision_that_differs_is_named_with_both_answers() {
    let allow = json!({ "verdict": "allow", "reasons": [], "admission_status": "admitted" });
    let deny = |status: &str| json!({ "verdict": "deny", "reasons": ["review-due"], "admission_status": status });
    // Nobody can sign a wrong decision into the log but admitd itself; this stands for an admitd
    // that was wrong, or was not the one that it should have been.
    let folder = recorded(|decision, _| {
        decision.verdict = Verdict::Deny;
        decision.reasons = vec!["review-due".into()];
        decision.admission_status = AdmissionStatus::NotAdmitted;
    });
    let done = audit(folder.path(), "replay", &["--json"])
        .exits(1)
        .json_lines();
    let (findings, summary) = findings(&done);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["type"], "difference");
    assert_eq!(findings[0]["seq"], 2);
    assert_eq!(findings[0]["recorded"], deny("not_admitted"));
    assert_eq!(findings[0]["derived"], allow);
    assert_eq!(
        (&summary["same"], &summary["differing"]),
        (&json!(2), &json!(1))
    );
    let plain = audit(folder.path(), "replay", &NOTHING).exits(1);
    for text in [
        "DIFFERS entry 2 ",
        "recorded  DENY review-due (not_admitted)",
        "derived   ALLOW (admitted)",
        "3 decisions",
    ] {
        assert!(plain.out.contains(text), "{}", plain.out);
    }
}

#[test]
fn every_part_of_the_answer_is_compared() {
    let same = recorded(|_, _| {});
    audit(same.path(), "replay", &NOTHING).exits(0);
    let edits: [Edit; 7] = [
        |decision, _| decision.verdict = Verdict::Deny,
        |decision, _| decision.reasons = vec!["review-due".into()],
        |decision, _| decision.admission_status = AdmissionStatus::NotRequired,
        // What it was decided on decides too.
        |decision, _| decision.time = "2999-06-01T00:00:00Z".into(),
        |decision, _| decision.unverified_ns = Some(u64::MAX),
        |decision, _| decision.facts.stage = 3,
        |decision, _| decision.facts.model = "claude-beta-2".into(),
    ];
    for edit in edits {
        let folder = recorded(edit);
        let done = audit(folder.path(), "replay", &["--json"])
            .exits(1)
            .json_lines();
        assert_eq!(done.last().unwrap()["differing"], 1);
    }
}

#[test]
fn what_cannot_be_derived_is_named_with_the_reason() {
    let edits: [(Edit, &str); 10] = [
        (
            |decision, _| decision.basis = None,
            "does not state all of policy, basis and freshness",
        ),
        (
            |decision, _| decision.policy = None,
            "does not state all of",
        ),
        (
            |decision, _| decision.unverified_ns = None,
            "does not state all of",
        ),
        (
            |decision, _| decision.policy = Some("0".repeat(64)),
            "is that of the policy",
        ),
        (
            |decision, _| decision.basis = Some("0".repeat(64)),
            "cannot be read",
        ),
        (
            |decision, _| decision.basis = Some("../names-key".into()),
            "cannot be read",
        ),
        (|decision, _| decision.time = "yesterday".into(), "`time`"),
        (
            |decision, _| decision.facts.expected_policy = Some("x".into()),
            "`expected_policy`",
        ),
        (
            |decision, _| decision.facts.admission_file = Some("x".into()),
            "`admission_file`",
        ),
        (
            |decision, loaded| {
                let other = Basis::of(&loaded.snapshot, &crate::recording::terms(), &loaded.names);
                assert_eq!(
                    other.digest, loaded.basis.digest,
                    "a basis depends on nothing else"
                );
                decision.basis = Some(other.digest.to_string().to_uppercase());
            },
            "cannot be read",
        ),
    ];
    for (edit, reason) in edits {
        let folder = recorded(edit);
        let done = audit(folder.path(), "replay", &["--json"])
            .exits(1)
            .json_lines();
        let (findings, summary) = findings(&done);
        assert_eq!(findings.len(), 1, "{reason}");
        assert_eq!(
            (&findings[0]["type"], &findings[0]["seq"]),
            (&json!("underivable"), &json!(2))
        );
        let fault = findings[0]["fault"].as_str().unwrap();
        assert!(fault.contains(reason), "{fault}");
        assert_eq!(
            (&summary["same"], &summary["underivable"]),
            (&json!(2), &json!(1))
        );
        let plain = audit(folder.path(), "replay", &NOTHING).exits(1);
        assert!(
            plain.out.contains("CANNOT BE DERIVED entry 2 "),
            "{}",
            plain.out
        );
    }
}

#[test]
fn a_basis_that_was_edited_or_is_gone_is_reported() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    let of_a = Loaded::of(&A.in_sot(), recording.key());
    let of_b = Loaded::of(&B.in_sot(), recording.key());
    for loaded in [&of_a, &of_b, &of_a] {
        recording.record(Asked::now(numbered(A, 1)).entry(loaded));
    }
    drop(recording);
    let basis = |loaded: &Loaded| {
        let name = format!("bases/{}.json", loaded.basis.digest);
        folder.path().join(name)
    };
    audit(folder.path(), "replay", &NOTHING).exits(0);
    let text = fs::read_to_string(basis(&of_a)).unwrap();
    let edited = text.replace("2999-01-01", "2998-01-01");
    assert_ne!(text, edited);
    fs::write(basis(&of_a), edited).unwrap();
    fs::remove_file(basis(&of_b)).unwrap();
    let done = audit(folder.path(), "replay", &["--json"])
        .exits(1)
        .json_lines();
    let (found, summary) = findings(&done);
    let found: Vec<_> = found
        .iter()
        .map(|finding| {
            (
                finding["seq"].as_u64().unwrap(),
                finding["fault"].as_str().unwrap(),
            )
        })
        .collect();
    let changed = format!(
        "the basis `{}` was changed: its content has another digest",
        of_a.basis.digest
    );
    let gone = format!("the basis `{}` cannot be read", of_b.basis.digest);
    assert_eq!(
        found,
        [
            (1, changed.as_str()),
            (2, gone.as_str()),
            (3, changed.as_str())
        ]
    );
    assert_eq!(summary["underivable"], 3);
    fs::write(basis(&of_a), text).unwrap();
    let done = audit(folder.path(), "replay", &["--json"])
        .exits(1)
        .json_lines();
    assert_eq!(done.len(), 2);
}

#[test]
fn bases_in_any_order_are_found_again() {
    let folder = folder();
    let recording = Recording::in_dir(folder.path(), ALL_IN_ONE);
    // More policies than are kept in memory, each of them several times.
    let policies: Vec<Loaded> = (0..7)
        .map(|number| {
            let policy = A.at([
                &format!("sot-{number}/{}", crate::policy::RECORD),
                &format!("sot-{number}/{}", crate::policy::ADMISSION),
            ]);
            Loaded::of(&policy, recording.key())
        })
        .collect();
    for step in [1, 2, 3] {
        for number in 0..7 {
            let loaded = &policies[number * step % 7];
            recording.record(Asked::now(numbered(A, number + 1)).entry(loaded));
        }
    }
    let done = audit(folder.path(), "replay", &["--json"]).exits(0).json();
    assert_eq!(done["same"], 21);
}

#[test]
fn a_damage_is_found_on_the_way() {
    let written = Written::with(10, THREE_EACH);
    let segment = &segments(written.dir())[1];
    let mut lines: Vec<String> = lines(segment).into_iter().map(|(line, _)| line).collect();
    lines.remove(2);
    rewrite(segment, &lines);
    let done = audit(written.dir(), "replay", &["--json"]).exits(1).json();
    assert_eq!((&done["same"], &done["last_seq"]), (&json!(4), &json!(4)));
    assert_eq!(done["damage"]["code"], "entries-missing");
    assert_eq!(done["damage"]["line"], 3);
    let plain = audit(written.dir(), "replay", &NOTHING).exits(1);
    assert!(plain.out.starts_with("DAMAGED"), "{}", plain.out);
    assert!(
        plain.out.contains("4 decisions replayed: 4 as recorded"),
        "{}",
        plain.out
    );
}
