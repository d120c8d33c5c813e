//! Permits: whether one is for just the launch at hand, and what only this host can see against it.
//!
//! [`Permission`] is the right to start a command. INVARIANT: it is made in one place, from a permit
//! whose signature, host, run, files and time were verified.

use std::path::PathBuf;

use admit_client::{Client, facts::bounded_file};
use admit_permit::{
    Claims, KeySet, Lane as PermitLane, PERMIT_CHARS_MAX, key_set::KEY_SET_BYTES_MAX,
};
use admit_policy::{Digest, facts::is_credential_of};
use admit_proto::v1::{AdmitRequest, FixtureKind, Lane, Presence, ScanTarget};

use super::{clock, denial::Denial};

/// The end of line behind a permit in a file, in bytes.
const LINE_END_BYTES_MAX: usize = 2;

/// A permit that was obtained elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct GivenPermit {
    /// The file that holds it.
    pub(crate) file: PathBuf,
    /// A saved JWK Set; none: the server is asked.
    pub(crate) jwks: Option<PathBuf>,
}

impl GivenPermit {
    /// The permit and the keys that it is to be verified with.
    async fn read(&self, client: &mut Client) -> Result<(String, KeySet), Denial> {
        let permit = read_text(
            &self.file,
            PERMIT_CHARS_MAX.saturating_add(LINE_END_BYTES_MAX),
        )
        .ok_or(Denial::PermitUnfit("the file of the permit cannot be read"))?;
        let keys = match &self.jwks {
            Some(path) => read_text(path, KEY_SET_BYTES_MAX)
                .and_then(|text| KeySet::parse(&text).ok())
                .ok_or(Denial::PermitUnfit("the file of the keys has no JWK Set"))?,
            None => keys_of(client).await?,
        };
        Ok((permit.trim_end().to_owned(), keys))
    }
}

/// The right to start one command once.
#[derive(Debug)]
pub(super) struct Permission {
    claims: Claims,
    permit: String,
}

impl Permission {
    /// The permission that `permit` gives for `request`.
    fn verify(permit: String, keys: &KeySet, request: &AdmitRequest) -> Result<Self, Denial> {
        let claims = keys
            .verify(&permit)
            .map_err(|_| Denial::PermitUnfit("the permit is not signed by a key of the server"))?;
        fits(&claims, request)?;
        let permission = Self { claims, permit };
        permission.holds()?;
        Ok(permission)
    }

    /// The permission of an ALLOW that the server has just given.
    pub(super) async fn of_allow(
        permit: &str,
        client: &mut Client,
        request: &AdmitRequest,
    ) -> Result<Self, Denial> {
        let keys = keys_of(client).await?;
        Self::verify(permit.to_owned(), &keys, request)
    }

    /// The permission of a permit that was obtained elsewhere, for a launch that this host has
    /// nothing against.
    pub(super) async fn of_file(
        given: &GivenPermit,
        client: &mut Client,
        request: &AdmitRequest,
    ) -> Result<Self, Denial> {
        if let Some(code) = objection(request) {
            return Err(Denial::Objection(code));
        }
        let (permit, keys) = given.read(client).await?;
        Self::verify(permit, &keys, request)
    }

    /// Whether the permit still holds.
    pub(super) fn holds(&self) -> Result<(), Denial> {
        let now = clock::now().map_or(i64::MAX, |now| now.unix().0);
        self.claims.holds_at(now).map_err(Denial::PermitMismatch)
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The permit, as it was given.
    pub(super) fn permit(&self) -> &str {
        &self.permit
    }
}

async fn keys_of(client: &mut Client) -> Result<KeySet, Denial> {
    client
        .permit_keys()
        .await
        .map_err(|error| Denial::NoAnswer(Box::new(error)))
}

fn read_text(path: &std::path::Path, bytes_max: usize) -> Option<String> {
    let bytes = bounded_file::read(path, u64::try_from(bytes_max).ok()?)
        .ok()
        .flatten()?;
    String::from_utf8(bytes).ok()
}

/// Whether the permit is for just this launch.
fn fits(claims: &Claims, request: &AdmitRequest) -> Result<(), Denial> {
    let config = request.case_config.as_deref().map(Digest::of);
    let lane = match request.lane() {
        Lane::Real => Some(PermitLane::Real),
        Lane::Fake => Some(PermitLane::Fake),
        Lane::Unspecified => None,
    };
    let rules = [
        (
            claims.host == request.host,
            "the permit is for another host",
        ),
        (
            claims.run_id == request.run_id,
            "the permit is for another run",
        ),
        (Some(claims.lane) == lane, "the permit is for another lane"),
        (
            claims.provider == request.provider && claims.model == request.model,
            "the permit is for another pair",
        ),
        (
            claims.admission_file == Digest::parse(&request.admission_file_digest),
            "the permit is for another admission file",
        ),
        (
            claims.case_config == config,
            "the permit is for another config.json",
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, why)) => Err(Denial::PermitUnfit(why)),
    }
}

/// The gate that denies the launch by what only this host can see. Whoever obtained the permit
/// elsewhere may have stated something else.
fn objection(request: &AdmitRequest) -> Option<&'static str> {
    let absent = |presence: i32| presence == i32::from(Presence::Absent);
    let scan = request.secret_scan.clone().unwrap_or_default();
    let covers = |target: ScanTarget| scan.covered.contains(&target.into());
    let is_covered = [
        ScanTarget::Argv,
        ScanTarget::TaskFile,
        ScanTarget::GeneratedConfig,
    ]
    .into_iter()
    .all(covers);
    let is_copy = request
        .fixture
        .as_ref()
        .is_some_and(|fixture| fixture.kind == i32::from(FixtureKind::CopiedArtificial));
    let is_real = request.lane == i32::from(Lane::Real);
    let rules = [
        (is_covered, "secret-scan-missing"),
        (scan.findings.is_empty(), "secret-detected"),
        (is_copy, "fixture-out-of-scope"),
        (
            absent(request.target_repository),
            "target-repository-exposed",
        ),
        (
            !is_real || (absent(request.case_model_override) && absent(request.model_flag)),
            "case-model-override",
        ),
        (!is_real || absent(request.agent_flag), "case-agent-mode"),
        (
            !is_real || has_only_own_credentials(request),
            "foreign-credential-visible",
        ),
    ];
    rules
        .into_iter()
        .find(|(holds, _)| !holds)
        .map(|(_, code)| code)
}

fn has_only_own_credentials(request: &AdmitRequest) -> bool {
    request.visible_credentials.as_ref().is_some_and(|seen| {
        seen.names
            .iter()
            .all(|name| is_credential_of(name, &request.provider))
    })
}
