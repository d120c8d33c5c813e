//! One file of the policy directory, judged by itself: what it says, what is wrong with it, and its line of
//! the digest.
//!
//! A judgment depends on the path, the kind and the content of its file alone, so it holds for as long as these
//! are the same. Deliberately absent: what several files mean together, which is the snapshot's business.

use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::slice;

use crate::{
    digest::Digest,
    document::{
        Kind,
        admission::{self, Admission},
        decision_record::{self, DecisionRecord},
        work_item::{self, WorkItem},
    },
    finding::{Excerpt, Finding, Place},
    source_file::SourceFile,
    text::Source,
};

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// A decision record, or the places of what is wrong with it.
    Record(Result<DecisionRecord, Vec<Place>>),
    /// A valid admission, and the line that its pair stands in.
    Admission(Arc<Admission>, Option<Excerpt>),
    /// An admission file that is not valid: its digest, and the first place of what is wrong with it.
    InvalidAdmission(Digest, Place),
    /// Work items.
    WorkItems(Vec<WorkItem>),
    /// Nothing: its content is not there.
    Nothing,
}

/// A file and its judgment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    file: SourceFile,
    said: Said,
    findings: Vec<Finding>,
    /// `None` for a file that decides nothing.
    digest_line: Option<String>,
}

impl Judged {
    /// Judges one file.
    #[must_use]
    pub fn of(file: SourceFile) -> Self {
        let (said, findings) = judge(&file);
        let content = file.content.as_ref();
        let digest_line = (file.kind != Kind::WorkItems).then(|| match content {
            Ok(bytes) => format!("{}  {}\n", Digest::of(bytes), file.path),
            Err(fault) => format!("{}  {}\n", fault.marker(), file.path),
        });
        Self {
            file,
            said,
            findings,
            digest_line,
        }
    }

    /// Judges `files`. A file that is in `former` as it is now is not judged again. Both are ordered by path;
    /// in another order the result is the same, at the cost of more judgments.
    #[must_use]
    pub fn all(files: &[SourceFile], former: &[Arc<Self>]) -> Vec<Arc<Self>> {
        let mut former = former.iter().peekable();
        files
            .iter()
            .map(|file| {
                while former.next_if(|one| one.file.path < file.path).is_some() {}
                match former.next_if(|one| one.file == *file) {
                    Some(same) => Arc::clone(same),
                    None => Arc::new(Self::of(file.clone())),
                }
            })
            .collect()
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &SourceFile {
        &self.file
    }

    pub(crate) fn said(&self) -> &Said {
        &self.said
    }

    pub(crate) fn findings(&self) -> slice::Iter<'_, Finding> {
        self.findings.iter()
    }

    pub(crate) fn digest_line(&self) -> Option<&str> {
        self.digest_line.as_deref()
    }

    /// The text of the file with what is needed to show a line of it.
    pub(crate) fn source(&self) -> Option<Source<'_>> {
        let path = &self.file.path;
        let text = core::str::from_utf8(self.file.content.as_ref().ok()?).ok()?;
        Some(match self.file.kind {
            Kind::DecisionRecord | Kind::WorkItems => Source::new(path, text),
            Kind::Admission => Source::json(path, text),
        })
    }
}

fn judge(file: &SourceFile) -> (Said, Vec<Finding>) {
    let path = &file.path;
    let bytes = match &file.content {
        Ok(bytes) => bytes,
        Err(fault) => {
            let said = match file.kind {
                Kind::DecisionRecord => Said::Record(Err(Vec::from([Place::whole(path)]))),
                Kind::Admission | Kind::WorkItems => Said::Nothing,
            };
            return (said, Vec::from([fault.finding(file)]));
        }
    };
    match file.kind {
        Kind::DecisionRecord => match decision_record::parse(path, bytes) {
            Ok(record) => (Said::Record(Ok(record)), Vec::new()),
            Err(findings) => {
                let places = findings.iter().map(|finding| finding.place.clone());
                (Said::Record(Err(places.collect())), findings)
            }
        },
        Kind::Admission => match admission::parse_with_line(path, bytes) {
            Ok((admission, line)) => (Said::Admission(Arc::new(admission), line), Vec::new()),
            Err(findings) => {
                let first = findings.first().map(|finding| finding.place.clone());
                let place = first.unwrap_or_else(|| Place::whole(path));
                (Said::InvalidAdmission(Digest::of(bytes), place), findings)
            }
        },
        Kind::WorkItems => {
            let (items, findings) = work_item::parse(path, bytes);
            (Said::WorkItems(items), findings)
        }
    }
}
