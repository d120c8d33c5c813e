//! An admission as a basis keeps it.
//!
//! Deliberately absent: its places, and the text of its classes.

use std::collections::HashMap;

use admit_policy::{
    Digest, Place, Timestamp,
    document::admission::{self, Admission, Located},
};
use serde::{Deserialize, Serialize};

use super::{
    super::{names::Names, words::same_words},
    pair_of,
};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeptAdmission {
    digest: String,
    provider: String,
    model: String,
    status: Status,
    provider_class: ProviderClass,
    role: Role,
    credential_source_class: String,
    allowed_network_class: String,
    admission_timestamp: String,
    expires_at: Option<String>,
    auth_bridge: AuthBridge,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Admitted,
    Revoked,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProviderClass {
    LocalCaseCompatible,
    ExternalAnthropic,
    ExternalFallback,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Primary,
    Fallback,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthBridge {
    Proven,
    Unproven,
}

same_words! {
    admission::Status => Status { Admitted, Revoked, }
    admission::ProviderClass => ProviderClass {
        LocalCaseCompatible, ExternalAnthropic, ExternalFallback,
    }
    admission::Role => Role { Primary, Fallback, }
    admission::AuthBridge => AuthBridge { Proven, Unproven, }
}

/// Classes as they are closed; many admissions have few of them.
pub(super) struct Classes<'a> {
    names: &'a Names,
    closed: HashMap<&'a str, String>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(names: &'a Names) -> Self {
        Self {
            names,
            closed: HashMap::new(),
        }
    }

    fn close(&mut self, class: &'a str) -> String {
        let closed = self.closed.entry(class);
        closed
            .or_insert_with(|| self.names.close_class(class))
            .clone()
    }
}

impl KeptAdmission {
    pub(super) fn of<'a>(admission: &'a Admission, classes: &mut Classes<'a>) -> Self {
        Self {
            digest: admission.digest.to_string(),
            provider: admission.pair.value.provider.clone(),
            model: admission.pair.value.model.clone(),
            status: admission.status.value.into(),
            provider_class: admission.provider_class.value.into(),
            role: admission.role.value.into(),
            credential_source_class: classes.close(&admission.credential_source_class.value),
            allowed_network_class: classes.close(&admission.allowed_network_class.value),
            admission_timestamp: admission.admission_timestamp.value.to_string(),
            expires_at: admission
                .expires_at
                .as_ref()
                .map(|expires_at| expires_at.value.to_string()),
            auth_bridge: admission.auth_bridge.value.into(),
        }
    }

    pub(super) fn open(self, nowhere: &Place) -> Option<Admission> {
        let expires_at = match self.expires_at {
            None => None,
            Some(text) => Some(located(Timestamp::parse(&text)?, nowhere)),
        };
        Some(Admission {
            digest: Digest::parse(&self.digest)?,
            pair: located(pair_of((self.provider, self.model)), nowhere),
            status: located(self.status.into(), nowhere),
            provider_class: located(self.provider_class.into(), nowhere),
            role: located(self.role.into(), nowhere),
            credential_source_class: located(self.credential_source_class, nowhere),
            allowed_network_class: located(self.allowed_network_class, nowhere),
            admission_timestamp: located(Timestamp::parse(&self.admission_timestamp)?, nowhere),
            expires_at,
            auth_bridge: located(self.auth_bridge.into(), nowhere),
        })
    }
}

fn located<T>(value: T, place: &Place) -> Located<T> {
    Located {
        value,
        place: place.clone(),
    }
}
