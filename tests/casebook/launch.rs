//! The request of a case: protobuf JSON, put together layer by layer and then read as the contract
//! describes it.

use std::{fs, path::Path};

use admit_policy::Digest;
use admit_proto::v1::AdmitRequest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage};
use serde_json::{Map, Value, map::Entry as MapEntry};

use super::{Casebook, Entry, Fault};

impl Casebook {
    /// The request of an entry, but for the digest of the policy in force.
    pub(super) fn request(&self, layers: &[&Entry], policy_dir: &Path) -> Result<Value, Fault> {
        let mut request = Value::Object(Map::new());
        let mut admission_file = None;
        for layer in layers {
            for path in &layer.unset {
                // The digest is filled in at the end, when all edits are made.
                if path == "admission_file_digest" && admission_file.take().is_some() {
                    continue;
                }
                unset(&mut request, path)?;
            }
            let stated = serde_json::to_value(&layer.request).map_err(|error| error.to_string())?;
            merge(&mut request, &stated, "request")?;
            if stated.get("admission_file_digest").is_some() {
                admission_file = None;
            }
            if let Some(config) = &layer.case_config {
                set(&mut request, "case_config", STANDARD.encode(config).into())?;
            }
            if let Some(name) = &layer.admission_file
                && admission_file.replace(name) == Some(name)
            {
                return Err(format!("`admission_file` is `{name}` already"));
            }
        }
        if let Some(name) = admission_file {
            let path = policy_dir.join(self.document(name)?);
            let bytes = fs::read(&path).map_err(|error| format!("`admission_file`: {error}"))?;
            let digest = Digest::of(&bytes).to_string();
            set(&mut request, "admission_file_digest", digest.into())?;
        }
        Ok(request)
    }
}

/// Sets a field of the request to something else.
pub(super) fn set(request: &mut Value, field: &str, value: Value) -> Result<(), Fault> {
    merge(
        request,
        &Value::Object(Map::from_iter([(field.to_owned(), value)])),
        "request",
    )
}

/// Puts every member of `stated` into `into`, and insists that each changes something.
fn merge(into: &mut Value, stated: &Value, path: &str) -> Result<(), Fault> {
    let (Some(into), Some(stated)) = (into.as_object_mut(), stated.as_object()) else {
        return Err(format!("`{path}` is no message"));
    };
    for (key, value) in stated {
        let path = format!("{path}.{key}");
        match into.entry(key) {
            MapEntry::Vacant(vacant) => {
                vacant.insert(value.clone());
            }
            MapEntry::Occupied(mut occupied) => {
                if occupied.get() == value {
                    return Err(format!("`{path}` is that already"));
                }
                if occupied.get().is_object() && value.is_object() {
                    merge(occupied.get_mut(), value, &path)?;
                } else {
                    occupied.insert(value.clone());
                }
            }
        }
    }
    Ok(())
}

/// Removes the field that the dotted `path` names.
fn unset(request: &mut Value, path: &str) -> Result<(), Fault> {
    let (parent, field) = match path.rsplit_once('.') {
        Some((parents, field)) => {
            let pointer = format!("/{}", parents.replace('.', "/"));
            (request.pointer_mut(&pointer), field)
        }
        None => (Some(request), path),
    };
    parent
        .and_then(Value::as_object_mut)
        .and_then(|message| message.remove(field))
        .map(|_| ())
        .ok_or_else(|| format!("`unset`: `{path}` is not set"))
}

/// The message that the JSON describes.
pub(super) fn message(json: &Value) -> Result<AdmitRequest, Fault> {
    let pool = DescriptorPool::decode(admit_proto::FILE_DESCRIPTOR_SET)
        .map_err(|error| error.to_string())?;
    let descriptor = pool
        .get_message_by_name("admit.v1.AdmitRequest")
        .ok_or("the contract has no AdmitRequest")?;
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    DynamicMessage::deserialize_with_options(descriptor, json, &options)
        .and_then(|message| message.transcode_to().map_err(serde::de::Error::custom))
        .map_err(|error| format!("the request: {error}"))
}
