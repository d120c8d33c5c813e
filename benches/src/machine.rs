//! The machine that was measured on, and the versions of what was measured.
//!
//! Deliberately absent: names, addresses and paths.

use std::{fs, process::Command, thread};

use serde::Serialize;

/// What a figure depends on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The model of the processor, in its own words.
    pub(crate) processor: String,
    /// How many cores there are.
    pub(crate) cores: usize,
    /// The release of the kernel.
    pub(crate) kernel: String,
    /// The compiler that is installed.
    pub(crate) rustc: String,
    /// How these programs were built.
    pub(crate) profile: &'static str,
    /// The version of Admit.
    pub(crate) admit: &'static str,
    /// The version of tonic.
    pub(crate) tonic: String,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let named = |key: &str| {
            let line = processors.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_once(':'))
                .map(|(_, value)| value.trim().to_owned())
        };
        let processor = named("model name").or_else(|| named("CPU part"));
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
            rustc: rustc(),
            profile: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
            admit: env!("CARGO_PKG_VERSION"),
            tonic: locked("tonic").unwrap_or_default().to_owned(),
        }
    }

    /// All of it in one line of Markdown.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, Linux {}; {}, tonic {}, admit {} ({} build)",
            self.processor,
            self.cores,
            self.kernel,
            self.rustc,
            self.tonic,
            self.admit,
            self.profile
        )
    }
}

/// The version of the compiler, without its date.
fn rustc() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    if words.is_empty() {
        "rustc unknown".to_owned()
    } else {
        words.join(" ")
    }
}

/// The version of a package in the lock file.
fn locked(package: &str) -> Option<&'static str> {
    let lock = include_str!("../../Cargo.lock");
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split('"').next()
}
