//! What is counted of calls, callers, connections and the policy in force.
//!
//! Every label is a word of a closed set. Deliberately absent: any label that a caller could choose; what
//! the audit trail counts (`crate::audit::metrics`).

use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

use admit_client::failure::code_name;
use admit_policy::{Decision, EvidenceVerdict, Verdict};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Metric, Registry, Unit},
};
use tonic::Code;

use crate::{
    caller::{HandshakeDefect, RefusalCause, Rpc, Via},
    limits::Limit,
};

/// Upper bounds of the buckets of an answer's latency, in seconds.
const ANSWER_BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2.0,
    10.0,
];

/// The word of a verdict without any objection.
const NO_CODE: &str = "none";

/// The version of admitd.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A label that has a closed set of words.
type Word = (&'static str, &'static str);
type Counters<const LABELS: usize> = Family<[Word; LABELS], Counter>;

/// The metrics of a running daemon.
#[derive(Clone, Debug)]
pub struct Metrics {
    decisions: Counters<2>,
    /// Launches that were allowed: the row of `decisions` that nothing is looked up for.
    allowed: Counter,
    evidence: Counters<2>,
    answers: Counters<2>,
    answer_seconds: Family<[Word; 1], Histogram>,
    /// The rows of the two for calls of each RPC that went well.
    went_well: BTreeMap<Rpc, (Counter, Histogram)>,
    refused: Counters<2>,
    overloaded: Counters<1>,
    handshakes_failed: Counters<1>,
    /// Open connections.
    connections: Family<[Word; 1], Gauge>,
    /// Calls that have no answer yet.
    pub in_flight: Gauge,
    /// Open watches of the policy.
    pub watchers: Gauge,
    /// Entries that wait for the writer of the audit log.
    pub audit_waiting_records: Gauge,
    /// Whether a real launch could be answered: 1 or 0.
    pub serving: Gauge,
    /// How long ago the policy in force was last found to be what is on the disk.
    pub policy_age_seconds: Gauge<f64, AtomicU64>,
    /// How old it may get.
    pub policy_staleness_max_seconds: Gauge<f64, AtomicU64>,
    /// The findings of the policy in force.
    pub policy_findings: Gauge,
    /// The pairs that the policy in force admits now.
    pub policy_admitted_pairs: Gauge,
    /// From now to the next expiry of an admission; not a number without one.
    pub policy_next_expiry_seconds: Gauge<f64, AtomicU64>,
    /// From now to the end of the server's certificate; not a number without TLS.
    pub certificate_expiry_seconds: Gauge<f64, AtomicU64>,
    /// Certificates and keys that could not be read again; the former ones are in use.
    pub reload_failures: Counter,
}

