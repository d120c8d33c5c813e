//! The admission file of the host: its digest, never its content.

use admit_policy::Digest;

use super::{FileRole, Ledger, Surroundings};

/// The variable that names the file.
const VARIABLE: &str = "CTO_HARNESS_CASE_MODEL_ADMISSION_FILE";

/// The digest of the file; `None` when the variable is unset or the file cannot be read.
pub(super) fn digest(surroundings: &Surroundings, ledger: &mut Ledger) -> Option<Digest> {
    let path = surroundings.path(VARIABLE)?;
    match ledger.read(&path, FileRole::Admission) {
        Ok(Some(bytes)) => Some(Digest::of(&bytes)),
        Ok(None) => {
            ledger.note(VARIABLE, "names a file that is not there");
            None
        }
        Err(fault) => {
            ledger.note(VARIABLE, format!("names a file that {}", fault.describe()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_digest_is_that_of_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), b"abc").unwrap();
        let mut ledger = Ledger::default();
        for path in [folder.path().join("a.json"), "a.json".into()] {
            let surroundings = Surroundings {
                variables: [(VARIABLE.into(), path.into())].into(),
                working_dir: folder.path().into(),
                argv: Vec::new(),
            };
            assert_eq!(digest(&surroundings, &mut ledger), Some(Digest::of(b"abc")));
        }
        assert!(ledger.notes.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_has_no_digest_and_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let large = usize::try_from(FileRole::Admission.bytes_max()).unwrap() + 1;
        fs::write(folder.path().join("large"), vec![b' '; large]).unwrap();
        for (value, notes_due) in [("", 0), ("missing", 1), (".", 1), ("large", 1)] {
            let surroundings = Surroundings {
                variables: [(VARIABLE.into(), value.into())].into(),
                working_dir: folder.path().into(),
                argv: Vec::new(),
            };
            let mut ledger = Ledger::default();
            assert_eq!(digest(&surroundings, &mut ledger), None);
            assert_eq!(ledger.notes.len(), notes_due, "{value}");
        }
    }
}
