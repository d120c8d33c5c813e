//! One launch as the caller states it, and what can be observed in it.
//!
//! The bytes of a request are looked at here, once: they are searched for secrets, and Case's config
//! is resolved. What remains are [`Facts`], which hold no bytes of the caller's files, so that a
//! decision can be recorded and derived again without them.

use alloc::{borrow::Cow, string::String, vec::Vec};

use crate::{
    case_config::CaseConfig,
    digest::Digest,
    escape::any_reading,
    facts::{Facts, FixtureKind, Lane, LocalProvider, Presence, SecretScan},
    secret,
};

/// Everything that a caller states about one launch. The fields are those of [`Facts`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is described at `Facts`")]
pub struct Launch {
    pub host: String,
    pub run_id: String,
    pub lane: Lane,
    pub stage: u32,
    pub expected_policy: Option<Digest>,
    pub provider: String,
    pub model: String,
    pub admission_file: Option<Digest>,
    pub credential_source_class: String,
    /// The bytes of Case's `config.json`; `None` when there is none.
    pub case_config: Option<Vec<u8>>,
    pub case_model_override: Presence,
    pub model_flag: Presence,
    pub agent_flag: Presence,
    pub visible_credentials: Option<Vec<String>>,
    pub target_repository: Presence,
    pub secret_scan: Option<SecretScan>,
    pub fixture: FixtureKind,
    pub fake_baseline_run: Option<String>,
    pub local_provider: LocalProvider,
}

impl Launch {
    /// The facts of this launch.
    #[must_use]
    pub fn observe(self) -> Facts {
        Facts {
            has_secret: self.has_secret(),
            case_config: self.case_config.as_deref().map(CaseConfig::parse),
            host: self.host,
            run_id: self.run_id,
            lane: self.lane,
            stage: self.stage,
            expected_policy: self.expected_policy,
            provider: self.provider,
            model: self.model,
            admission_file: self.admission_file,
            credential_source_class: self.credential_source_class,
            case_model_override: self.case_model_override,
            model_flag: self.model_flag,
            agent_flag: self.agent_flag,
            visible_credentials: self.visible_credentials,
            target_repository: self.target_repository,
            secret_scan: self.secret_scan,
            fixture: self.fixture,
            fake_baseline_run: self.fake_baseline_run,
            local_provider: self.local_provider,
        }
    }

    /// Searches every text and every byte that the caller sent.
    fn has_secret(&self) -> bool {
        let texts = [
            &self.host,
            &self.run_id,
            &self.provider,
            &self.model,
            &self.credential_source_class,
        ];
        let names = self.visible_credentials.iter().flatten();
        let in_texts = texts
            .into_iter()
            .chain(names)
            .chain(&self.fake_baseline_run)
            .any(|text| secret::is_present(text));
        let in_config = self
            .case_config
            .as_deref()
            .is_some_and(|bytes| any_reading(&readable(bytes), secret::is_present));
        in_texts || in_config
    }
}

/// The bytes as a text, with a mark in the place of what is none.
fn readable(bytes: &[u8]) -> Cow<'_, str> {
    // Almost all configs are UTF-8, which this finds out faster than a repair that has nothing to do.
    core::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}
