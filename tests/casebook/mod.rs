//! The case files of `tests/cases/`, read as strictly as they are meant: a key that is not known
//! and an edit that changes nothing are errors. `tests/cases/README.md` describes the form.
//!
//! Deliberately absent: what is done with a case. `tests/interop/casebook.py` reads the same files
//! with none of this code.

mod documents;
mod launch;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use tempfile::TempDir;

use documents::Edit;

/// Why a case cannot be made, for a person.
pub(crate) type Fault = String;

/// The base of an entry that names none.
const BASE: &str = "real";
/// Longest chain of bases; a longer one leads in a circle.
const LAYERS_MAX: usize = 8;

/// Everything that is said about one gate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseFile {
    /// The code of the gate.
    pub(crate) gate: String,
    /// What the gate is for, in one sentence.
    pub(crate) about: String,
    /// Launches that the gate denies.
    #[serde(default)]
    pub(crate) denied: Vec<Entry>,
    /// Launches next to them that are allowed.
    #[serde(default)]
    pub(crate) allowed: Vec<Entry>,
}

/// One launch, as a change of another one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: String,
    base: Option<String>,
    #[serde(default)]
    policy: Vec<Edit>,
    #[serde(default)]
    unset: Vec<String>,
    #[serde(default)]
    request: toml::Table,
    case_config: Option<String>,
    admission_file: Option<String>,
    expected_policy: Option<ExpectedPolicy>,
    /// How the policy stands, when it is not fresh.
    pub(crate) standing: Option<Standing>,
    /// The time of the decision, when it matters.
    pub(crate) now: Option<String>,
    /// The codes of the denial, when the gate's own is not the only one.
    pub(crate) codes: Option<Vec<String>>,
}

/// The digest that a launch expects the policy to have.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ExpectedPolicy {
    /// That of the policy in force.
    Current,
}

/// How a policy stands that is not fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    /// None has been read.
    Unavailable,
    /// It could not be read for too long.
    Stale,
}

/// The case files and what they build on.
pub(crate) struct Casebook {
    folder: PathBuf,
    short_names: BTreeMap<String, String>,
    bases: BTreeMap<String, Entry>,
}

/// A launch and the policy directory that it is decided under.
pub(crate) struct Case {
    pub(crate) policy_dir: TempDir,
    request: serde_json::Value,
    expects_current: bool,
}

impl Casebook {
    pub(crate) fn open() -> Result<Self, Fault> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
        let bases = toml_files(&folder.join("base"))?
            .into_iter()
            .filter(|(name, _)| name != "documents" && name != "admitd")
            .map(|(name, path)| Ok((name, read(&path)?)))
            .collect::<Result<_, Fault>>()?;
        Ok(Self {
            short_names: read(&folder.join("base/documents.toml"))?,
            bases,
            folder,
        })
    }

    /// Every case file, by its name without the ending.
    pub(crate) fn files(&self) -> Result<BTreeMap<String, CaseFile>, Fault> {
        toml_files(&self.folder)?
            .into_iter()
            .map(|(name, path)| Ok((name, read(&path)?)))
            .collect()
    }

    /// Every base, by its name.
    pub(crate) fn bases(&self) -> &BTreeMap<String, Entry> {
        &self.bases
    }

    /// The configuration that cases are decided under.
    pub(crate) fn config(&self) -> Result<String, Fault> {
        text(&self.folder.join("base/admitd.toml"))
    }

    /// Writes the documents of an entry and puts its request together.
    pub(crate) fn case(&self, entry: &Entry) -> Result<Case, Fault> {
        self.layered(&self.layers(entry, BASE)?)
    }

    /// The same for a base, which builds on nothing unless it says so.
    pub(crate) fn base_case(&self, base: &Entry) -> Result<Case, Fault> {
        match &base.base {
            Some(_) => self.case(base),
            None => self.layered(&[base]),
        }
    }

    fn layered(&self, layers: &[&Entry]) -> Result<Case, Fault> {
        let policy_dir = TempDir::new().map_err(|error| error.to_string())?;
        self.write_documents(layers, policy_dir.path())?;
        Ok(Case {
            request: self.request(layers, policy_dir.path())?,
            expects_current: layers.iter().any(|layer| layer.expected_policy.is_some()),
            policy_dir,
        })
    }

    /// The entry with all that it builds on, the deepest first.
    fn layers<'a>(&'a self, entry: &'a Entry, default: &'a str) -> Result<Vec<&'a Entry>, Fault> {
        let mut layers = vec![entry];
        let mut below = Some(entry.base.as_deref().unwrap_or(default));
        while let Some(name) = below {
            let base = self
                .bases
                .get(name)
                .ok_or_else(|| format!("there is no base `{name}`"))?;
            layers.push(base);
            if layers.len() > LAYERS_MAX {
                return Err(format!("the base `{name}` builds on itself"));
            }
            below = base.base.as_deref();
        }
        layers.reverse();
        Ok(layers)
    }

    /// The path that `name` stands for.
    fn document<'a>(&'a self, name: &'a str) -> Result<&'a str, Fault> {
        match self.short_names.get(name) {
            Some(path) => Ok(path),
            None if name.contains(['/', '.']) => Ok(name),
            None => Err(format!("no document has the short name `{name}`")),
        }
    }
}

impl Case {
    /// The request, with what can only be known when the policy has been read.
    pub(crate) fn request(
        mut self,
        policy_digest: &str,
    ) -> Result<admit_proto::v1::AdmitRequest, Fault> {
        if self.expects_current {
            launch::set(
                &mut self.request,
                "expected_policy_digest",
                policy_digest.into(),
            )?;
        }
        launch::message(&self.request)
    }
}

fn text(path: &Path) -> Result<String, Fault> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Fault> {
    toml::from_str(&text(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

/// The TOML files of one folder, by their names without the ending.
fn toml_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Fault> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.and_then(|name| name.strip_suffix(".toml")) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}
