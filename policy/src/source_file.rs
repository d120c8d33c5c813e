//! A file of the policy directory: its bytes, or why they are not there.

use alloc::{borrow::ToOwned as _, format, sync::Arc};

use crate::{
    document::Kind,
    finding::{Finding, FindingCode},
};

/// A file of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path within the policy directory, with `/` between its parts.
    pub path: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// Its bytes, or why they are not there.
    pub content: Result<Arc<[u8]>, ContentFault>,
}

/// Why the bytes of a file are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentFault {
    /// It could not be read.
    Unreadable,
    /// It is larger than its kind may be.
    TooLarge,
    /// It is not a regular file.
    NotAFile,
    /// It is a link that leads out of the policy directory, or nowhere.
    LinkNotFollowed,
    /// Its path can not be shown as it is.
    NameInvalid,
}

impl ContentFault {
    pub(crate) fn finding(self, file: &SourceFile) -> Finding {
        let (code, message) = match self {
            Self::Unreadable => (
                FindingCode::FileUnreadable,
                "the file cannot be read".to_owned(),
            ),
            Self::NotAFile => (
                FindingCode::FileUnreadable,
                "this is not a regular file".to_owned(),
            ),
            Self::TooLarge => {
                let limit = file.kind.bytes_max();
                (
                    FindingCode::FileTooLarge,
                    format!("the file is larger than {limit} bytes"),
                )
            }
            Self::LinkNotFollowed => (
                FindingCode::LinkNotFollowed,
                "the link leads out of the policy directory, or nowhere".to_owned(),
            ),
            Self::NameInvalid => (
                FindingCode::FileNameInvalid,
                "the path has a character that can not be shown, or looks like a secret".to_owned(),
            ),
        };
        Finding::whole(code, &file.path, message)
    }

    /// What stands in the digest in place of the content's own.
    pub(crate) fn marker(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too-large",
            Self::NotAFile => "not-a-file",
            Self::LinkNotFollowed => "link-not-followed",
            Self::NameInvalid => "name-invalid",
        }
    }
}
