//! `admit permit`: whether a permit is good, also without the server, and the keys to tell it by.
//!
//! Deliberately absent: anything that starts a process on a permit. That is the launch wrapper's.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use admit_client::AskError;
use admit_permit::{
    Claims, KeySet, KeySetError, Mismatch, PERMIT_CHARS_MAX, PermitError,
    key_set::KEY_SET_BYTES_MAX,
};
use admit_policy::{Digest, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Break, Outcome, Server, UsageError,
    render::{BAD, CODE, ErrorShape, GOOD, json_line, no_answer, unless_empty},
};
use crate::clock;

/// White space that may stand around a permit in its file, in bytes.
const SURROUNDING_BYTES_MAX: usize = 64;
/// What follows from everything but a valid permit.
const CONSEQUENCE: &str = "nothing is started on this permit";

/// Verifies permits, and shows the keys to do it with.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Permit {
    /// Says whether a permit is valid, and what it states; with --jwks, without the server.
    Verify(Verify),
    /// Prints the keys of permits as a JWK Set, to be saved for `verify --jwks`.
    Keys(Keys),
}

/// Says whether a permit is valid.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    server: Server,

    /// The file of the keys, as `admit permit keys` printed them; the server is not asked then.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,

    /// The host that the permit has to be for.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// The run that the permit has to be for.
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,

    /// The time at which the permit has to hold, as RFC 3339; without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,

    /// The file of the permit; `-` for standard input.
    #[arg(value_name = "PERMIT_FILE")]
    permit: PathBuf,
}

/// Prints the keys of permits.
#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    server: Server,
}

impl Permit {
    pub(crate) async fn run(&self) -> Result<Outcome, Break> {
        match self {
            Self::Verify(verify) => verify.run().await,
            Self::Keys(keys) => keys.run().await,
        }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
enum NoKeys {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the key file cannot be read: {0}")]
    File(io::Error),
    #[error("the key file is of no use: {0}")]
    Set(#[from] KeySetError),
}

impl NoKeys {
    fn shape(&self) -> ErrorShape<'_> {
        match self {
            Self::Ask(error) => error.into(),
            Self::File(_) | Self::Set(_) => ErrorShape::plain("no_keys", self.to_string()),
        }
    }

    fn print(&self, out: &mut dyn Write, consequence: &str) -> io::Result<()> {
        match self {
            Self::Ask(error) => no_answer(out, error, consequence),
            Self::File(_) | Self::Set(_) => {
                writeln!(out, "{BAD}NO KEYS{BAD:#}: {self}  {consequence}")
            }
        }
    }
}

/// Why a permit is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Permit(#[from] PermitError),
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
}

impl Fault {
    fn code(self) -> &'static str {
        match self {
            Self::Permit(error) => error.code(),
            Self::Mismatch(mismatch) => mismatch.code(),
        }
    }
}

#[derive(Debug, Serialize)]
struct VerifyShape<'a> {
    schema: &'static str,
    valid: Option<bool>,
    at: String,
    claims: Option<&'a Claims>,
    reason: Option<FaultShape>,
    error: Option<ErrorShape<'a>>,
}

#[derive(Debug, Serialize)]
struct FaultShape {
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct KeysShape<'a> {
    schema: &'static str,
    jwks: Option<Box<RawValue>>,
    error: Option<ErrorShape<'a>>,
}

impl Verify {
    async fn run(&self) -> Result<Outcome, Break> {
        let at = self.at()?;
        let permit = read_permit(&self.permit)?;
        let mut out = anstream::stdout();
        let keys = match self.keys().await {
            Ok(keys) => keys,
            Err(KeysBreak::Usage(error)) => return Err(error.into()),
            Err(KeysBreak::None(missing)) => {
                if self.server.json {
                    json_line(&mut out, &shape(at, None, None, Some(missing.shape())))?;
                } else {
                    missing.print(&mut anstream::stderr(), CONSEQUENCE)?;
                }
                return Ok(Outcome::NoAnswer);
            }
        };
        let claims = keys.verify(&permit);
        let fault = match &claims {
            Ok(claims) => self.mismatch(claims, at).err().map(Fault::from),
            Err(error) => Some(Fault::from(*error)),
        };
        let claims = claims.as_ref().ok();
        if self.server.json {
            json_line(&mut out, &shape(at, claims, fault, None))?;
        } else {
            print(&mut out, claims, fault)?;
            out.flush()?;
        }
        Ok(match fault {
            None => Outcome::Yes,
            Some(_) => Outcome::No,
        })
    }

    /// When the permit has to hold.
    fn at(&self) -> Result<Timestamp, UsageError> {
        match &self.at {
            Some(text) => Timestamp::parse(text).ok_or_else(|| {
                UsageError("--at is a time such as `2026-06-01T12:00:00Z`".to_owned())
            }),
            None => clock::now()
                .ok_or_else(|| UsageError("the clock of this host is of no use; give --at".into())),
        }
    }

