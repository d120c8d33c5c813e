//! Paths as they may be shown.
//!
//! Deliberately absent: where they lead.

use std::ffi::OsStr;

use admit_policy::text::{is_forbidden, is_invisible, shown};

/// Longest path that is shown, in bytes.
const PATH_BYTES_MAX: usize = 4096;

/// A path within the policy directory, as it may be shown.
#[derive(Clone, Default)]
pub(super) struct Shown {
    pub(super) path: String,
    /// The real path can not be shown as it is.
    pub(super) altered: bool,
}

impl Shown {
    /// The path of the entry `name` in this folder.
    pub(super) fn join(&self, name: &OsStr) -> Self {
        let text = name.to_string_lossy();
        // Nearly every name is shown as it is.
        let is_as_shown = text.len() <= PATH_BYTES_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !is_forbidden(&text);
        if is_as_shown {
            return self.with(&text, self.altered);
        }
        let is_plain = name.to_str().is_some() && !text.contains(is_invisible);
        let visible = shown(&text, PATH_BYTES_MAX);
        self.with(&visible, self.altered || !is_plain || visible != text)
    }

    /// The path of what is shown as `visible` in this folder.
    fn with(&self, visible: &str, altered: bool) -> Self {
        let mut path = if self.path.is_empty() {
            visible.to_owned()
        } else {
            format!("{}/{visible}", self.path)
        };
        // Escapes take more room than what they stand for.
        let is_too_long = path.len() > PATH_BYTES_MAX;
        path.truncate(path.floor_char_boundary(PATH_BYTES_MAX));
        Self {
            path,
            altered: altered || is_too_long,
        }
    }
}
