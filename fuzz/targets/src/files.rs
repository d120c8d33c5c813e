//! The files of an operator: the configuration, headers for a receiver, keys.
//!
//! Deliberately absent: the modes of the files, which the daemon's own tests have.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
};

use admit_server::{
    audit::keys::{NamesKey, SigningKey},
    config::Config,
    export::headers::{self, HEADERS_MAX},
    permit::directory,
};
use tempfile::TempDir;

use crate::{
    bundle,
    held::{CANARY, check_visible, check_without_canary},
};

/// Longest error of a configuration, in characters: its line and what is wrong there.
const ERROR_CHARS_MAX: usize = 4096;

/// The configuration: what is valid is within its bounds, and no error repeats a value.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Config::parse(text) {
        Ok(config) => {
            assert!(config.terms.staleness_max > config.store.rescan_interval);
            assert!(!admit_policy::secret::is_present(text));
        }
        Err(error) => {
            let told = format!("{error}");
            let Ok(table) = text.parse::<toml::Table>() else {
                return;
            };
            if !has_key(&toml::Value::Table(table), CANARY) {
                check_without_canary(told.as_bytes());
            }
            assert!(told.chars().count() <= ERROR_CHARS_MAX + text.len());
        }
    }
}

/// Whether a key anywhere in `value` has `part`.
fn has_key(value: &toml::Value, part: &str) -> bool {
    match value {
        toml::Value::Table(table) => table
            .iter()
            .any(|(key, value)| key.contains(part) || has_key(value, part)),
        toml::Value::Array(values) => values.iter().any(|value| has_key(value, part)),
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => false,
    }
}

/// A file with these bytes, for its owner only.
fn private_file(data: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, data).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (folder, path)
}

/// The headers for a receiver: bounded, and shown nowhere.
pub fn headers(data: &[u8]) {
    let (_folder, path) = private_file(data);
    match headers::load(&path) {
        Ok(headers) => {
            assert!(headers.len() <= HEADERS_MAX);
            let names = headers.keys().map(|key| format!("{key:?}"));
            if !names.collect::<String>().contains(CANARY) {
                check_without_canary(format!("{headers:?}").as_bytes());
            }
        }
        Err(error) => {
            check_visible(&error.to_string());
            check_without_canary(format!("{error} {error:?}").as_bytes());
        }
    }
}

/// A file of a key, and the directory of permit keys: no error repeats a part of a key.
pub fn key_file(data: &[u8]) {
    let (_folder, path) = private_file(data);
    if let Ok(key) = SigningKey::load(&path) {
        assert_eq!(key.public().len(), 64);
    }
    for error in [SigningKey::load(&path).err(), NamesKey::load(&path).err()]
        .into_iter()
        .flatten()
    {
        check_without_canary(format!("{error} {error:?}").as_bytes());
    }
    let files = bundle::files(data);
    if files.is_empty() {
        return;
    }
    let folder = bundle::folder(&files);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    for (name, _) in &files {
        let path = folder.path().join(name);
        if path.is_file() {
            fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
    }
    if let Ok(entries) = directory::read(folder.path()) {
        assert!(entries.is_sorted_by(|a, b| a.created >= b.created));
        for entry in entries {
            let public = folder.path().join(format!("{}.json", entry.public.kid()));
            assert!(public.is_file() || entry.private.is_none());
        }
    }
}
