//! The last look before a request exists: whether each of its texts may leave this host.

use std::ffi::OsString;

use admit_policy::{escape::any_reading, secret};
use admit_proto::v1::AdmitRequest;

use super::{BASE_URL, GatherError, MODEL, PROVIDER, Surroundings};

/// Whether every text of the request may leave this host.
pub(super) fn check(
    surroundings: &Surroundings,
    request: &AdmitRequest,
) -> Result<(), GatherError> {
    let baseline = request.fake_baseline.as_ref();
    let texts = [
        ("--host", request.host.as_str()),
        ("--run-id", request.run_id.as_str()),
        (PROVIDER, request.provider.as_str()),
        (MODEL, request.model.as_str()),
        (
            "--credential-source-class",
            request.credential_source_class.as_str(),
        ),
        (
            "--fake-baseline",
            baseline.map_or("", |baseline| baseline.run_id.as_str()),
        ),
    ];
    if let Some((about, _)) = texts.iter().find(|(_, text)| secret::is_present(text)) {
        return Err(GatherError::Secret { about });
    }
    let base_url = surroundings.value(BASE_URL).map(OsString::from);
    let base_url = base_url.as_ref().map(|url| url.to_string_lossy());
    let Some(base_url) = base_url
        .as_deref()
        .map(|url| url.strip_suffix('/').unwrap_or(url))
        .filter(|url| !url.is_empty())
    else {
        return Ok(());
    };
    let config = request.case_config.as_deref().unwrap_or_default();
    let config = String::from_utf8_lossy(config);
    texts
        .iter()
        .chain([&("config.json", &*config)])
        .try_for_each(|(about, text)| {
            if any_reading(text, |reading| reading.contains(base_url)) {
                Err(GatherError::BaseUrl { about })
            } else {
                Ok(())
            }
        })
}
