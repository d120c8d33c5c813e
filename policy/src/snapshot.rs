//! A snapshot: everything read from the policy directory at one moment, judged once.
//!
//! Its digest is SHA-256 over one line per decision record and admission file, sorted by path, in
//! the form that `sha256sum` prints: so that `sha256sum FILES… | sha256sum` shows it too.
//! Deliberately absent: how the files were found, and when.

use alloc::{
    borrow::ToOwned as _,
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    sync::Arc,
    vec::Vec,
};

use crate::{
    contradiction::{self, Documents},
    digest::Digest,
    document::{
        Kind,
        admission::{self, Admission},
        decision_record::{self, Branch, DecisionRecord},
        work_item::{self, WorkItem},
    },
    finding::{Finding, FindingCode, Place},
    pair::Pair,
    source_file::SourceFile,
    text::Source,
};

/// The decision records that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// None.
    Missing,
    /// More than one.
    Conflict(Vec<Place>),
    /// One that is not valid; the places of its findings.
    Invalid(Vec<Place>),
    /// One that is valid.
    Valid(DecisionRecord),
}

/// The valid admission files of one pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// One file.
    One(Box<Admission>),
    /// Two or more files, all void; the places of the pair in them.
    Conflict(Vec<Place>),
}

/// Everything read at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    digest: Digest,
    record: RecordState,
    admissions: BTreeMap<String, BTreeMap<String, Admitted>>,
    invalid_admissions: BTreeMap<Digest, Place>,
    work_items: Vec<WorkItem>,
    findings: Vec<Finding>,
}

impl Snapshot {
    /// Judges `files`; their order does not matter.
    #[must_use]
    pub fn build(files: &[SourceFile]) -> Self {
        Self::build_with_strays(files, Vec::new())
    }

    /// Judges `files`, and keeps `strays`: findings about what is no file of the policy.
    #[must_use]
    pub fn build_with_strays(files: &[SourceFile], strays: Vec<Finding>) -> Self {
        let mut sorted: Vec<&SourceFile> = files.iter().collect();
        sorted.sort_by(|a, b| a.path.cmp(&b.path));
        let mut reading = Reading {
            findings: strays,
            ..Reading::default()
        };
        for file in &sorted {
            reading.file(file);
        }
        let record = reading.record();
        let admissions = reading.admissions();
        let mut snapshot = Self {
            digest: digest(&sorted),
            record,
            admissions,
            invalid_admissions: reading.invalid_admissions,
            work_items: reading.work_items,
            findings: reading.findings,
        };
        let contradictions = contradiction::find(&Documents {
            record: snapshot.valid_record(),
            admissions: snapshot.admissions().collect(),
            work_items: &snapshot.work_items,
        });
        snapshot.findings.extend(contradictions);
        show_lines(&mut snapshot.findings, &sorted);
        snapshot
            .findings
            .sort_by(|a, b| (&a.place, a.code).cmp(&(&b.place, b.code)));
        snapshot
    }

