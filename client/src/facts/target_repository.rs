//! Whether a Target Repository path is visible to the launch.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use admit_policy::escape::any_reading;

use super::Surroundings;

/// Every way in which a repository's path may be written.
fn spellings(surroundings: &Surroundings, repository: &Path) -> Vec<Vec<u8>> {
    let mut paths = vec![repository.to_path_buf()];
    paths.extend(repository.canonicalize());
    // A path with its doubled slashes and dots taken out.
    paths.push(repository.components().collect());
    if let Some(home) = surroundings.path("HOME") {
        let below_home = paths
            .iter()
            .find_map(|path| path.strip_prefix(&home).ok())
            .map(|rest| Path::new("~").join(rest));
        paths.extend(below_home);
    }
    let mut spellings: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| path.as_os_str().as_bytes().to_vec())
        .map(|mut path| {
            while path.ends_with(b"/") {
                path.pop();
            }
            path
        })
        .filter(|path| !path.is_empty())
        .collect();
    spellings.sort();
    spellings.dedup();
    spellings
}

/// Whether a path of `repositories` stands in the arguments, in a variable, in one of `texts`, or is
/// or holds the working directory.
pub(super) fn is_visible(
    surroundings: &Surroundings,
    repositories: &[PathBuf],
    texts: &[&[u8]],
) -> bool {
    let spellings: Vec<Vec<u8>> = repositories
        .iter()
        .flat_map(|repository| spellings(surroundings, repository))
        .collect();
    let arguments = surroundings.argv.iter().map(|text| text.as_bytes());
    let values = surroundings.variables.values().map(|text| text.as_bytes());
    let working_dir = surroundings.working_dir.as_os_str().as_bytes();
    let is_written = texts
        .iter()
        .copied()
        .chain(arguments)
        .chain(values)
        .chain([working_dir])
        .any(|text| mentions(text, &spellings));
    is_written
        || repositories
            .iter()
            .any(|repository| is_led_into(surroundings, repository))
}

/// Whether one of `spellings` stands in `text`, as written or with its escapes resolved.
fn mentions(text: &[u8], spellings: &[Vec<u8>]) -> bool {
    let stands_in = |text: &[u8]| spellings.iter().any(|path| names(text, path));
    stands_in(text)
        || (text.contains(&b'\\')
            && any_reading(&String::from_utf8_lossy(text), |reading| {
                stands_in(reading.as_bytes())
            }))
}

/// Whether `path` stands in `text`, and not as the start of a longer name.
fn names(text: &[u8], path: &[u8]) -> bool {
    text.windows(path.len()).enumerate().any(|(at, window)| {
        let next = text.get(at.saturating_add(path.len())).copied();
        let is_longer_name =
            next.is_some_and(|next| next.is_ascii_alphanumeric() || matches!(next, b'_' | b'-'));
        window == path && !is_longer_name
    })
}

/// Whether the working directory or an argument, resolved as the command would, leads into the
/// repository.
fn is_led_into(surroundings: &Surroundings, repository: &Path) -> bool {
    let Ok(repository) = repository.canonicalize() else {
        return false;
    };
    let leads = |path: &Path| {
        surroundings
            .working_dir
            .join(path)
            .canonicalize()
            .is_ok_and(|path| path.starts_with(&repository))
    };
    let value_of = |argument: &OsString| {
        let bytes = argument.as_bytes();
        let sign = bytes.iter().position(|byte| *byte == b'=')?;
        let value = bytes.get(sign.saturating_add(1)..)?;
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(value)))
    };
    leads(Path::new(""))
        || surroundings.argv.iter().any(|argument| {
            leads(Path::new(argument)) || value_of(argument).is_some_and(|value| leads(&value))
        })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn surroundings(working_dir: &Path, argv: &[&str]) -> Surroundings {
        Surroundings {
            variables: [("HOME".into(), "/home/jp".into())].into(),
            working_dir: working_dir.into(),
            argv: argv.iter().map(Into::into).collect(),
        }
    }

    fn is_in(text: &str) -> bool {
        let surroundings = surroundings(Path::new("/"), &["case"]);
        is_visible(
            &surroundings,
            &["/home/jp/target/".into()],
            &[text.as_bytes()],
        )
    }

    #[test]
    fn a_path_is_found_in_every_spelling() {
        for text in [
            "/home/jp/target",
            "see /home/jp/target/src.",
            "/home/jp/target.",
            "file:///home/jp/target",
            r#"{"repo":"\/home\/jp\/target"}"#,
            "cd ~/target && make",
        ] {
            assert!(is_in(text), "{text}");
        }
        for text in ["", "/home/jp", "/home/jp/target-copy", "/home/jp/targets/x"] {
            assert!(!is_in(text), "{text}");
        }
    }

    #[test]
    fn arguments_variables_and_the_working_directory_count() {
        let target = [PathBuf::from("/srv/app")];
        let clean = surroundings(Path::new("/tmp"), &["case", "/srv/app2"]);
        assert!(!is_visible(&clean, &target, &[]));
        let in_argv = surroundings(Path::new("/tmp"), &["case", "--repo=/srv/app"]);
        assert!(is_visible(&in_argv, &target, &[]));
        let at_work = surroundings(Path::new("/srv/app/src"), &["case"]);
        assert!(is_visible(&at_work, &target, &[]));
        let mut in_variable = clean;
        in_variable
            .variables
            .insert("OLDPWD".into(), "/srv/app".into());
        assert!(is_visible(&in_variable, &target, &[]));
    }

    #[test]
    fn a_link_or_a_relative_path_into_the_repository_counts() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let work = folder.path().join("work");
        fs::create_dir_all(target.join("src")).unwrap();
        fs::create_dir(&work).unwrap();
        symlink(&target, work.join("link")).unwrap();
        let targets = [target];
        for argv in [
            &["case", "../target/src"][..],
            &["case", "link"],
            &["--repo=link"],
        ] {
            assert!(
                is_visible(&surroundings(&work, argv), &targets, &[]),
                "{argv:?}"
            );
        }
        assert!(is_visible(
            &surroundings(&work.join("link"), &["case"]),
            &targets,
            &[]
        ));
        assert!(!is_visible(&surroundings(&work, &["case"]), &targets, &[]));
    }
}
