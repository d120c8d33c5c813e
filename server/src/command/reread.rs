//! Reading the configuration again: callers change on a running daemon, everything else takes a restart.
//!
//! A configuration that is not valid changes nothing: nobody is let in by a mistake, and nobody whom the
//! operator meant to keep is shut out by one.

use std::{error::Error, sync::Arc};

use tokio::sync::watch as channel;

use crate::{
    caller::Roster,
    config::{Config, Source, fits},
    metrics::Metrics,
    supervision::Reloads,
    transport::tls::Tls,
};

/// A configuration without callers, on a daemon that has some.
#[derive(Debug, thiserror::Error)]
#[error("it has no `[[callers]]`, and without a restart nobody becomes everybody")]
struct NobodyNamed;

/// What is read again.
pub(super) struct Reread {
    pub(super) source: Source,
    /// The configuration that the daemon was started with.
    pub(super) started_with: Config,
    pub(super) roster: channel::Sender<Arc<Roster>>,
    pub(super) tls: Option<Tls>,
    pub(super) metrics: Metrics,
}

impl Reread {
    /// Follows the requests to read again. Does not end before they do.
    pub(super) async fn follow(self, mut reloads: Reloads) {
        while let Some(reloading) = reloads.requested().await {
            if let Some(tls) = &self.tls {
                tls.reload();
            }
            let source = self.source.clone();
            match tokio::task::spawn_blocking(move || source.read()).await {
                Ok(Ok(config)) => self.take(config),
                Ok(Err(error)) => self.refuse(&error),
                Err(error) => self.refuse(&error),
            }
            drop(reloading);
        }
    }

    /// Keeps what there was.
    fn refuse(&self, error: &(dyn Error + 'static)) {
        self.metrics.reload_failures.inc();
        tracing::error!(
            error,
            "the configuration is not taken; the former one stays"
        );
    }

    fn take(&self, config: Config) {
        // The listeners stay those of the start, and so do the callers that they were opened for: a file
        // that was caught half written, or has lost its last caller, lets nobody in.
        if config.roster.is_local() && !self.roster.borrow().is_local() {
            return self.refuse(&NobodyNamed);
        }
        if let Err(error) = fits(&config.roster, &self.started_with.listen) {
            return self.refuse(&error);
        }
        let fixed = sections(&self.started_with).into_iter();
        let changed: Vec<&str> = fixed
            .zip(sections(&config))
            .filter(|((_, before), (_, now))| before != now)
            .map(|((name, _), _)| name)
            .collect();
        if !changed.is_empty() {
            let sections = changed.join(", ");
            tracing::warn!(
                sections,
                "changed in the configuration, and in force after a restart only"
            );
        }
        let is_new = self.roster.send_if_modified(|roster| {
            let is_new = **roster != config.roster;
            if is_new {
                *roster = Arc::new(config.roster);
            }
            is_new
        });
        if is_new {
            tracing::info!("the callers were changed");
        }
    }
}

/// Everything that takes a restart, by the section of the configuration that it stands in.
fn sections(config: &Config) -> [(&'static str, String); 7] {
    [
        ("policy_dir, rescan_interval", format!("{:?}", config.store)),
        (
            "staleness_max, network_classes",
            format!("{:?}", config.terms),
        ),
        ("listen, tls", format!("{:?}", config.listen)),
        ("limits", format!("{:?}", config.limits)),
        ("audit", format!("{:?}", config.audit)),
        ("permit", format!("{:?}", config.permit)),
        (
            "export",
            format!("{:?} {:?}", config.export, config.exports_diagnostics),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    const NAMED: &str = "[[callers]]\nname = \"one\"\nuids = [1]\nrpcs = [\"GetPolicy\"]\n";
    const OTHER: &str = "[[callers]]\nname = \"two\"\nuids = [2]\nrpcs = [\"GetPolicy\"]\n";
    const WITH_TLS: &str = "[listen]\ntls = \"127.0.0.1:1\"\n\
        [tls]\ncertificate = \"/c\"\nkey = \"/k\"\nclient_ca = \"/a\"\n\
        [[callers]]\nname = \"three\"\ncertificates = [\"dns:three.example\"]\nrpcs = [\"GetPolicy\"]\n";

    /// The roster after `later` was read by a daemon that was started with `before`, and how many
    /// configurations were refused.
    fn reread(before: &str, later: &str) -> (Roster, u64) {
        let before = Config::parse(before).unwrap();
        let (roster, now) = channel::channel(Arc::new(before.roster.clone()));
        let reread = Reread {
            source: Source::default(),
            started_with: before,
            roster,
            tls: None,
            metrics: Metrics::register(&mut Registry::default()),
        };
        reread.take(Config::parse(later).unwrap());
        let roster = Roster::clone(&now.borrow());
        (roster, reread.metrics.reload_failures.get())
    }

    #[test]
    fn callers_change_and_nobody_becomes_everybody() {
        let roster = |text: &str| Config::parse(text).unwrap().roster;
        for (before, later, expected, refused) in [
            ("", NAMED, NAMED, 0),
            (NAMED, OTHER, OTHER, 0),
            (NAMED, "", NAMED, 1),
            (NAMED, "[limits]\nidle = \"1s\"\n", NAMED, 1),
            // The listener for TLS is still there, and nobody could call over it.
            (WITH_TLS, NAMED, WITH_TLS, 1),
            ("", "", "", 0),
        ] {
            let found = reread(before, later);
            assert_eq!(found, (roster(expected), refused), "{before} {later}");
        }
    }

    #[test]
    fn what_takes_a_restart_is_named_by_its_section() {
        let before = Config::parse("").unwrap();
        let after = Config::parse(&format!("[limits]\nidle = \"1s\"\n{NAMED}")).unwrap();
        let names: Vec<_> = sections(&before)
            .into_iter()
            .zip(sections(&after))
            .filter(|(before, after)| before != after)
            .map(|((name, _), _)| name)
            .collect();
        assert_eq!(names, ["limits"]);
    }
}
