//! Reading the configuration again: callers change on a running daemon, everything else takes a restart.
//!
//! A configuration that is not valid changes nothing: nobody is let in by a mistake, and nobody whom the
//! operator meant to keep is shut out by one.

use std::sync::Arc;

use tokio::sync::watch as channel;

use crate::{
    caller::Roster,
    config::{Config, Source},
    operations::metrics::Metrics,
    supervision::Reloads,
    transport::tls::Tls,
};

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
                Ok(Err(error)) => {
                    self.metrics.reload_failures.inc();
                    let error = anyhow::Error::from(error);
                    tracing::error!(
                        "the configuration is not taken, the former one stays: {error:#}"
                    );
                }
                // The runtime ends.
                Err(_) => return,
            }
            drop(reloading);
        }
    }

    fn take(&self, config: Config) {
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

    #[test]
    fn callers_change_and_nothing_else() {
        let before = Config::parse("").unwrap();
        let after = Config::parse(
            "[limits]\nidle = \"1s\"\n[[callers]]\nname = \"one\"\nuids = [1]\nrpcs = [\"GetPolicy\"]\n",
        )
        .unwrap();
        let names: Vec<_> = sections(&before)
            .into_iter()
            .zip(sections(&after))
            .filter(|(before, after)| before != after)
            .map(|((name, _), _)| name)
            .collect();
        assert_eq!(names, ["limits"]);
        let (roster, now) = channel::channel(Arc::new(before.roster.clone()));
        let reread = Reread {
            source: Source::default(),
            started_with: before,
            roster,
            tls: None,
            metrics: Metrics::register(&mut Registry::default()),
        };
        reread.take(after.clone());
        assert_eq!(**now.borrow(), after.roster);
        assert!(now.has_changed().unwrap());
    }
}
