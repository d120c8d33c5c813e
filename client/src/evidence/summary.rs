//! The summary: one page of Markdown that an operator pastes into a review.
//!
//! Deliberately absent: any path, any text of an agent, any secret. What stands here was bounded and
//! searched before.

use admit_client::Judgment;
use admit_policy::Timestamp;

use super::{Ending, report::ReportFile};

/// Shown digits of a digest.
const DIGEST_DIGITS: usize = 12;
/// The one code without which nothing that rests on the permit can be judged.
const PERMIT_INVALID: &str = "permit-invalid";

/// A check of the server: what it asks, its code, and whether it rests on a valid permit.
struct Check {
    asks: &'static str,
    code: &'static str,
    needs_permit: bool,
}

const fn check(asks: &'static str, code: &'static str, needs_permit: bool) -> Check {
    Check {
        asks,
        code,
        needs_permit,
    }
}

/// Every check, in the order of the reasons.
const CHECKS: [Check; 17] = [
    check("the permit is valid", PERMIT_INVALID, false),
    check(
        "the process started in its time",
        "permit-expired-before-start",
        true,
    ),
    check("the report has its fields", "report-field-missing", false),
    check(
        "the report states the permitted pair",
        "report-pair-mismatch",
        true,
    ),
    check(
        "the report states the admission",
        "admission-status-mismatch",
        true,
    ),
    check(
        "every agent's model was seen",
        "observed-model-missing",
        false,
    ),
    check(
        "only the permitted model was seen",
        "observed-model-mismatch",
        true,
    ),
    check(
        "no external fallback was seen",
        "external-fallback-observed",
        true,
    ),
    check(
        "the configuration did not change",
        "config-changed-during-run",
        true,
    ),
    check("the pipeline came to its end", "pipeline-incomplete", false),
    check("the pipeline succeeded", "pipeline-failed", false),
    check("there is a fake baseline", "baseline-missing", false),
    check(
        "the baseline is of the same run",
        "baseline-not-same-run",
        false,
    ),
    check(
        "the baseline had the same fixture",
        "baseline-fixture-mismatch",
        false,
    ),
    check("the baseline succeeded", "baseline-failed", false),
    check(
        "everything was searched for secrets",
        "secret-scan-missing",
        false,
    ),
    check("no secret was found", "secret-detected", false),
];

/// The page.
pub(crate) fn page(report: &ReportFile, ending: &Ending) -> String {
    let mut page = Page(String::new());
    match ending {
        Ending::Judged(judgment) => judged(&mut page, judgment),
        Ending::NoAnswer(error) => {
            page.line("# Evidence: NOT JUDGED");
            page.line("");
            page.line(&format!(
                "There is no judgment, so this is no pass evidence: {}.",
                escaped(&error.to_string())
            ));
        }
    }
    page.line("");
    facts(&mut page, report);
    if let Ending::Judged(judgment) = ending {
        checks(&mut page, judgment);
        verification(&mut page, judgment);
    }
    observations(&mut page, report);
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn row(&mut self, cells: &[&str]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }
}

fn judged(page: &mut Page, judgment: &Judgment) {
    match judgment {
        Judgment::Accepted(_) => {
            page.line("# Evidence: ACCEPTED");
            page.line("");
            page.line("Every check holds. This changes no work item and no policy.");
        }
        Judgment::Rejected(rejected) => {
            page.line("# Evidence: REJECTED");
            page.line("");
            page.line("This is no pass evidence:");
            page.line("");
            for reason in rejected.reasons() {
                page.line(&format!(
                    "- `{}`: {}",
                    reason.code,
                    escaped(&reason.message)
                ));
            }
        }
    }
}

