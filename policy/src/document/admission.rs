//! Admission files: each admits one exact pair.
//!
//! The schema is closed: a field that is not known is an error, and so is a field that is there
//! twice. `admitd schema admission` prints the same rules as a JSON Schema.

use alloc::{borrow::ToOwned as _, format, string::String, sync::Arc, vec::Vec};
use core::ops::Range;

use super::{FINDINGS_MAX, decode, forbidden};
use crate::{
    digest::Digest,
    endpoint,
    escape::any_reading,
    finding::{Excerpt, Finding, FindingCode, Place},
    json::{self, JsonError, Member, Node, Value},
    pair::{MODEL_BYTES_MAX, PROVIDER_BYTES_MAX, Pair, name_fault},
    secret,
    text::Source,
    timestamp::Timestamp,
};

/// The work item that owns every admission.
pub const WORK_ITEM: &str = "CTO-WORK-020";
/// A model id that is never exact.
pub const INEXACT_MODEL: &str = "latest";

/// Whether an admission is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is.
    Admitted,
    /// It was taken back.
    Revoked,
}

/// The class of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderClass {
    /// A local provider that Case can use.
    LocalCaseCompatible,
    /// Anthropic's own service.
    ExternalAnthropic,
    /// Another external service, as a fallback only.
    ExternalFallback,
}

/// The role that an admission is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The pair that the record selects.
    Primary,
    /// The pair that the record names as its fallback.
    Fallback,
}

/// Whether the bridge that carries a provider's credentials into Case is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthBridge {
    /// It is.
    Proven,
    /// It is not, or nothing is said about it.
    Unproven,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A valid admission file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The digest of the file.
    pub digest: Digest,
    /// The pair that it admits, and where the provider stands.
    pub pair: Located<Pair>,
    /// Whether it is in force.
    pub status: Located<Status>,
    /// The class of the provider.
    pub provider_class: Located<ProviderClass>,
    /// What the pair may be used as.
    pub role: Located<Role>,
    /// The class of the credential source.
    pub credential_source_class: Located<String>,
    /// The class of the network that the endpoint may be in.
    pub allowed_network_class: Located<String>,
    /// From when it holds.
    pub admission_timestamp: Located<Timestamp>,
    /// From when it has to be reviewed and does not hold any more.
    pub expires_at: Option<Located<Timestamp>>,
    /// The bridge for its credentials.
    pub auth_bridge: Located<AuthBridge>,
}

type Lined = Result<(Admission, Option<Excerpt>), Vec<Finding>>;

/// Reads an admission file. It is valid exactly when there is no finding.
///
/// # Errors
///
/// Every finding, in the order of the file.
pub fn parse(path: &Arc<str>, bytes: &[u8]) -> Result<Admission, Vec<Finding>> {
    parse_with_line(path, bytes).map(|(admission, _)| admission)
}

/// The same with the line that the pair stands in.
pub(crate) fn parse_with_line(path: &Arc<str>, bytes: &[u8]) -> Lined {
    let text = decode(path, bytes).map_err(|finding| Vec::from([finding]))?;
    let source = Source::json(path, text);
    let mut findings = forbidden(&source);
    let root = match json::parse(text) {
        Ok(root) => root,
        Err(error) => {
            let code = match &error {
                JsonError::Malformed { .. } => FindingCode::JsonMalformed,
                JsonError::DuplicateKey { .. } => FindingCode::JsonDuplicateKey,
                JsonError::TooDeep { .. } => FindingCode::JsonTooDeep,
            };
            findings.push(source.finding(code, &error.span(), format!("the file {error}")));
            findings.sort_by(|a, b| a.place.cmp(&b.place));
            return Err(findings);
        }
    };
    let mut object = Object::open(&source, &root, &mut findings, "the file");
    let admission = object
        .as_mut()
        .and_then(|object| read(object, Digest::of(bytes)));
    if let Some(object) = object {
        object.close(&mut findings);
    }
    findings.sort_by(|a, b| a.place.cmp(&b.place));
    let admission = admission.filter(|_| findings.is_empty()).ok_or(findings)?;
    let line = source.excerpt_at(&admission.pair.place);
    Ok((admission, line))
}

