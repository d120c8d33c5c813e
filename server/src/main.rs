//! The command line of admitd.

#![forbid(unsafe_code)]

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use admit_server::{
    command::{
        audit::{self, Audit, Outcome},
        demo,
        permit::{self, Permit},
        process, schema, serve, validate,
    },
    config::Source,
    report::Format,
    supervision::Inherited,
};
use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Admit, the policy decision point for launches of WorkOS Case.
#[derive(Parser)]
#[command(name = "admitd", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves decisions until it is told to stop (SIGTERM, SIGINT); SIGHUP has it read everything again.
    Serve {
        /// The configuration file. Without it the built-in one is in force; `admitd config` prints it.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// The policy directory, in place of the configured one.
        #[arg(long, value_name = "DIR")]
        policy_dir: Option<PathBuf>,
        /// The audit directory, in place of the configured one.
        #[arg(long, value_name = "DIR")]
        audit_dir: Option<PathBuf>,
    },
    /// Reports what is wrong with a policy directory. Exit code 0: clean; 1: findings; 2: it could not be read.
    Validate {
        /// The policy directory.
        directory: PathBuf,
        /// The form of the report.
        #[arg(long, value_enum, default_value_t = Format::Plain)]
        format: Format,
    },
    /// Prints the JSON Schema of a document, for editors.
    Schema {
        /// The document.
        #[arg(value_enum)]
        document: Document,
    },
    /// Prints the built-in configuration, which documents every key.
    Config,
    /// Checks, shows, follows and replays the audit log, and sends it again.
    #[command(subcommand)]
    Audit(Audit),
    /// Renews the keys of permits.
    #[command(subcommand)]
    Permit(Permit),
    /// Shows the whole product at work on an example policy: nothing to prepare, nothing left behind.
    Demo,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Document {
    /// An admission file.
    Admission,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            if is_broken_pipe(&error) {
                // Whoever read the output has seen enough; this is what the shell makes of SIGPIPE.
                return ExitCode::from(141);
            }
            // Standard error may be closed; the exit code says it too.
            let _ = writeln!(anstream::stderr(), "admitd: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve {
            config,
            policy_dir,
            audit_dir,
        } => {
            // Before anything makes a thread or opens a file.
            let inherited = Inherited::take()?;
            let source = Source {
                file: config,
                policy_dir,
                audit_dir,
            };
            let config = source
                .read()
                .with_context(|| source.name().display().to_string())?;
            // Held to the end: what waits to be sent is sent then.
            let _diagnostics = process::start_diagnostics(&config)
                .context("the export of diagnostics cannot be started")?;
            process::runtime()
                .context("the runtime cannot be started")?
                .block_on(serve::run(source, config, inherited))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Validate { directory, format } => {
            let is_clean = validate::run(&directory, format, &mut anstream::stdout().lock())
                .with_context(|| format!("cannot validate `{}`", directory.display()))?;
            Ok(ExitCode::from(u8::from(!is_clean)))
        }
        Command::Schema { document } => {
            let text = match document {
                Document::Admission => schema::ADMISSION,
            };
            anstream::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Config => {
            anstream::stdout().write_all(admit_server::config::BUILT_IN.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Audit(command) => {
            let outcome = if command.is_json() {
                audit::run(&command, &mut std::io::stdout().lock())
            } else {
                audit::run(&command, &mut anstream::stdout().lock())
            }?;
            Ok(match outcome {
                Outcome::Good => ExitCode::SUCCESS,
                Outcome::Bad => ExitCode::from(1),
            })
        }
        Command::Permit(command) => {
            permit::run(&command, &mut anstream::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo => {
            process::runtime()
                .context("the runtime cannot be started")?
                .block_on(async {
                    let mut to = anstream::stdout();
                    // Interrupted, the demo ends here and cleans up behind itself.
                    tokio::select! {
                        shown = demo::run(&mut to) => shown.map_err(anyhow::Error::from),
                        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
                    }
                })?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