    /// The snapshot that these judgments make, with no document behind them: what `decide` needs to
    /// derive a recorded decision again. The admissions are those of [`Snapshot::admitted_pairs`].
    #[must_use]
    pub fn of_judgments(
        digest: Digest,
        record: RecordState,
        admissions: impl IntoIterator<Item = (Pair, Admitted)>,
        invalid_admissions: impl IntoIterator<Item = Digest>,
    ) -> Self {
        let mut by_provider: BTreeMap<String, BTreeMap<String, Admitted>> = BTreeMap::new();
        for (pair, admitted) in admissions {
            let models = by_provider.entry(pair.provider).or_default();
            models.insert(pair.model, admitted);
        }
        Self {
            digest,
            record,
            admissions: by_provider,
            invalid_admissions: invalid_admissions
                .into_iter()
                .map(|digest| (digest, Place::whole(&Arc::from(""))))
                .collect(),
            work_items: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// The identity of the snapshot.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The decision records that were found.
    #[must_use]
    pub fn record(&self) -> &RecordState {
        &self.record
    }

    /// The decision record, if there is one that is valid.
    #[must_use]
    pub fn valid_record(&self) -> Option<&DecisionRecord> {
        match &self.record {
            RecordState::Valid(record) => Some(record),
            RecordState::Missing | RecordState::Conflict(_) | RecordState::Invalid(_) => None,
        }
    }

    /// The decision record, if it is valid and something is decided.
    #[must_use]
    pub fn decided_record(&self) -> Option<&DecisionRecord> {
        self.valid_record()
            .filter(|record| record.branch != Branch::NotDecided)
    }

    /// The valid admission files of exactly this pair.
    #[must_use]
    pub fn admitted(&self, provider: &str, model: &str) -> Option<&Admitted> {
        self.admissions.get(provider)?.get(model)
    }

    /// The one valid admission of exactly this pair.
    #[must_use]
    pub fn admission(&self, provider: &str, model: &str) -> Option<&Admission> {
        match self.admitted(provider, model)? {
            Admitted::One(admission) => Some(admission),
            Admitted::Conflict(_) => None,
        }
    }

    /// Where the invalid admission file with this digest is, if there is one.
    #[must_use]
    pub fn invalid_admission(&self, digest: Digest) -> Option<&Place> {
        self.invalid_admissions.get(&digest)
    }

    /// The digests of the invalid admission files, and where the files are.
    pub fn invalid_admissions(&self) -> impl Iterator<Item = (Digest, &Place)> {
        self.invalid_admissions
            .iter()
            .map(|(digest, place)| (*digest, place))
    }

    /// Every pair that has valid admission files, in order.
    pub fn admitted_pairs(&self) -> impl Iterator<Item = (Pair, &Admitted)> {
        self.admissions.iter().flat_map(|(provider, models)| {
            models.iter().map(|(model, admitted)| {
                let pair = Pair {
                    provider: provider.clone(),
                    model: model.clone(),
                };
                (pair, admitted)
            })
        })
    }

    /// Every admission that is valid and does not conflict.
    pub fn admissions(&self) -> impl Iterator<Item = &Admission> {
        self.admissions
            .values()
            .flat_map(BTreeMap::values)
            .filter_map(|admitted| match admitted {
                Admitted::One(admission) => Some(&**admission),
                Admitted::Conflict(_) => None,
            })
    }

    /// Every pair that the record or an admission names, in order.
    #[must_use]
    pub fn pairs(&self) -> BTreeSet<Pair> {
        let named = self.valid_record().into_iter().flat_map(|record| {
            [&record.primary, &record.fallback]
                .into_iter()
                .flatten()
                .map(|named| named.pair.clone())
        });
        self.admitted_pairs()
            .map(|(pair, _)| pair)
            .chain(named)
            .collect()
    }

    /// The work items, in the order of the documents.
    #[must_use]
    pub fn work_items(&self) -> &[WorkItem] {
        &self.work_items
    }

    /// What is wrong with the documents, ordered by place.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// A decision record that was found, with its path: valid, or the places of its findings.
type FoundRecord = (Arc<str>, Result<DecisionRecord, Vec<Place>>);

/// What has been read so far.
#[derive(Default)]
struct Reading {
    records: Vec<FoundRecord>,
    valid_admissions: BTreeMap<Pair, Vec<Admission>>,
    invalid_admissions: BTreeMap<Digest, Place>,
    work_items: Vec<WorkItem>,
    findings: Vec<Finding>,
}

impl Reading {
    fn file(&mut self, file: &SourceFile) {
        let bytes = match &file.content {
            Ok(bytes) => bytes,
            Err(fault) => {
                self.findings.push(fault.finding(file));
                if file.kind == Kind::DecisionRecord {
                    let places = Vec::from([Place::whole(&file.path)]);
                    self.records.push((Arc::clone(&file.path), Err(places)));
                }
                return;
            }
        };
        match file.kind {
            Kind::DecisionRecord => {
                let parsed = decision_record::parse(&file.path, bytes)
                    .map_err(|findings| self.keep(findings));
                self.records.push((Arc::clone(&file.path), parsed));
            }
            Kind::Admission => match admission::parse(&file.path, bytes) {
                Ok(admission) => self
                    .valid_admissions
                    .entry(admission.pair.value.clone())
                    .or_default()
                    .push(admission),
                Err(findings) => {
                    let places = self.keep(findings);
                    let place = places.into_iter().next();
                    let place = place.unwrap_or_else(|| Place::whole(&file.path));
                    self.invalid_admissions.insert(Digest::of(bytes), place);
                }
            },
            Kind::WorkItems => {
                let (items, findings) = work_item::parse(&file.path, bytes);
                self.work_items.extend(items);
                self.findings.extend(findings);
            }
        }
    }

    /// Keeps `findings`; their places.
    fn keep(&mut self, findings: Vec<Finding>) -> Vec<Place> {
        let places = findings
            .iter()
            .map(|finding| finding.place.clone())
            .collect();
        self.findings.extend(findings);
        places
    }

    fn record(&mut self) -> RecordState {
        let mut records = core::mem::take(&mut self.records);
        if records.len() > 1 {
            let places: Vec<Place> = records.iter().map(|(path, _)| Place::whole(path)).collect();
            for (path, _) in &records {
                let message = format!("there are {} decision records", records.len());
                self.findings.push(Finding::whole(
                    FindingCode::DecisionRecordConflict,
                    path,
                    message,
                ));
            }
            return RecordState::Conflict(places);
        }
        match records.pop() {
            None => {
                let message = "there is no decision record in the policy directory".to_owned();
                let code = FindingCode::DecisionRecordMissing;
                self.findings
                    .push(Finding::whole(code, &Arc::from("."), message));
                RecordState::Missing
            }
            Some((_, Ok(record))) => RecordState::Valid(record),
            Some((_, Err(places))) => RecordState::Invalid(places),
        }
    }

    fn admissions(&mut self) -> BTreeMap<String, BTreeMap<String, Admitted>> {
        let mut admissions: BTreeMap<String, BTreeMap<String, Admitted>> = BTreeMap::new();
        for (pair, mut files) in core::mem::take(&mut self.valid_admissions) {
            let only = if files.len() == 1 { files.pop() } else { None };
            let admitted = match only {
                Some(admission) => Admitted::One(Box::new(admission)),
                None => {
                    let places: Vec<Place> =
                        files.iter().map(|file| file.pair.place.clone()).collect();
                    for place in &places {
                        self.findings.push(Finding {
                            code: FindingCode::AdmissionConflict,
                            place: place.clone(),
                            message: format!(
                                "{} files admit {pair}; another one is `{}`",
                                places.len(),
                                another(&places, place)
                            ),
                            excerpt: None,
                        });
                    }
                    Admitted::Conflict(places)
                }
            };
            admissions
                .entry(pair.provider)
                .or_default()
                .insert(pair.model, admitted);
        }
        admissions
    }
}

/// The path of a place in another file than `place`.
fn another<'a>(places: &'a [Place], place: &Place) -> &'a str {
    places
        .iter()
        .find(|other| other.path != place.path)
        .map_or("", |other| &*other.path)
}

/// Gives a finding that compares documents the line that it stands in.
fn show_lines(findings: &mut [Finding], sorted: &[&SourceFile]) {
    let mut sources: BTreeMap<Arc<str>, Option<Source<'_>>> = BTreeMap::new();
    for finding in findings {
        if finding.excerpt.is_some() || finding.place.line == 0 {
            continue;
        }
        let path = &finding.place.path;
        let source = sources.entry(Arc::clone(path)).or_insert_with(|| {
            let at = sorted.binary_search_by(|file| file.path.cmp(path)).ok()?;
            let file = sorted.get(at)?;
            let text = core::str::from_utf8(file.content.as_ref().ok()?).ok()?;
            Some(match file.kind {
                Kind::DecisionRecord | Kind::WorkItems => Source::new(path, text),
                Kind::Admission => Source::json(path, text),
            })
        });
        finding.excerpt = source
            .as_ref()
            .and_then(|source| source.excerpt_at(&finding.place));
    }
}

/// The digest over the decision records and admission files among `sorted`.
fn digest(sorted: &[&SourceFile]) -> Digest {
    let mut lines = String::new();
    for file in sorted {
        if file.kind == Kind::WorkItems {
            continue;
        }
        let line = match &file.content {
            Ok(bytes) => format!("{}  {}\n", Digest::of(bytes), file.path),
            Err(fault) => format!("{}  {}\n", fault.marker(), file.path),
        };
        lines.push_str(&line);
    }
    Digest::of(lines.as_bytes())
}