/// Reads every field, so that every fault is found, and only then puts them together.
fn read(object: &mut Object<'_, '_>, digest: Digest) -> Option<Admission> {
    object.constant_number("schema_version", "1");
    object.constant_text("work_item", WORK_ITEM);
    let status = object.one_of(
        "case_model_admission_status",
        &[("admitted", Status::Admitted), ("revoked", Status::Revoked)],
    );
    let role = object.one_of(
        "role",
        &[("primary", Role::Primary), ("fallback", Role::Fallback)],
    );
    let provider_class = object.one_of(
        "provider_class",
        &[
            ("local_case_compatible", ProviderClass::LocalCaseCompatible),
            ("external_anthropic", ProviderClass::ExternalAnthropic),
            ("external_fallback", ProviderClass::ExternalFallback),
        ],
    );
    if let (Some(role), Some((class, span))) = (&role, &provider_class)
        && *class == ProviderClass::ExternalFallback
        && role.0 != Role::Fallback
    {
        let message = "`external_fallback` needs the role `fallback`";
        object.report(FindingCode::FieldValue, span, message);
    }
    let provider = object.name("provider", PROVIDER_BYTES_MAX);
    let model = object.name("model", MODEL_BYTES_MAX);
    if let Some((name, span)) = &model
        && name == INEXACT_MODEL
    {
        let message = "`latest` is not an exact model id";
        object.report(FindingCode::NameInvalid, span, message);
    }
    let credential_source_class = object.text("credential_source_class");
    let allowed_network_class = object.text("allowed_network_class");
    object.text("approval_source");
    let admission_timestamp = object.timestamp("admission_timestamp");
    let expires_at = review_trigger(object);
    object.texts("evidence_expectations");
    let auth_bridge = auth_bridge(object);

    let (provider, provider_span) = provider?;
    let (model, _) = model?;
    Some(Admission {
        digest,
        pair: object.located((Pair { provider, model }, provider_span)),
        status: object.located(status?),
        provider_class: object.located(provider_class?),
        role: object.located(role?),
        credential_source_class: object.located(credential_source_class?),
        allowed_network_class: object.located(allowed_network_class?),
        admission_timestamp: object.located(admission_timestamp?),
        expires_at: expires_at.map(|found| object.located(found)),
        auth_bridge: object.located(auth_bridge),
    })
}

/// `review_trigger`: a condition, and a time if there is one.
fn review_trigger(object: &mut Object<'_, '_>) -> Option<Spanned<Timestamp>> {
    let node = object.required("review_trigger")?;
    let mut inner = object.open_inner(node, "`review_trigger`")?;
    inner.text("condition");
    let expires_at = inner
        .member("expires_at")
        .and_then(|node| inner.timestamp_of("expires_at", node));
    object.close_inner(inner);
    expires_at
}

/// `auth_bridge`, which is unproven unless the file says that it is proven.
fn auth_bridge(object: &mut Object<'_, '_>) -> Spanned<AuthBridge> {
    let unsaid = (AuthBridge::Unproven, object.node.span.clone());
    let Some(node) = object.member("auth_bridge") else {
        return unsaid;
    };
    let Some(mut inner) = object.open_inner(node, "`auth_bridge`") else {
        return unsaid;
    };
    let status = inner.one_of(
        "status",
        &[
            ("proven", AuthBridge::Proven),
            ("unproven", AuthBridge::Unproven),
        ],
    );
    inner.text("evidence");
    object.close_inner(inner);
    status.unwrap_or(unsaid)
}

type Spanned<T> = (T, Range<usize>);

/// An object whose fields are taken one by one; what nobody took is unknown.
struct Object<'a, 's> {
    source: &'s Source<'s>,
    node: &'a Node,
    members: &'a [Member],
    taken: Vec<&'a str>,
    findings: Vec<Finding>,
}

impl<'a, 's> Object<'a, 's> {
    fn open(
        source: &'s Source<'s>,
        node: &'a Node,
        findings: &mut Vec<Finding>,
        what: &str,
    ) -> Option<Self> {
        let Value::Object(members) = &node.value else {
            let message = format!("{what} is not an object");
            findings.push(source.finding(FindingCode::FieldType, &node.span, message));
            return None;
        };
        Some(Self {
            source,
            node,
            members,
            taken: Vec::new(),
            findings: Vec::new(),
        })
    }

    /// Hands over the findings, with one for each field that nobody took.
    fn close(self, findings: &mut Vec<Finding>) {
        findings.extend(self.findings);
        let unknown = self
            .members
            .iter()
            .filter(|member| !self.taken.contains(&member.key.as_str()));
        for member in unknown.take(FINDINGS_MAX) {
            let message = format!("the field {} is not known", Source::quote(&member.key));
            let code = FindingCode::FieldUnknown;
            findings.push(self.source.finding(code, &member.key_span, message));
        }
    }

    fn open_inner(&mut self, node: &'a Node, what: &str) -> Option<Self> {
        Self::open(self.source, node, &mut self.findings, what)
    }

    fn close_inner(&mut self, inner: Self) {
        inner.close(&mut self.findings);
    }

