//! A snapshot: everything read from the policy directory at one moment, judged once.
//!
//! Its digest is SHA-256 over one line per decision record and admission file, sorted by path, in
//! the form that `sha256sum` prints: so that `sha256sum FILES… | sha256sum` shows it too.
//! Deliberately absent: how the files were found, and when.

use alloc::{
    borrow::ToOwned as _,
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
        admission::Admission,
        decision_record::{Branch, DecisionRecord},
        work_item::WorkItem,
    },
    finding::{Excerpt, Finding, FindingCode, Place},
    judged::{Judged, Said},
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
    One(Arc<Admission>),
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
        Self::of_judged(&Judged::all(files, &[]), strays)
    }

    /// The snapshot of files that have been judged one by one; their order does not matter.
    #[must_use]
    pub fn of_judged(judged: &[Arc<Judged>], strays: Vec<Finding>) -> Self {
        let mut sorted: Vec<&Judged> = judged.iter().map(|judged| &**judged).collect();
        sorted.sort_by(|a, b| a.file().path.cmp(&b.file().path));
        let mut reading = Reading {
            findings: strays,
            ..Reading::default()
        };
        for judged in &sorted {
            reading.take(judged);
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

    /// The pairs that the record names, if it is valid.
    fn selected(&self) -> impl Iterator<Item = &Pair> {
        self.valid_record().into_iter().flat_map(|record| {
            let selected = [&record.primary, &record.fallback];
            selected.into_iter().flatten().map(|named| &named.pair)
        })
    }

    /// Every pair that the record or an admission names, in order.
    #[must_use]
    pub fn pairs(&self) -> BTreeSet<Pair> {
        self.admitted_pairs()
            .map(|(pair, _)| pair)
            .chain(self.selected().cloned())
            .collect()
    }

    /// The providers and models of these pairs, in no order, some of them more than once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let providers = self.admissions.keys();
        let models = self.admissions.values().flat_map(BTreeMap::keys);
        let selected = self
            .selected()
            .flat_map(|pair| [&pair.provider, &pair.model]);
        providers.chain(models).chain(selected).map(String::as_str)
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
type FoundRecord<'a> = (&'a Arc<str>, &'a Result<DecisionRecord, Vec<Place>>);

/// What has been read so far.
#[derive(Default)]
struct Reading<'a> {
    records: Vec<FoundRecord<'a>>,
    valid_admissions: Vec<&'a Arc<Admission>>,
    invalid_admissions: BTreeMap<Digest, Place>,
    work_items: Vec<WorkItem>,
    findings: Vec<Finding>,
}

impl<'a> Reading<'a> {
    fn take(&mut self, judged: &'a Judged) {
        self.findings.extend(judged.findings().cloned());
        match judged.said() {
            Said::Record(record) => self.records.push((&judged.file().path, record)),
            Said::Admission(admission, _) => self.valid_admissions.push(admission),
            Said::InvalidAdmission(digest, place) => {
                self.invalid_admissions.insert(*digest, place.clone());
            }
            Said::WorkItems(items) => self.work_items.extend(items.iter().cloned()),
            Said::Nothing => {}
        }
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
            Some((_, Ok(record))) => RecordState::Valid(record.clone()),
            Some((_, Err(places))) => RecordState::Invalid(places.clone()),
        }
    }

    fn admissions(&mut self) -> BTreeMap<String, BTreeMap<String, Admitted>> {
        let mut admissions: BTreeMap<String, BTreeMap<String, Admitted>> = BTreeMap::new();
        let mut valid = core::mem::take(&mut self.valid_admissions);
        // Files of one pair stay in the order of their paths.
        valid.sort_by(|a, b| a.pair.value.cmp(&b.pair.value));
        for files in valid.chunk_by(|a, b| a.pair.value == b.pair.value) {
            let Some(first) = files.first() else { continue };
            let pair = &first.pair.value;
            let admitted = match files {
                [admission] => Admitted::One(Arc::clone(admission)),
                _ => {
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
            let models = match admissions.get_mut(&pair.provider) {
                Some(models) => models,
                None => admissions.entry(pair.provider.clone()).or_default(),
            };
            models.insert(pair.model.clone(), admitted);
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
fn show_lines(findings: &mut [Finding], sorted: &[&Judged]) {
    let mut sources: BTreeMap<Arc<str>, Option<Source<'_>>> = BTreeMap::new();
    for finding in findings {
        let place = &finding.place;
        if finding.excerpt.is_some() || place.line == 0 {
            continue;
        }
        let at = sorted.binary_search_by(|judged| judged.file().path.cmp(&place.path));
        let judged = at.ok().and_then(|at| sorted.get(at));
        finding.excerpt = match judged.and_then(|judged| pair_line(judged, place)) {
            Some(line) => Some(line.clone()),
            None => sources
                .entry(Arc::clone(&place.path))
                .or_insert_with(|| judged.and_then(|judged| judged.source()))
                .as_ref()
                .and_then(|source| source.excerpt_at(place)),
        };
    }
}

/// The line of an admission at `place`, if that is where its pair stands: it is shown of most of them.
fn pair_line<'a>(judged: &'a Judged, place: &Place) -> Option<&'a Excerpt> {
    match judged.said() {
        Said::Admission(admission, line) if admission.pair.place == *place => line.as_ref(),
        Said::Admission(..)
        | Said::Record(_)
        | Said::InvalidAdmission(..)
        | Said::WorkItems(_)
        | Said::Nothing => None,
    }
}

/// The digest over the decision records and admission files among `sorted`.
fn digest(sorted: &[&Judged]) -> Digest {
    let lines = sorted.iter().filter_map(|judged| judged.digest_line());
    Digest::of_parts(lines.map(str::as_bytes))
}
