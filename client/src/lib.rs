//! Asks Admit whether a launch may start, with types that fail closed.
//!
//! ```no_run
//! use std::{path::PathBuf, time::Duration};
//!
//! use admit_client::{
//!     Answer, Client, Endpoints, Tls, TlsOptions,
//!     facts::{Launch, Surroundings, TargetRepositories, gather},
//! };
//! use admit_proto::v1::{FixtureKind, Lane, ServedModel};
//!
//! const DEADLINE: Duration = Duration::from_secs(5);
//!
//! # async fn launch() -> Result<(), Box<dyn std::error::Error>> {
//! // What would be started, and where: the facts are read from there.
//! let surroundings = Surroundings {
//!     variables: std::env::vars_os().collect(),
//!     working_dir: std::env::current_dir()?,
//!     argv: ["case", "run", "--task", "t1.task.json"].map(Into::into).into(),
//! };
//! // What only the harness knows.
//! let launch = Launch {
//!     host: "spark-1".into(),
//!     run_id: "run-17".into(),
//!     lane: Lane::Real,
//!     stage: 2,
//!     dry_run: false,
//!     expected_policy: None,
//!     credential_source_class: "pi-models-json-local-no-secret".into(),
//!     fixture: FixtureKind::CopiedArtificial,
//!     fake_baseline: Some("run-17".into()),
//!     served_model: ServedModel::NotProbed,
//!     probe: true,
//!     task_file: None,
//!     target_repositories: TargetRepositories::None,
//! };
//! let gathered = gather(surroundings, launch, DEADLINE).await?;
//!
//! // The second server is asked when the first has nothing to say.
//! let endpoints: Endpoints = "https://admit-1.lan:7117,https://admit-2.lan:7117".parse()?;
//! let tls = Tls::read(&TlsOptions {
//!     ca_file: Some(PathBuf::from("/etc/admit/ca.pem")),
//!     ..TlsOptions::default()
//! })?;
//! let mut client = Client::new(endpoints, DEADLINE).with_tls(tls);
//!
//! match client.admit(gathered.request).await {
//!     Ok(Answer::Allowed(allowed)) => {
//!         println!("allowed by decision {}", allowed.decision_id());
//!         // start it, and nothing else than what was asked about
//!     }
//!     Ok(Answer::Denied(denied)) => {
//!         for reason in denied.reasons() {
//!             println!("{}: {}", reason.code, reason.message);
//!         }
//!     }
//!     // No answer denies as well.
//!     Err(error) => println!("{error}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What a caller can rely on
//!
//! - An [`Allowed`] exists only after every part of the server's answer was verified, the request it
//!   answers included. There is no `bool`, no `Default` and no constructor to have one by mistake.
//! - Everything else starts nothing: a DENY, an [`AskError`], a time that ran out, a value that is not
//!   known.
//! - One call has one deadline, however many endpoints there are ([`Client`] says how it is shared).
//!   A DENY is final: no other server is asked for a better word.
//! - Plaintext ends at this host, unless
//!   [`Endpoint::allow_plaintext_beyond_loopback`] is called by its name.
//! - Every text of a server is bounded and safe to print, and no error repeats a secret.
//!
//! A caller cannot make an ALLOW of its own:
//!
//! ```compile_fail,E0451
//! # fn forge() -> admit_client::Allowed {
//! admit_client::Allowed { stamp: todo!() }
//! # }
//! ```
//!
//! ```compile_fail,E0277
//! # fn forge() -> admit_client::Answer {
//! Default::default()
//! # }
//! ```
//!
//! nor leave a case out by mistake:
//!
//! ```compile_fail,E0004
//! # use admit_client::{Answer, AskError};
//! # fn act(answer: Result<Answer, AskError>) {
//! match answer {
//!     Ok(Answer::Allowed(_)) => {}
//!     Err(_) => {}
//! }
//! # }
//! ```
//!
//! nor take an answer for a yes:
//!
//! ```compile_fail,E0308
//! # fn act(answer: admit_client::Answer) {
//! if answer {}
//! # }
//! ```
//!
//! # The modules, in reading order
//!
//! - [`endpoint`], [`tls`]: where the servers are, and whom to believe there
//! - [`ask`], [`failure`]: the client of every call, and every way in which a call fails
//! - [`answer`]: ALLOW, which exists only after verification, and DENY
//! - [`judgment`]: what is made of the evidence of a run, accepted only after verification
//! - [`watch`], [`follow`]: the changes of the policy, on one connection and beyond it
//! - [`facts`]: what there is to know about a launch, gathered from what surrounds it
//!
//! Deliberately absent: a second question to the same server in one call, any cached answer, any way
//! to build an ALLOW or an ACCEPTED but from a verified answer.

#![forbid(unsafe_code)]

pub mod answer;
pub mod ask;
pub mod endpoint;
pub mod facts;
pub mod failure;
pub mod follow;
pub mod judgment;
mod policy;
mod route;
mod shown;
pub mod tls;
pub mod watch;

pub use admit_permit as permit;
pub use answer::{Allowed, Answer, Denied, Record};
pub use ask::Client;
pub use endpoint::{Endpoint, EndpointError, Endpoints};
pub use failure::{AskError, FieldViolation, PassedOver};
pub use follow::{Contact, Following, PairEvent};
pub use judgment::{Accepted, Judgment, Rejected};
pub use tls::{Tls, TlsError, TlsOptions};
pub use watch::Watch;
