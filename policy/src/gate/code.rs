//! The vocabulary of denial.

use crate::codes::codes;

codes! {
    /// The code of a gate. A code is never renamed, renumbered or reused.
    Code: denies "Denies" "When the gate denies.";
    LaneUnspecified => "lane-unspecified",
        "the lane is unset or unknown; nothing else is asked then",
        "state the lane, fake or real";
    SecretScanMissing => "secret-scan-missing",
        "there was no search for secrets, or it did not cover argv, task file and generated config",
        "search all three before asking; `admit check` does, given `--task FILE` and `-- COMMAND`";
    SecretDetected => "secret-detected",
        "the search found a secret, or the request itself has one",
        "remove the secret, rotate it, and pass credentials by their variables only";
    FixtureOutOfScope => "fixture-out-of-scope",
        "the fixture is not a copied artificial one",
        "run on a copy of an artificial fixture (`--fixture copied-artificial`)";
    TargetRepositoryExposed => "target-repository-exposed",
        "a Target Repository path is visible to the launch, or nobody looked",
        "keep every Target Repository out of the launch (`--no-target-repository`, or `--target-repository PATH` to look for one)";
    FakeLaneNamesProvider => "fake-lane-names-provider",
        "the fake lane names a provider other than `fake`, or a model alone",
        "unset CTO_HARNESS_CASE_MODEL_PROVIDER and CTO_HARNESS_CASE_MODEL, or ask for the real lane";
    PolicyUnavailable => "policy-unavailable",
        "no snapshot of the policy has been read yet",
        "make the policy directory readable for admitd; its log says what it met";
    PolicyStale => "policy-stale",
        "the policy directory could not be read for `staleness_max`",
        "make the policy directory readable for admitd; its log says what it met";
    ExpectedPolicyMismatch => "expected-policy-mismatch",
        "the caller expects another policy digest",
        "bring both hosts to the same policy files, or drop the expectation";
    DecisionRecordMissing => "decision-record-missing",
        "there is no decision record",
        "put one CTO-CASE-PROVIDER-DECISION-RECORD.md into the policy directory";
    DecisionRecordConflict => "decision-record-conflict",
        "there is more than one decision record",
        "keep exactly one CTO-CASE-PROVIDER-DECISION-RECORD.md in the policy directory";
    DecisionRecordInvalid => "decision-record-invalid",
        "the decision record is not valid",
        "mend what `admitd validate` shows";
    DecisionNotDecided => "decision-not-decided",
        "the decision record says `not_decided`",
        "wait for the operator's decision; only the operator changes the record";
    StageNotAdmitted => "stage-not-admitted",
        "the stage is not 2",
        "launch real Case in stage 2 only";
    ProviderMissing => "provider-missing",
        "CTO_HARNESS_CASE_MODEL_PROVIDER is empty",
        "set CTO_HARNESS_CASE_MODEL_PROVIDER to the admitted provider";
    ModelMissing => "model-missing",
        "CTO_HARNESS_CASE_MODEL is empty",
        "set CTO_HARNESS_CASE_MODEL to the exact admitted model id";
    AdmissionFileMissing => "admission-file-missing",
        "CTO_HARNESS_CASE_MODEL_ADMISSION_FILE is unset or cannot be read on the host",
        "let CTO_HARNESS_CASE_MODEL_ADMISSION_FILE name the admission file of the pair";
    AdmissionInvalid => "admission-invalid",
        "the host's admission file is one that is not valid",
        "mend what `admitd validate` shows";
    AdmissionConflict => "admission-conflict",
        "two or more valid admission files name the requested pair",
        "keep one admission file for each pair";
    ProviderModelNotAdmitted => "provider-model-not-admitted",
        "no valid admission file names exactly the requested pair",
        "ask for an admitted pair, or let the operator admit this one under CTO-WORK-020";
    AdmissionFileMismatch => "admission-file-mismatch",
        "the host's admission file is not the policy's",
        "bring the policy's admission file to the host, byte for byte";
    AdmissionRevoked => "admission-revoked",
        "the admission is revoked",
        "use another admitted pair; only the operator admits this one again";
    AdmissionNotYetValid => "admission-not-yet-valid",
        "the admission's time has not come",
        "wait for `admission_timestamp`, or correct the clock";
    ReviewDue => "review-due",
        "the admission is due for review",
        "let the operator review the admission and set a new `expires_at`";
    DecisionStatusMismatch => "decision-status-mismatch",
        "the admission does not belong to the branch that the record selects",
        "admit a pair of the selected branch, or change the decision";
    PairNotSelected => "pair-not-selected",
        "the record selects another pair",
        "ask for the pair that the decision record names, or let the operator select this one";
    FallbackNotExplicit => "fallback-not-explicit",
        "the admission's role is not the one that the record gives the pair",
        "let `role` in the admission agree with the decision record";
    AuthBridgeUnproven => "auth-bridge-unproven",
        "the provider is `openai-codex` and its auth bridge is not proven",
        "prove a bridge and state it as `auth_bridge` in the admission, or use another pair";
    CredentialSourceMismatch => "credential-source-mismatch",
        "the launch would take its credentials from another class of source",
        "use that credential source (`--credential-source-class CLASS`)";
    CaseConfigMissing => "case-config-missing",
        "Case would find no config.json and fall back in silence",
        "write config.json into CASE_DATA_DIR with the pair as `models.default`";
    CaseConfigInvalid => "case-config-invalid",
        "config.json is not one JSON object with each key once, or has a model entry that is malformed",
        "write strict JSON, each key once, and each model entry as `{\"provider\": …, \"model\": …}`";
    CaseConfigMismatch => "case-config-mismatch",
        "`models.default` is not exactly the requested pair",
        "set `models.default` to the requested pair";
    ExternalFallback => "external-fallback",
        "Case would use another pair for some role",
        "set `models.default` to the requested pair, spelled just so, and remove every role's own entry";
    CaseModelOverride => "case-model-override",
        "CASE_MODEL_OVERRIDE or a --model flag is present, or nobody looked",
        "unset CASE_MODEL_OVERRIDE and drop every --model flag; `admit check` looks at what follows `--`";
    CaseAgentMode => "case-agent-mode",
        "--agent is present, or nobody looked: Pi would choose a model by itself",
        "drop the --agent flag; `admit check` looks at what follows `--`";
    ForeignCredentialVisible => "foreign-credential-visible",
        "the process would see a credential that is not the requested provider's, or nobody looked",
        "start the process without them (`env -u NAME …`); `admit check` names each";
    LocalBaseUrlMissing => "local-base-url-missing",
        "CTO_HARNESS_CASE_LOCAL_BASE_URL is not supplied",
        "set CTO_HARNESS_CASE_LOCAL_BASE_URL on the harness host";
    NetworkClassUndefined => "network-class-undefined",
        "the server's configuration does not define the admission's network class",
        "define the class under `network_classes` in admitd's configuration";
    NetworkClassNotAllowed => "network-class-not-allowed",
        "the endpoint is outside of the scopes of the admission's network class",
        "use an endpoint within the class, or let the operator change the class";
    LocalAdapterConfigMissing => "local-adapter-config-missing",
        "Pi's models.json is not there",
        "write models.json into PI_CODING_AGENT_DIR with the pair";
    LocalAdapterConfigInvalid => "local-adapter-config-invalid",
        "Pi's models.json would not lead to the requested pair at the base URL",
        "mend models.json as the message says";
    ServedModelMismatch => "served-model-mismatch",
        "the endpoint does not serve the exact model id",
        "start the endpoint with the exact model id, or state that it was not asked";
    FakeBaselineMissing => "fake-baseline-missing",
        "no fake baseline of the same run is declared",
        "run the fake lane first, in the same harness run (`--fake-baseline RUN_ID`)";
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_kebab_case_and_explained() {
        let mut seen = BTreeSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} is there twice");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && text.len() <= 64);
            assert!(!code.denies().ends_with('.') && !code.help().ends_with('.'));
        }
    }
}