impl Metrics {
    /// New metrics, registered in `registry`.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a table: one row for each metric")]
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("admit");
        let mut metrics = Self {
            decisions: registered(
                registry,
                "decisions",
                "Answers to launches, by verdict and primary code",
                Family::default(),
            ),
            evidence: registered(
                registry,
                "evidence_verdicts",
                "Verdicts on evidence, by verdict and primary code",
                Family::default(),
            ),
            answers: registered(
                registry,
                "answers",
                "Ended calls, by RPC and gRPC code",
                Family::default(),
            ),
            allowed: Counter::default(),
            went_well: BTreeMap::new(),
            answer_seconds: registered_seconds(
                registry,
                "answer",
                "From the first byte of a call to its answer, by RPC",
                Family::new_with_constructor(|| Histogram::new(ANSWER_BUCKETS)),
            ),
            refused: registered(
                registry,
                "callers_refused",
                "Calls that the caller may not make, by cause and kind of connection",
                Family::default(),
            ),
            overloaded: registered(
                registry,
                "overloaded",
                "Calls and connections that were over a limit, by limit",
                Family::default(),
            ),
            handshakes_failed: registered(
                registry,
                "handshakes_failed",
                "TLS handshakes that failed, by defect",
                Family::default(),
            ),
            connections: registered(
                registry,
                "connections",
                "Open connections, by kind",
                Family::default(),
            ),
            in_flight: registered(
                registry,
                "in_flight",
                "Calls that have no answer yet",
                Gauge::default(),
            ),
            watchers: registered(
                registry,
                "watchers",
                "Open watches of the policy",
                Gauge::default(),
            ),
            audit_waiting_records: registered(
                registry,
                "audit_waiting_records",
                "Entries that wait for the writer of the audit log",
                Gauge::default(),
            ),
            serving: registered(
                registry,
                "serving",
                "Whether a real launch could be answered",
                Gauge::default(),
            ),
            policy_age_seconds: registered_seconds(
                registry,
                "policy_age",
                "Time since the policy in force was last found to be what is on the disk; NaN without a policy",
                Gauge::default(),
            ),
            policy_staleness_max_seconds: registered_seconds(
                registry,
                "policy_staleness_max",
                "The age from which on the policy holds no more",
                Gauge::default(),
            ),
            policy_findings: registered(
                registry,
                "policy_findings",
                "Findings of the policy in force",
                Gauge::default(),
            ),
            policy_admitted_pairs: registered(
                registry,
                "policy_admitted_pairs",
                "Pairs that the policy in force admits now",
                Gauge::default(),
            ),
            policy_next_expiry_seconds: registered_seconds(
                registry,
                "policy_next_expiry",
                "Time until the next admission expires; NaN without one",
                Gauge::default(),
            ),
            certificate_expiry_seconds: registered_seconds(
                registry,
                "certificate_expiry",
                "Time until the server's certificate expires; NaN without TLS",
                Gauge::default(),
            ),
            reload_failures: registered(
                registry,
                "reload_failures",
                "Certificates, keys or configurations that could not be read again; the former ones are in use",
                Counter::default(),
            ),
        };
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", VERSION)]),
        );
        metrics.policy_next_expiry_seconds.set(f64::NAN);
        metrics.certificate_expiry_seconds.set(f64::NAN);
        metrics.start_at_zero();
        metrics
    }

    /// A counter that nobody has counted yet is there all the same, so that the first event is an increase.
    fn start_at_zero(&mut self) {
        for via in Via::ALL {
            drop(self.connections.get_or_create(&[("via", via.as_str())]));
            for cause in RefusalCause::ALL {
                self.refused_counter(cause, via);
            }
        }
        for limit in Limit::ALL {
            drop(self.overloaded.get_or_create(&[("limit", limit.as_str())]));
        }
        for defect in HandshakeDefect::ALL {
            drop(
                self.handshakes_failed
                    .get_or_create(&[("defect", defect.as_str())]),
            );
        }
        self.allowed = self
            .decisions
            .get_or_create_owned(&[("verdict", "allow"), ("primary", NO_CODE)]);
        drop(
            self.evidence
                .get_or_create(&[("verdict", "accepted"), ("primary", NO_CODE)]),
        );
        for rpc in Rpc::ALL {
            let (word, code) = (("rpc", rpc.as_str()), ("code", code_name(Code::Ok)));
            let answers = self.answers.get_or_create_owned(&[word, code]);
            let seconds = self.answer_seconds.get_or_create_owned(&[word]);
            self.went_well.insert(rpc, (answers, seconds));
        }
    }

    /// One launch was answered.
    pub fn decided(&self, decision: &Decision) {
        match &decision.verdict {
            Verdict::Allow => {
                self.allowed.inc();
            }
            Verdict::Deny(reasons) => {
                let primary = reasons.first().map(|reason| reason.code.as_str());
                let primary = ("primary", primary.unwrap_or(NO_CODE));
                count(&self.decisions, [("verdict", "deny"), primary]);
            }
        }
    }

    /// The evidence of one run was judged.
    pub fn judged(&self, verdict: &EvidenceVerdict) {
        let words = match verdict {
            EvidenceVerdict::Accepted => ("accepted", NO_CODE),
            EvidenceVerdict::Rejected(reasons) => {
                let primary = reasons.first().map(|reason| reason.code.as_str());
                ("rejected", primary.unwrap_or(NO_CODE))
            }
        };
        count(&self.evidence, [("verdict", words.0), ("primary", words.1)]);
    }

    /// One call ended.
    pub fn answered(&self, rpc: Rpc, code: Code, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if let (Code::Ok, Some((answers, latencies))) = (code, self.went_well.get(&rpc)) {
            answers.inc();
            latencies.observe(seconds);
            return;
        }
        let rpc = ("rpc", rpc.as_str());
        count(&self.answers, [rpc, ("code", code_name(code))]);
        self.answer_seconds.get_or_create(&[rpc]).observe(seconds);
    }

    /// One call was refused because of who made it.
    pub fn refused(&self, cause: RefusalCause, via: Via) {
        self.refused_counter(cause, via).inc();
    }

    /// One call or connection was over a limit.
    pub fn overloaded(&self, limit: Limit) {
        count(&self.overloaded, [("limit", limit.as_str())]);
    }

    /// One TLS handshake failed.
    pub fn handshake_failed(&self, defect: HandshakeDefect) {
        count(&self.handshakes_failed, [("defect", defect.as_str())]);
    }

    /// The gauge of open connections of this kind.
    #[must_use]
    pub fn connections(&self, via: Via) -> Gauge {
        self.connections
            .get_or_create(&[("via", via.as_str())])
            .clone()
    }

    /// The calls that were refused because of who made them, so far.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        Via::ALL
            .into_iter()
            .flat_map(|via| RefusalCause::ALL.map(|cause| self.refused_counter(cause, via).get()))
            .fold(0, u64::saturating_add)
    }

    /// The calls and connections that were over a limit, so far.
    #[must_use]
    pub fn overloads(&self) -> u64 {
        let counts = Limit::ALL.map(|limit| {
            let counter = self.overloaded.get_or_create(&[("limit", limit.as_str())]);
            counter.get()
        });
        counts.into_iter().fold(0, u64::saturating_add)
    }

    /// The TLS handshakes that failed, so far.
    #[must_use]
    pub fn failed_handshakes(&self) -> u64 {
        let counts = HandshakeDefect::ALL.map(|defect| {
            let defect = [("defect", defect.as_str())];
            self.handshakes_failed.get_or_create(&defect).get()
        });
        counts.into_iter().fold(0, u64::saturating_add)
    }

    fn refused_counter(&self, cause: RefusalCause, via: Via) -> Counter {
        self.refused
            .get_or_create(&[("cause", cause.as_str()), ("via", via.as_str())])
            .clone()
    }
}

/// One more in a gauge, for as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// One more in `gauge`.
    #[must_use]
    pub fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn count<const LABELS: usize>(counters: &Counters<LABELS>, words: [Word; LABELS])
where
    [Word; LABELS]: EncodeLabelSet,
{
    counters.get_or_create(&words).inc();
}

/// `metric`, registered under this name.
pub(crate) fn registered<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// `metric`, registered under this name with the unit of seconds.
pub(crate) fn registered_seconds<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}
