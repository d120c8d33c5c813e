//! The vocabulary of rejection.

use crate::codes::codes;

codes! {
    /// The code of a check. A code is never renamed, renumbered or reused.
    EvidenceCode: rejects "Rejects" "When the check rejects.";
    PermitInvalid => "permit-invalid",
        "the permit is not one of this server, or not for this host, this run, the real lane and this start",
        "hand in the permit that the process was started under, with its own host, run and start";
    PermitExpiredBeforeStart => "permit-expired-before-start",
        "the start is not stated, or the permit had expired by then",
        "start within the permit's time, and state when; `admit run` does both";
    ReportFieldMissing => "report-field-missing",
        "the report leaves out `case_model_provider`, `case_model` or `case_model_admission_status`",
        "let the harness's report state all three";
    ReportPairMismatch => "report-pair-mismatch",
        "the report names another pair than the permit",
        "find out which pair was used; the report has to name the permit's, byte for byte";
    AdmissionStatusMismatch => "admission-status-mismatch",
        "the report's `case_model_admission_status` is not `admitted`",
        "let the report state what the decision said; only an admitted run is evidence";
    ObservedModelMissing => "observed-model-missing",
        "no model was seen at work, or not everything that could tell was read",
        "keep Case's standard error and Pi's session logs, and collect them whole";
    ObservedModelMismatch => "observed-model-mismatch",
        "a model was seen at work that is not the permit's",
        "find out what chose it, and run again; this run is no evidence for the permit's pair";
    ExternalFallbackObserved => "external-fallback-observed",
        "a pair of `anthropic` was seen at work that is not the permit's, Case's silent default among them",
        "mend the config that Case fell back from, and run again";
    ConfigChangedDuringRun => "config-changed-during-run",
        "config.json or models.json was touched while the process ran, is not the permit's, or nobody looked",
        "leave both files alone from the decision to the end of the run, and run again";
    PipelineIncomplete => "pipeline-incomplete",
        "the event log of the pipeline has no end",
        "let the pipeline end, and hand in its whole event log";
    PipelineFailed => "pipeline-failed",
        "the pipeline failed, whatever its exit code says",
        "find out why the pipeline failed, and run again";
    BaselineMissing => "baseline-missing",
        "there is no fake run to compare with",
        "run the fake lane first, in the same harness run, and hand in its outcome";
    BaselineNotSameRun => "baseline-not-same-run",
        "the fake run belongs to another harness run",
        "run the fake lane in the same harness run";
    BaselineFixtureMismatch => "baseline-fixture-mismatch",
        "the fixtures of the two runs differ, or a digest of them is missing",
        "start both runs from the same copy of the fixture, and state its digest before each";
    BaselineFailed => "baseline-failed",
        "the pipeline of the fake run did not pass",
        "mend what made the fake run fail, and run both again";
    SecretScanMissing => "secret-scan-missing",
        "there was no search for secrets, or it did not cover report, trace and backend logs",
        "search all three; `admit evidence collect` does";
    SecretDetected => "secret-detected",
        "the search found a secret, or the request itself has one",
        "rotate the secret, find out how it got there, and run again without it";
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_kebab_case_and_explained() {
        let mut seen = BTreeSet::new();
        for code in EvidenceCode::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} is there twice");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && text.len() <= 64);
            assert!(!code.rejects().ends_with('.') && !code.help().ends_with('.'));
        }
    }
}
