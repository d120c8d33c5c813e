//! The case files, each entry decided in process: documents are read as the daemon reads them,
//! requests as they come from the wire. Beside that, what a reader may rely on in those files.
//!
//! Deliberately absent: the daemon and the network; `tests/interop/` sends the same entries there.

mod casebook;

use std::time::Duration;

use admit_policy::{
    Code, Snapshot, Standing, Timestamp, Verdict, decide, decide::AdmissionStatus, facts::Lane,
};
use admit_server::{
    config::Config,
    store::scan::{Limits, scan},
    wire::request::launch,
};
use casebook::{Case, Casebook, Entry, Fault, Standing as Stands};

/// When everything is decided that does not say when. Every other time in the documents is far from
/// it, so that the daemon's own clock gives the same answers.
const NOW: &str = "2027-01-01T00:00:00Z";

/// What was decided.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    codes: Vec<String>,
    status: AdmissionStatus,
}

fn decided(casebook: &Casebook, entry: &Entry, case: Case) -> Result<(Outcome, Lane), Fault> {
    let config = Config::parse(&casebook.config()?).map_err(|error| error.to_string())?;
    let reading = scan(case.policy_dir.path(), &Limits::DEFAULT).map_err(|e| e.to_string())?;
    let snapshot = Snapshot::build_with_strays(&reading.files, reading.strays);
    let standing = Standing {
        snapshot: Some(&snapshot).filter(|_| entry.standing != Some(Stands::Unavailable)),
        unverified_for: match entry.standing {
            None => Duration::ZERO,
            Some(Stands::Stale) => config.terms.staleness_max,
            Some(Stands::Unavailable) => Duration::MAX,
        },
        terms: &config.terms,
    };
    let request = case.request(&snapshot.digest().to_string())?;
    let launch = launch(request).map_err(|violations| format!("{violations:?}"))?;
    let facts = launch.observe();
    let now = entry.now.as_deref().unwrap_or(NOW);
    let now = Timestamp::parse(now).ok_or_else(|| format!("`now`: `{now}` is no time"))?;
    let decision = decide(&standing, &facts, now);
    let codes = match decision.verdict {
        Verdict::Allow => Vec::new(),
        Verdict::Deny(reasons) if reasons.is_empty() => return Err("DENY without a reason".into()),
        Verdict::Deny(reasons) => reasons.iter().map(|r| r.code.as_str().to_owned()).collect(),
    };
    let status = decision.admission_status;
    Ok((Outcome { codes, status }, facts.lane))
}

/// Holds a case against the codes that it has to be denied with; none stands for ALLOW.
fn check(
    casebook: &Casebook,
    entry: &Entry,
    case: Result<Case, Fault>,
    codes: &[String],
) -> Result<(), Fault> {
    let (outcome, lane) = decided(casebook, entry, case?)?;
    let status = match lane {
        Lane::Fake => AdmissionStatus::NotRequired,
        Lane::Real if codes.is_empty() => AdmissionStatus::Admitted,
        Lane::Real | Lane::Unspecified => AdmissionStatus::NotAdmitted,
    };
    let expected = Outcome {
        codes: codes.to_vec(),
        status,
    };
    if outcome == expected {
        Ok(())
    } else {
        Err(format!("expected {expected:?}\n    and got  {outcome:?}"))
    }
}