    fn report(&mut self, code: FindingCode, span: &Range<usize>, message: &str) {
        if self.findings.len() >= FINDINGS_MAX {
            return;
        }
        self.findings
            .push(self.source.finding(code, span, message.to_owned()));
    }

    fn located<T>(&self, (value, span): Spanned<T>) -> Located<T> {
        Located {
            value,
            place: self.source.place(&span),
        }
    }

    fn member(&mut self, key: &'static str) -> Option<&'a Node> {
        self.taken.push(key);
        let member = self.members.iter().find(|member| member.key == key)?;
        Some(&member.value)
    }

    fn required(&mut self, key: &'static str) -> Option<&'a Node> {
        let node = self.member(key);
        if node.is_none() {
            let brace = self.node.span.start..self.node.span.start.saturating_add(1);
            let message = format!("the field `{key}` is missing");
            self.report(FindingCode::FieldMissing, &brace, &message);
        }
        node
    }

    /// A text that is not empty.
    fn text(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let node = self.required(key)?;
        self.text_of(key, node)
    }

    fn text_of(&mut self, key: &str, node: &Node) -> Option<Spanned<String>> {
        let Some(text) = node.as_str() else {
            let message = format!("`{key}` is not a text");
            self.report(FindingCode::FieldType, &node.span, &message);
            return None;
        };
        if text.trim().is_empty() {
            let message = format!("`{key}` is empty");
            self.report(FindingCode::FieldMissing, &node.span, &message);
            return None;
        }
        // Escapes such as `\u002e` hide from the search of the raw file what the text says.
        let raw = self.source.text().get(node.span.clone());
        let raw = raw.unwrap_or_default();
        if any_reading(text, secret::is_present) && !secret::is_present(raw) {
            let message = format!("`{key}` looks like a secret");
            self.report(FindingCode::SecretFound, &node.span, &message);
        }
        if any_reading(text, endpoint::is_present) && !endpoint::is_present(raw) {
            let message = format!("`{key}` is the address of an endpoint");
            self.report(FindingCode::EndpointFound, &node.span, &message);
        }
        Some((text.to_owned(), node.span.clone()))
    }

    fn constant_text(&mut self, key: &'static str, wanted: &str) {
        if let Some((text, span)) = self.text(key)
            && text != wanted
        {
            let message = format!("`{key}` is not `{wanted}`");
            self.report(FindingCode::FieldValue, &span, &message);
        }
    }

    fn constant_number(&mut self, key: &'static str, wanted: &str) {
        let Some(node) = self.required(key) else {
            return;
        };
        if node.value != Value::Number(wanted.to_owned()) {
            let message = format!("`{key}` is not {wanted}");
            self.report(FindingCode::FieldValue, &node.span, &message);
        }
    }

    fn one_of<T: Copy>(&mut self, key: &'static str, values: &[(&str, T)]) -> Option<Spanned<T>> {
        let (text, span) = self.text(key)?;
        let found = values.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let names: Vec<String> = values.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("`{key}` is none of {}", names.join(", "));
            self.report(FindingCode::FieldValue, &span, &message);
        }
        found.map(|(_, value)| (*value, span))
    }

    fn name(&mut self, key: &'static str, bytes_max: usize) -> Option<Spanned<String>> {
        let (name, span) = self.text(key)?;
        if let Some(fault) = name_fault(&name, bytes_max) {
            self.report(FindingCode::NameInvalid, &span, &format!("`{key}` {fault}"));
        }
        Some((name, span))
    }

    fn timestamp(&mut self, key: &'static str) -> Option<Spanned<Timestamp>> {
        let node = self.required(key)?;
        self.timestamp_of(key, node)
    }

    fn timestamp_of(&mut self, key: &str, node: &Node) -> Option<Spanned<Timestamp>> {
        let (text, span) = self.text_of(key, node)?;
        let parsed = Timestamp::parse(&text);
        if parsed.is_none() {
            let message = format!("`{key}` is not an RFC 3339 time");
            self.report(FindingCode::TimestampInvalid, &span, &message);
        }
        parsed.map(|timestamp| (timestamp, span))
    }

    /// A list of texts that is not empty.
    fn texts(&mut self, key: &'static str) {
        let Some(node) = self.required(key) else {
            return;
        };
        match &node.value {
            Value::Array(items) if items.is_empty() => {
                let message = format!("`{key}` is an empty list");
                self.report(FindingCode::FieldMissing, &node.span, &message);
            }
            Value::Array(items) => {
                for item in items {
                    self.text_of(key, item);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                let message = format!("`{key}` is not a list of texts");
                self.report(FindingCode::FieldType, &node.span, &message);
            }
        }
    }
}
