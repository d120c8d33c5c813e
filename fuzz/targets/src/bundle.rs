//! Several files in one input: a line `==> NAME` opens each, as `head` prints them.
//!
//! Names are taken as far as they stay below the folder; everything else is dropped. Deliberately
//! absent: what the files are.

use std::{fs, path::Path};

use tempfile::TempDir;

/// Most files of one input.
const FILES_MAX: usize = 24;
/// Longest name of a file, in bytes.
const NAME_BYTES_MAX: usize = 120;
const MARK: &[u8] = b"==> ";

/// A file: its name and its bytes.
pub(crate) type File<'a> = (&'a str, &'a [u8]);

/// The files of `data`. The line feed before a mark is of the file, and what stands before the first
/// mark is no file.
pub(crate) fn files(data: &[u8]) -> Vec<File<'_>> {
    let mut starts: Vec<usize> = Vec::new();
    for at in 0..data.len() {
        let is_line_start = at == 0 || data[at - 1] == b'\n';
        if is_line_start && data[at..].starts_with(MARK) {
            starts.push(at);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let file = &data[start + MARK.len()..end];
            let line = file.iter().position(|byte| *byte == b'\n')?;
            let name = std::str::from_utf8(&file[..line]).ok()?;
            is_below(name).then_some((name, &file[line + 1..]))
        })
        .take(FILES_MAX)
        .collect()
}

/// The file `name` of `files`; empty when there is none.
pub(crate) fn content<'a>(files: &[File<'a>], name: &str) -> &'a [u8] {
    let found = files.iter().find(|(found, _)| *found == name);
    found.map_or(b"", |(_, content)| content)
}

/// A new folder, with `files` in it as far as they have a place there.
pub(crate) fn folder(files: &[File<'_>]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    folder
}

/// Writes one file below `folder`. One that is in the way of another is left out.
pub(crate) fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    let is_made = path
        .parent()
        .is_some_and(|parent| fs::create_dir_all(parent).is_ok());
    if is_made && !path.is_dir() {
        fs::write(path, content).unwrap();
    }
}

fn is_below(name: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.len() <= NAME_BYTES_MAX && name.split('/').all(is_part)
}