#[test]
fn every_entry_is_decided_as_it_says() {
    let casebook = Casebook::open().unwrap();
    let mut faults = Vec::new();
    let mut count = 0;
    for (file, cases) in casebook.files().unwrap() {
        let own = [cases.gate.clone()];
        let denied = cases
            .denied
            .iter()
            .map(|entry| (entry, entry.codes.as_deref().unwrap_or(&own)));
        let allowed = cases.allowed.iter().map(|entry| (entry, &[][..]));
        for (entry, codes) in denied.chain(allowed) {
            count += 1;
            if let Err(fault) = check(&casebook, entry, casebook.case(entry), codes) {
                faults.push(format!("{file}.toml: {}\n    {fault}", entry.name));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_base_is_allowed() {
    let casebook = Casebook::open().unwrap();
    for (name, base) in casebook.bases() {
        assert!(
            base.standing.is_none() && base.now.is_none() && base.codes.is_none(),
            "{name}"
        );
        let case = casebook.base_case(base);
        assert_eq!(
            check(&casebook, base, case, &[]),
            Ok(()),
            "base/{name}.toml"
        );
    }
}

#[test]
fn every_gate_has_a_file_with_both_sides() {
    let files = Casebook::open().unwrap().files().unwrap();
    let mut gates: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    gates.sort_unstable();
    assert_eq!(files.keys().collect::<Vec<_>>(), gates);
    for (name, file) in files {
        assert_eq!(file.gate, name);
        assert!(
            file.about.ends_with('.') && !file.about.contains(". "),
            "{name}: one sentence"
        );
        assert!(!file.denied.is_empty(), "{name} denies nothing");
        assert!(!file.allowed.is_empty(), "{name} allows nothing");
    }
}

#[test]
fn every_entry_keeps_to_the_form() {
    for (file, cases) in Casebook::open().unwrap().files().unwrap() {
        let mut names = Vec::new();
        for entry in cases.denied.iter().chain(&cases.allowed) {
            assert!(
                !names.contains(&&entry.name),
                "{file}: `{}` is there twice",
                entry.name
            );
            names.push(&entry.name);
        }
        for entry in &cases.denied {
            let Some(codes) = &entry.codes else { continue };
            let place = format!("{file}: `{}`", entry.name);
            assert!(
                codes.contains(&cases.gate),
                "{place} is not denied by its own gate"
            );
            assert!(codes.len() > 1, "{place} need not say so");
            let known = |code: &String| Code::ALL.iter().any(|known| known.as_str() == code);
            assert!(
                codes.iter().all(known),
                "{place} has a code that is not known"
            );
        }
        for entry in &cases.allowed {
            assert!(
                entry.codes.is_none(),
                "{file}: `{}` is allowed without codes",
                entry.name
            );
        }
    }
}

/// What an entry may say, and what next to it is an error.
const SLIPS: &[(&str, &[&str])] = &[
    (
        "request.stage = 3",
        &["request.stage = 2", "request.stages = 3"],
    ),
    ("request.lane = 99", &["request.lane = 'LANE_OTHER'"]),
    (
        "request.visible_credentials.names = ['A']",
        &["request.visible_credentials = {}"],
    ),
    ("unset = ['fixture.kind']", &["unset = ['fixture.colors']"]),
    ("unset = ['case_config']", &["unset = ['config']"]),
    ("base = 'fake'", &["base = 'faked'"]),
    (
        "admission_file = 'record'",
        &[
            "admission_file = 'admission'",
            "admission_file = 'sot/none.json'",
        ],
    ),
    (
        "policy = [{ file = 'record', remove = true }]",
        &[
            "policy = [{ file = 'records', remove = true }]",
            "policy = [{ file = 'record', remove = false }]",
            "policy = [{ file = 'record', remove = true, copy = 'a.md' }]",
            "policy = [{ file = 'record' }]",
        ],
    ),
    (
        "policy = [{ file = 'record', copy = 'a.md' }]",
        &["policy = [{ file = 'record', copy = 'admission' }]"],
    ),
    (
        "policy = [{ file = 'record', replace = 'sot', with = 'SOT' }]",
        &[
            "policy = [{ file = 'record', replace = 'sott', with = 'SOT' }]",
            "policy = [{ file = 'record', replace = 'sot', with = 'sot' }]",
            "policy = [{ file = 'record', replace = 'provider', with = 'SOT' }]",
            "policy = [{ file = 'record', replace = 'sot' }]",
        ],
    ),
    ("standing = 'stale'", &["standing = 'fresh'"]),
    (
        "expected_policy = 'current'",
        &["expected_policy = 'former'"],
    ),
    ("codes = []", &["code = []"]),
];

#[test]
fn a_slip_in_an_entry_is_an_error() {
    let casebook = Casebook::open().unwrap();
    let made = |text: &str| -> Result<(), Fault> {
        let entry: Entry = toml::from_str(&format!("name = 'a launch'\n{text}"))
            .map_err(|error| error.to_string())?;
        casebook.case(&entry)?.request("")?;
        Ok(())
    };
    for (fine, slips) in SLIPS {
        assert_eq!(made(fine), Ok(()), "{fine}");
        for slip in *slips {
            assert!(made(slip).is_err(), "{slip}");
        }
    }
}
