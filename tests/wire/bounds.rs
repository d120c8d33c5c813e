//! The bounds that the contract states for each field of a launch, each with values on both of its
//! sides. Values beyond a bound hold [`MARK`], where the field can hold a text at all.

use admit_proto::v1::{AdmitRequest, FakeBaseline, SecretScan, VisibleCredentials};

/// What no failure may repeat.
pub(crate) const MARK: &str = "Zq7";

type Change = fn(&mut AdmitRequest);

/// A bound of one field.
pub(crate) struct Bound {
    pub(crate) field: &'static str,
    /// Values that are accepted, whatever is then decided.
    pub(crate) within: &'static [Change],
    /// Values that are not.
    pub(crate) beyond: &'static [Change],
}

/// The mark, filled up to `length` bytes.
fn marked(length: usize) -> String {
    format!("{MARK}{}", "a".repeat(length - MARK.len()))
}

fn credentials(names: Vec<String>) -> Option<VisibleCredentials> {
    Some(VisibleCredentials { names })
}

fn baseline(run_id: String) -> Option<FakeBaseline> {
    Some(FakeBaseline { run_id })
}

/// Every visible character of ASCII.
fn visible() -> String {
    ('!'..='~').collect()
}

pub(crate) const BOUNDS: &[Bound] = &[
    Bound {
        field: "host",
        within: &[
            |r| r.host = "a".into(),
            |r| r.host = marked(253),
            |r| r.host = "-.azAZ09".into(),
        ],
        beyond: &[
            |r| r.host = String::new(),
            |r| r.host = marked(254),
            |r| r.host = "Zq7 b".into(),
            |r| r.host = "Zq7_b".into(),
            |r| r.host = "Zq7\n".into(),
            |r| r.host = "Zq7é".into(),
        ],
    },
    Bound {
        field: "run_id",
        within: &[
            |r| r.run_id = "a".into(),
            |r| r.run_id = marked(128),
            |r| r.run_id = "azAZ09._:-".into(),
        ],
        beyond: &[
            |r| r.run_id = String::new(),
            |r| r.run_id = marked(129),
            |r| r.run_id = "Zq7/b".into(),
            |r| r.run_id = "Zq7 b".into(),
            |r| r.run_id = "Zq7é".into(),
        ],
    },
    Bound {
        field: "stage",
        within: &[|r| r.stage = 0, |r| r.stage = 1000],
        beyond: &[|r| r.stage = 1001, |r| r.stage = u32::MAX],
    },
    Bound {
        field: "expected_policy_digest",
        within: &[
            |r| r.expected_policy_digest = String::new(),
            |r| r.expected_policy_digest = "0123456789abcdef".repeat(4),
        ],
        beyond: &[
            |r| r.expected_policy_digest = "a".repeat(63),
            |r| r.expected_policy_digest = "a".repeat(65),
            |r| r.expected_policy_digest = "A".repeat(64),
            |r| r.expected_policy_digest = marked(64),
            |r| r.expected_policy_digest = "é".repeat(32),
        ],
    },
    Bound {
        field: "provider",
        within: &[
            |r| r.provider = String::new(),
            |r| r.provider = marked(128),
            |r| r.provider = visible(),
        ],
        beyond: &[
            |r| r.provider = marked(129),
            |r| r.provider = "Zq7 b".into(),
            |r| r.provider = "Zq7\u{7f}".into(),
            |r| r.provider = "Zq7é".into(),
        ],
    },
    Bound {
        field: "model",
        within: &[
            |r| r.model = String::new(),
            |r| r.model = marked(256),
            |r| r.model = visible(),
        ],
        beyond: &[
            |r| r.model = marked(257),
            |r| r.model = "Zq7\t".into(),
            |r| r.model = "Zq7\0".into(),
            |r| r.model = "Zq7é".into(),
        ],
    },
    Bound {
        field: "admission_file_digest",
        within: &[
            |r| r.admission_file_digest = String::new(),
            |r| r.admission_file_digest = "0123456789abcdef".repeat(4),
        ],
        beyond: &[
            |r| r.admission_file_digest = "a".repeat(63),
            |r| r.admission_file_digest = "a".repeat(65),
            |r| r.admission_file_digest = "A".repeat(64),
            |r| r.admission_file_digest = marked(64),
        ],
    },
    Bound {
        field: "credential_source_class",
        within: &[
            |r| r.credential_source_class = String::new(),
            |r| r.credential_source_class = marked(256),
            |r| r.credential_source_class = visible(),
        ],
        beyond: &[
            |r| r.credential_source_class = marked(257),
            |r| r.credential_source_class = "Zq7 b".into(),
            |r| r.credential_source_class = "Zq7é".into(),
        ],
    },
    Bound {
        field: "case_config",
        within: &[
            |r| r.case_config = None,
            |r| r.case_config = Some(Vec::new().into()),
            |r| r.case_config = Some(marked(256 * 1024).into_bytes().into()),
        ],
        beyond: &[|r| r.case_config = Some(marked(256 * 1024 + 1).into_bytes().into())],
    },
    Bound {
        field: "visible_credentials.names",
        within: &[
            |r| r.visible_credentials = None,
            |r| r.visible_credentials = credentials(vec!["A".into(); 256]),
            |r| r.visible_credentials = credentials(vec![marked(128), "azAZ09_".into()]),
        ],
        beyond: &[
            |r| r.visible_credentials = credentials(vec!["Zq7".into(); 257]),
            |r| r.visible_credentials = credentials(vec!["A".into(), marked(129)]),
            |r| r.visible_credentials = credentials(vec!["A".into(), String::new()]),
            |r| r.visible_credentials = credentials(vec!["Zq7=value".into()]),
            |r| r.visible_credentials = credentials(vec!["Zq7-A".into()]),
            |r| r.visible_credentials = credentials(vec!["Zq7É".into()]),
        ],
    },
    Bound {
        field: "secret_scan.covered",
        within: &[
            |r| scan(r).covered = vec![1; 16],
            |r| scan(r).covered = Vec::new(),
        ],
        beyond: &[|r| scan(r).covered = vec![1; 17]],
    },
    Bound {
        field: "secret_scan.findings",
        within: &[|r| scan(r).findings = vec![1; 256]],
        beyond: &[|r| scan(r).findings = vec![1; 257]],
    },
    Bound {
        field: "fake_baseline.run_id",
        within: &[
            |r| r.fake_baseline = None,
            |r| r.fake_baseline = baseline(marked(128)),
            |r| r.fake_baseline = baseline("azAZ09._:-".into()),
        ],
        beyond: &[
            |r| r.fake_baseline = baseline(marked(129)),
            |r| r.fake_baseline = baseline("Zq7/b".into()),
            |r| r.fake_baseline = baseline("Zq7é".into()),
        ],
    },
];

fn scan(request: &mut AdmitRequest) -> &mut SecretScan {
    request.secret_scan.get_or_insert_default()
}