    async fn keys(&self) -> Result<KeySet, KeysBreak> {
        let Some(path) = &self.jwks else {
            let mut client = self.server.client(self.server.deadline())?;
            return Ok(client.permit_keys().await.map_err(NoKeys::Ask)?);
        };
        let file = File::open(path).map_err(NoKeys::File)?;
        let bytes = read_most(file, KEY_SET_BYTES_MAX).map_err(NoKeys::File)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(KeySet::parse(text.as_ref()).map_err(NoKeys::Set)?)
    }

    fn mismatch(&self, claims: &Claims, at: Timestamp) -> Result<(), Mismatch> {
        let host = self.host.as_ref().unwrap_or(&claims.host);
        let run_id = self.run_id.as_ref().unwrap_or(&claims.run_id);
        let (now, _) = at.unix();
        claims.holds_for(host, run_id, now)
    }
}

/// Why a verification ends before it begins.
enum KeysBreak {
    Usage(UsageError),
    None(NoKeys),
}

impl From<UsageError> for KeysBreak {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}

impl From<NoKeys> for KeysBreak {
    fn from(missing: NoKeys) -> Self {
        Self::None(missing)
    }
}

impl Keys {
    async fn run(&self) -> Result<Outcome, Break> {
        let mut client = self.server.client(self.server.deadline())?;
        let answer = client.permit_keys().await;
        let jwks = answer.as_ref().ok().map(KeySet::to_json);
        let mut out = anstream::stdout();
        if self.server.json {
            let shape = KeysShape {
                schema: "admit.permit.keys/1",
                jwks: jwks.and_then(|jwks| RawValue::from_string(jwks).ok()),
                error: answer.as_ref().err().map(ErrorShape::from),
            };
            json_line(&mut out, &shape)?;
        } else {
            match (&jwks, &answer) {
                (Some(jwks), _) => writeln!(out, "{jwks}")?,
                (None, Err(error)) => no_answer(&mut anstream::stderr(), error, CONSEQUENCE)?,
                (None, Ok(_)) => {}
            }
        }
        out.flush()?;
        Ok(if answer.is_ok() {
            Outcome::Yes
        } else {
            Outcome::NoAnswer
        })
    }
}

fn shape<'a>(
    at: Timestamp,
    claims: Option<&'a Claims>,
    fault: Option<Fault>,
    error: Option<ErrorShape<'a>>,
) -> VerifyShape<'a> {
    VerifyShape {
        schema: "admit.permit.verify/1",
        valid: error.is_none().then_some(fault.is_none()),
        at: at.to_string(),
        claims,
        reason: fault.map(|fault| FaultShape {
            code: fault.code(),
            message: fault.to_string(),
        }),
        error,
    }
}

fn print(out: &mut dyn Write, claims: Option<&Claims>, fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => writeln!(out, "{GOOD}VALID{GOOD:#}")?,
        Some(fault) => {
            let code = fault.code();
            writeln!(out, "{BAD}NOT VALID{BAD:#}  {CODE}{code}{CODE:#}: {fault}")?;
        }
    }
    let Some(claims) = claims else { return Ok(()) };
    let time = |seconds| {
        Timestamp::from_unix(seconds, 0).map_or_else(String::new, |time| time.to_string())
    };
    let text =
        |digest: Option<Digest>| digest.map_or_else(String::new, |digest| digest.to_string());
    for (name, value) in [
        ("decision", claims.decision_id.clone()),
        ("issued", time(claims.issued_at)),
        ("expires", time(claims.expires_at)),
        ("host", claims.host.clone()),
        ("run", claims.run_id.clone()),
        ("lane", claims.lane.as_str().to_owned()),
        ("provider", claims.provider.clone()),
        ("model", claims.model.clone()),
        ("admission", text(claims.admission_file)),
        ("policy", text(claims.policy)),
        ("config", text(claims.case_config)),
        ("log", claims.stream_id.clone()),
        ("record", format!("{}:{}", claims.seq, claims.record_hash)),
    ] {
        writeln!(
            out,
            "  {name:<10} {}",
            unless_empty(&value).unwrap_or("none")
        )?;
    }
    Ok(())
}

/// The permit in the file at `path`, or on standard input.
fn read_permit(path: &Path) -> Result<String, UsageError> {
    let most = PERMIT_CHARS_MAX.saturating_add(SURROUNDING_BYTES_MAX);
    let read = if path.as_os_str() == "-" {
        read_most(io::stdin().lock(), most)
    } else {
        File::open(path).and_then(|file| read_most(file, most))
    };
    let bytes =
        read.map_err(|error| UsageError(format!("the permit file cannot be read: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).trim_ascii().to_owned())
}

/// What there is to read, up to one byte more than `most`: what follows makes it too long anyway.
fn read_most(from: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    from.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
