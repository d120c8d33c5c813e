//! `admitd` on a commit path that is told, so that they can be measured side by side.
//!
//! Runtime, allocator and everything else are those of `admitd`. Deliberately absent: a way for a
//! deployment to choose; `admitd` itself has none.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use admit_server::{
    audit::CommitPath,
    command::{process, serve},
    config::Source,
    supervision::Inherited,
};
use clap::Parser;

/// `admitd serve` on a commit path that is told.
#[derive(Parser)]
struct Arguments {
    /// What it is started for.
    #[arg(value_parser = ["serve"])]
    _command: String,
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The commit path.
    #[arg(long, value_enum, env = "ADMIT_COMMIT_PATH")]
    commit_path: Chosen,
}

/// A commit path on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Chosen {
    Adaptive,
    Writer,
    Inline,
}

impl From<Chosen> for CommitPath {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Adaptive => Self::Adaptive,
            Chosen::Writer => Self::Writer,
            Chosen::Inline => Self::Inline,
        }
    }
}

/// That of `admitd`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let inherited = Inherited::take()?;
    let arguments = Arguments::parse();
    let source = Source {
        file: Some(arguments.config),
        policy_dir: None,
        audit_dir: None,
    };
    let mut config = source.read()?;
    config.audit.commit_path = arguments.commit_path.into();
    let _diagnostics = process::start_diagnostics(&config)?;
    process::runtime()?.block_on(serve::run(source, config, inherited))?;
    Ok(())
}
