//! The policy directory of a case: a copy of the example, and edits of it.

use std::{fs, io, path::Path};

use serde::Deserialize;

use super::{Casebook, Entry, Fault};

/// What is wrong with an edit that states no kind, or several.
const ONE_KIND: &str =
    "state `replace` and `with`, or one of `content`, `copy`, `rename` and `remove = true`";

/// One edit of one file. Exactly one kind of edit is stated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    file: String,
    replace: Option<String>,
    with: Option<String>,
    content: Option<String>,
    copy: Option<String>,
    rename: Option<String>,
    remove: Option<bool>,
}

impl Casebook {
    /// Fills `policy_dir` with the example, edited layer by layer.
    pub(super) fn write_documents(
        &self,
        layers: &[&Entry],
        policy_dir: &Path,
    ) -> Result<(), Fault> {
        let example = self.folder.join("../../deploy/example");
        copy_folder(&example, policy_dir).map_err(|error| error.to_string())?;
        for edit in layers.iter().flat_map(|layer| &layer.policy) {
            self.edit(edit, policy_dir)
                .map_err(|fault| format!("the edit of `{}`: {fault}", edit.file))?;
        }
        Ok(())
    }

    fn edit(&self, edit: &Edit, policy_dir: &Path) -> Result<(), Fault> {
        let failed = |error: io::Error| error.to_string();
        let target = |name: &str| Ok::<_, Fault>(policy_dir.join(self.document(name)?));
        let file = target(&edit.file)?;
        let Edit {
            replace,
            with,
            content,
            copy,
            rename,
            remove,
            ..
        } = edit;
        match (replace, with, content, copy, rename, remove) {
            (Some(old), Some(new), None, None, None, None) => {
                let text = fs::read_to_string(&file).map_err(failed)?;
                write(&file, &replaced(&text, old, new)?)
            }
            (None, None, Some(content), None, None, None) => {
                if fs::read_to_string(&file).is_ok_and(|text| text == *content) {
                    return Err("the content is that already".into());
                }
                write(&file, content)
            }
            (None, None, None, Some(to), None, None) => {
                let text = fs::read_to_string(&file).map_err(failed)?;
                write_new(&target(to)?, &text)
            }
            (None, None, None, None, Some(to), None) => {
                let text = fs::read_to_string(&file).map_err(failed)?;
                write_new(&target(to)?, &text)?;
                fs::remove_file(&file).map_err(failed)
            }
            (None, None, None, None, None, Some(true)) => fs::remove_file(&file).map_err(failed),
            _ => Err(ONE_KIND.into()),
        }
    }
}

/// `text` with the one place that reads `old` changed.
fn replaced(text: &str, old: &str, new: &str) -> Result<String, Fault> {
    match text.matches(old).count() {
        1 if old == new => Err("`replace` and `with` are the same".into()),
        1 => Ok(text.replacen(old, new, 1)),
        count => Err(format!("`{old}` stands there {count} times, and not once")),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Fault> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    fs::write(file, text).map_err(|error| error.to_string())
}

fn write_new(file: &Path, text: &str) -> Result<(), Fault> {
    if file.exists() {
        return Err(format!("`{}` is there already", file.display()));
    }
    write(file, text)
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
