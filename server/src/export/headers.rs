//! The headers that a receiver is sent, from a private file: one `name: value` a line.
//!
//! Their values are credentials. No error says a value or a part of one, and no value is printed.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tonic::metadata::{Ascii, AsciiMetadataKey, MetadataMap, MetadataValue};

/// Most headers.
pub const HEADERS_MAX: usize = 32;
/// Largest file of headers, in bytes.
pub const HEADERS_BYTES_MAX: u64 = 8 * 1024;
/// Access for others than the owner.
const OTHERS_MODE: u32 = 0o077;
/// Names that belong to the transport, beside those that start with `grpc-`.
const TRANSPORT_NAMES: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
];

/// Why headers cannot be sent. No variant has a place for a value.
#[derive(Debug, thiserror::Error)]
pub enum HeadersError {
    /// The file cannot be read.
    #[error("the file of headers `{}` cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others than the owner may use the file.
    #[error("the file of headers `{}` may be read by others than its owner; `chmod 600` it", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// It is larger than a file of headers can be.
    #[error("the file of headers `{}` has more than {HEADERS_MAX} lines or {HEADERS_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A line is not a header.
    #[error("the file of headers `{}`, line {line}: {fault}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
}

/// The headers in the file at `path`.
///
/// # Errors
///
/// When the file cannot be read, is open to others or too large, or a line is not a header.
pub fn load(path: &Path) -> Result<MetadataMap, HeadersError> {
    let text = read(path)?;
    let too_large = || HeadersError::TooLarge { path: path.into() };
    let mut headers = MetadataMap::new();
    for (at, line) in text.lines().enumerate() {
        let line_fault = |fault| HeadersError::Line {
            path: path.into(),
            line: at.saturating_add(1),
            fault,
        };
        if at >= HEADERS_MAX {
            return Err(too_large());
        }
        if line.trim().is_empty() {
            continue;
        }
        let (name, value) = header(line).map_err(line_fault)?;
        if headers.insert(name, value).is_some() {
            return Err(line_fault("this name was there before"));
        }
    }
    Ok(headers)
}

fn header(line: &str) -> Result<(AsciiMetadataKey, MetadataValue<Ascii>), &'static str> {
    let (name, value) = line
        .split_once(':')
        .ok_or("a header is `name: value`, and this has no colon")?;
    let name = name.trim().to_ascii_lowercase();
    if name.starts_with("grpc-") || TRANSPORT_NAMES.contains(&name.as_str()) {
        return Err("this name belongs to the transport");
    }
    let name = AsciiMetadataKey::from_bytes(name.as_bytes())
        .map_err(|_| "the name is not one of a text header")?;
    let mut value =
        MetadataValue::try_from(value.trim()).map_err(|_| "the value is not visible ASCII")?;
    // Shown as `Sensitive`, and never indexed by the compression of headers.
    value.set_sensitive(true);
    Ok((name, value))
}

fn read(path: &Path) -> Result<String, HeadersError> {
    let failed = |source| HeadersError::File {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.permissions().mode() & OTHERS_MODE != 0 {
        return Err(HeadersError::OpenToOthers { path: path.into() });
    }
    if metadata.len() > HEADERS_BYTES_MAX {
        return Err(HeadersError::TooLarge { path: path.into() });
    }
    let mut text = String::new();
    file.take(HEADERS_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECRET: &str = "do-not-tell";

    fn loaded(text: &str, mode: u32) -> Result<MetadataMap, HeadersError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("headers");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        load(&path)
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let text = format!("Authorization: Bearer {SECRET}:x\n\nx-tenant:  cto \n");
        let headers = loaded(&text, 0o600).unwrap();
        let value = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(value("authorization"), format!("Bearer {SECRET}:x"));
        assert_eq!(value("x-tenant"), "cto");
        assert!(!format!("{headers:?}").contains(SECRET));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        for mode in [0o640, 0o604, 0o660] {
            let error = loaded("a: b\n", mode).unwrap_err();
            assert!(matches!(error, HeadersError::OpenToOthers { .. }));
        }
    }

    #[test]
    fn what_is_no_header_is_named_by_its_line_alone() {
        for line in [
            SECRET.to_owned(),
            format!("{SECRET} {SECRET}: x"),
            format!("x-{SECRET}-bin: {SECRET}"),
            format!("grpc-timeout: {SECRET}"),
            format!("Content-Type: {SECRET}"),
            format!("x: {SECRET}\u{7f}"),
            format!("a: {SECRET}"),
        ] {
            let error = loaded(&format!("a: b\n{line}\n"), 0o600).unwrap_err();
            let told = format!("{error} {error:?}");
            assert!(told.contains("line 2") && !told.contains(SECRET), "{told}");
        }
    }

    #[test]
    fn bounds_have_two_sides() {
        let lines = |count: usize| {
            (0..count)
                .map(|n| format!("x-{n}: v\n"))
                .collect::<String>()
        };
        assert_eq!(
            loaded(&lines(HEADERS_MAX), 0o600).unwrap().len(),
            HEADERS_MAX
        );
        assert!(loaded(&lines(HEADERS_MAX + 1), 0o600).is_err());
        let long = |bytes: usize| format!("a: {}", "v".repeat(bytes - 3));
        let most = usize::try_from(HEADERS_BYTES_MAX).unwrap();
        assert!(loaded(&long(most), 0o600).is_ok());
        assert!(loaded(&long(most + 1), 0o600).is_err());
    }
}
