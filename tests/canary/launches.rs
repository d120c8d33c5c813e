//! Launches, each with one canary in one place: where the field takes it, and where it does not.

use admit_proto::v1::{AdmitRequest, FakeBaseline, Lane, VisibleCredentials};

use crate::{Canaries, daemon::policy::A, hex};

/// Puts a canary into a launch.
type Plant = fn(&mut AdmitRequest, &str);

/// Places that a text of a caller can be in, and how it gets there.
const PLACES: &[(&str, Plant)] = &[
    ("host", |r, c| r.host = c.into()),
    ("host, not allowed", |r, c| r.host = format!("{c} !")),
    ("host, too long", |r, c| r.host = c.repeat(30)),
    ("run_id", |r, c| r.run_id = c.into()),
    ("run_id, not allowed", |r, c| r.run_id = format!("/{c}")),
    ("run_id, a secret", |r, c| r.run_id = format!("sk-{c}{c}")),
    ("provider", |r, c| r.provider = c.into()),
    ("provider, not allowed", |r, c| {
        r.provider = format!("{c}\n");
    }),
    ("provider, fake lane", |r, c| {
        r.set_lane(Lane::Fake);
        r.provider = c.into();
    }),
    ("model", |r, c| r.model = c.into()),
    ("model, not allowed", |r, c| r.model = format!("{c}\u{e9}")),
    ("model, a secret", |r, c| r.model = format!("ghp_{c}{c}")),
    ("model, a URL", |r, c| {
        r.model = format!("http://user:{c}@{c}.local:8080/?api_key={c}");
    }),
    ("model, closed by its looks", |r, c| {
        r.model = format!("hmac:{c}");
    }),
    ("credential_source_class", |r, c| {
        r.credential_source_class = c.into();
    }),
    ("credential_source_class, not allowed", |r, c| {
        r.credential_source_class = format!("{c} {c}");
    }),
    ("expected_policy_digest", |r, c| {
        r.expected_policy_digest = c.into();
    }),
    ("expected_policy_digest, well-formed", |r, c| {
        r.expected_policy_digest = format!("{:0<64}", hex(c));
    }),
    ("admission_file_digest, well-formed", |r, c| {
        r.admission_file_digest = format!("{:0<64}", hex(c));
    }),
    ("admission_file_digest", |r, c| {
        r.admission_file_digest = format!("{c:0<64}");
    }),
    ("visible_credentials", |r, c| {
        credentials(r, &[&format!("{}_API_KEY", c.to_uppercase())]);
    }),
    ("visible_credentials of a provider", |r, c| {
        credentials(r, &["ANTHROPIC_API_KEY", &format!("AWS_{c}")]);
    }),
    ("visible_credentials, not allowed", |r, c| {
        credentials(r, &[&format!("NAME={c}")]);
    }),
    ("fake_baseline.run_id", |r, c| baseline(r, c)),
    ("fake_baseline.run_id, not allowed", |r, c| {
        baseline(r, &format!("{c}?"));
    }),
    ("case_config, a key", |r, c| {
        config(r, &format!(r#"{{"{c}":1,"models":{{"{c}":null}}}}"#));
    }),
    ("case_config, a value", |r, c| {
        config(r, &format!(r#"{{"models":{{}},"apiKey":"{c}"}}"#));
    }),
    ("case_config, a pair", |r, c| {
        config(
            r,
            &format!(r#"{{"models":{{"default":{{"provider":"{c}","model":"{c}"}}}}}}"#),
        );
    }),
    ("case_config, a role", |r, c| {
        config(
            r,
            &format!(
                r#"{{"models":{{"reviewer":{{"provider":"{c}","model":"{c}","{c}":"{c}"}}}}}}"#
            ),
        );
    }),
    ("case_config, no pair", |r, c| {
        config(r, &format!(r#"{{"models":{{"default":"{c}/{c}"}}}}"#));
    }),
    ("case_config, a key twice", |r, c| {
        config(r, &format!(r#"{{"{c}":1,"{c}":2}}"#));
    }),
    ("case_config, escaped", |r, c| {
        let escaped: String = c.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        config(r, &format!(r#"{{"models":{{"default":"{escaped}"}}}}"#));
    }),
    ("case_config, a secret", |r, c| {
        config(r, &format!(r#"{{"models":{{}},"x":"sk-ant-{c}{c}"}}"#));
    }),
    ("case_config, no JSON", |r, c| config(r, c)),
    ("case_config, no UTF-8", |r, c| {
        r.case_config = Some([b"\xff\xfe{", c.as_bytes()].concat().into());
    }),
    ("case_config, too large", |r, c| {
        config(r, &c.repeat(300 * 1024 / c.len()));
    }),
];

fn credentials(request: &mut AdmitRequest, names: &[&str]) {
    request.visible_credentials = Some(VisibleCredentials {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    });
}

fn baseline(request: &mut AdmitRequest, run_id: &str) {
    request.fake_baseline = Some(FakeBaseline {
        run_id: run_id.into(),
    });
}

fn config(request: &mut AdmitRequest, text: &str) {
    request.case_config = Some(text.as_bytes().to_vec().into());
}

/// One launch for each place.
pub(crate) fn launches(canaries: &mut Canaries) -> Vec<AdmitRequest> {
    let planted = PLACES.iter().map(|(place, plant)| {
        let canary = canaries.plant(place);
        let mut request = A.launch();
        plant(&mut request, &canary);
        request
    });
    planted.collect()
}