fn facts(page: &mut Page, report: &ReportFile) {
    let decision = &report.decision;
    let ended = report
        .process
        .as_ref()
        .map(|process| process.end_time.as_str());
    page.row(&["", ""]);
    page.row(&["---", "---"]);
    for (name, value) in [
        (
            "pair",
            format!(
                "{} / {}",
                code(&report.case_model_provider),
                code(&report.case_model)
            ),
        ),
        (
            "admission status",
            code(&report.case_model_admission_status),
        ),
        (
            "host, run",
            format!("{}, {}", code(&report.host), code(&report.run_id)),
        ),
        ("stage", report.stage.to_string()),
        ("decision", code(&decision.decision_id)),
        (
            "decision's record",
            format!("{}:{}", decision.seq, short(Some(&decision.record_hash))),
        ),
        ("policy", short(decision.policy_digest.as_deref())),
        (
            "config.json",
            short(
                report
                    .config
                    .as_ref()
                    .and_then(|config| config.digest_before.as_deref()),
            ),
        ),
        ("fixture", short(report.fixture.as_deref())),
        (
            "started, ended",
            format!("{}, {}", time(report.start_time.as_deref()), time(ended)),
        ),
    ] {
        page.row(&[name, &value]);
    }
    page.line("");
}

fn checks(page: &mut Page, judgment: &Judgment) {
    let reasons = judgment.reasons();
    let has = |code: &str| reasons.iter().any(|reason| reason.code == code);
    page.row(&["check", "", "code"]);
    page.row(&["---", "---", "---"]);
    for check in &CHECKS {
        let mark = if has(check.code) {
            "✘"
        } else if check.needs_permit && has(PERMIT_INVALID) {
            // Nothing vouches for what it would be compared with.
            "–"
        } else {
            "✔"
        };
        page.row(&[check.asks, mark, &format!("`{}`", check.code)]);
    }
    // A newer server may check more.
    for reason in reasons {
        if !CHECKS.iter().any(|check| check.code == reason.code) {
            page.row(&[
                &escaped(&reason.message),
                "✘",
                &format!("`{}`", reason.code),
            ]);
        }
    }
    page.line("");
}

fn verification(page: &mut Page, judgment: &Judgment) {
    let record = judgment.record();
    page.line(&format!(
        "Judged {} as `{}`, record {} of log `{}`. To verify: `admitd audit verify --known {}:{}`.",
        judgment.check_time(),
        judgment.evidence_id(),
        record.seq,
        record.stream_id,
        record.seq,
        record.hash
    ));
    page.line("");
}

fn observations(page: &mut Page, report: &ReportFile) {
    let observed = &report.observed_models;
    page.line("Seen at work (what Case resolved, not what an endpoint served):");
    page.line("");
    if observed.models.is_empty() {
        page.line("- nothing");
    }
    for seen in observed.models.iter().take(SEEN_MAX) {
        page.line(&format!(
            "- {}: {} / {}",
            code(&seen.agent),
            code(&seen.provider),
            code(&seen.model)
        ));
    }
    if let Some(more) = observed
        .models
        .len()
        .checked_sub(SEEN_MAX)
        .filter(|more| *more > 0)
    {
        page.line(&format!("- and {more} more, in `report.json`"));
    }
    for fault in report.faults() {
        page.line(&format!("- note: {fault}"));
    }
}

/// Most models that the page lists.
const SEEN_MAX: usize = 16;

/// `text` as code within a table. What would break out of it stays out.
fn code(text: &str) -> String {
    if text.is_empty() {
        return "none".to_owned();
    }
    let safe: String = text
        .chars()
        .map(|character| match character {
            '`' | '|' => '?',
            character => character,
        })
        .collect();
    format!("`{safe}`")
}

/// `text` as prose within a table.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '<' | '>' | '[' | ']' | '*' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '\n' | '\r' => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

fn short(digest: Option<&str>) -> String {
    digest
        .and_then(|digest| digest.get(..DIGEST_DIGITS))
        .map_or_else(|| "none".to_owned(), |digits| code(&format!("{digits}…")))
}

/// A time, if it is one.
fn time(text: Option<&str>) -> String {
    text.and_then(Timestamp::parse)
        .map_or_else(|| "unknown".to_owned(), |time| time.to_string())
}

#[cfg(test)]
mod tests;
