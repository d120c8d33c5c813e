//! What the product promises of its speed, held against what was measured.
//!
//! Deliberately absent: targets that other measurements answer.

use super::{
    RATES,
    contender::Contender::{self, Admitd, AdmitdTls, Cerbos, CerbosAudit, Floor},
    results::{Figures, Layout, Load, Results},
};
use crate::figure::{median, short};

/// What the promise for a single call allows beside floor and sync, in microseconds.
const ALONE_EXTRA_US: f64 = 40.0;

/// A promise, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checked {
    /// What is promised.
    pub(crate) promise: String,
    /// What was measured.
    pub(crate) measured: String,
    /// Whether it holds.
    pub(crate) is_met: bool,
}

/// Every promise that these results say something about.
pub(crate) fn check(results: &Results) -> Vec<Checked> {
    let mut checked = Vec::new();
    checked.extend(floor(results, AdmitdTls, 64, 0.5));
    checked.extend(floor(results, AdmitdTls, 256, 0.65));
    checked.extend(floor(results, Admitd, 64, 0.6));
    checked.extend(floor(results, Admitd, 256, 0.9));
    checked.extend(alone(results));
    let throughput: fn(&Figures) -> f64 = |figures| figures.per_second;
    let cpu: fn(&Figures) -> f64 = |figures| figures.cpu_us;
    for (peer, what, of, least) in [
        (CerbosAudit, "throughput", throughput, 7.0),
        (Cerbos, "throughput", throughput, 5.0),
    ] {
        let ratio = results.ratio(Layout::OneCore, [Admitd, peer], Load::InFlight(64), of);
        checked.extend(ratio.map(|ratio| Checked {
            promise: format!("{what} at 64 in flight at least {least} × {}", peer.name()),
            measured: format!("{} ×", short(ratio)),
            is_met: ratio >= least,
        }));
    }
    let ratio = results.ratio(
        Layout::OneCore,
        [CerbosAudit, Admitd],
        Load::InFlight(64),
        cpu,
    );
    checked.extend(ratio.map(|ratio| Checked {
        promise: format!(
            "CPU per request at 64 in flight at most 1/7 of {}",
            CerbosAudit.name()
        ),
        measured: format!("1/{}", short(ratio)),
        is_met: ratio >= 7.0,
    }));
    checked.extend(tails(results));
    checked
}

/// At least `least` of the throughput of the floor.
fn floor(results: &Results, own: Contender, in_flight: usize, least: f64) -> Option<Checked> {
    let load = Load::InFlight(in_flight);
    let ratio = results.ratio(Layout::OneCore, [own, Floor], load, |figures| {
        figures.per_second
    })?;
    Some(Checked {
        promise: format!(
            "{} at {in_flight} in flight: at least {least:.2} of the floor's throughput",
            own.name()
        ),
        measured: short(ratio),
        is_met: ratio >= least,
    })
}

/// A single call: the floor's latency, a sync, and a little.
fn alone(results: &Results) -> Option<Checked> {
    let p50 = |contender| {
        results.median(Layout::OneCore, contender, Load::InFlight(1), |figures| {
            figures.p50_us
        })
    };
    let (own, floor) = (p50(Admitd)?, p50(Floor)?);
    let sync = median(results.raw_sync_us.iter().copied())?;
    Some(Checked {
        promise: format!(
            "{} with 1 in flight: p50 at most the floor's + one raw sync + {ALONE_EXTRA_US} µs",
            Admitd.name()
        ),
        measured: format!(
            "{} µs = {} + {} + {} µs",
            short(own),
            short(floor),
            short(sync),
            short(own - floor - sync)
        ),
        is_met: own <= floor + sync + ALONE_EXTRA_US,
    })
}

/// A lower 99th percentile than either Cerbos at every common rate.
fn tails(results: &Results) -> Option<Checked> {
    let p99 = |contender, rate| {
        let load = Load::PerSecond(rate);
        results.median(Layout::OneCore, contender, load, |figures| figures.p99_us)
    };
    let mut measured = Vec::new();
    let mut is_met = true;
    for rate in RATES {
        let own = p99(Admitd, rate)?;
        let best = p99(Cerbos, rate)?.min(p99(CerbosAudit, rate)?);
        is_met &= own < best;
        measured.push(format!("{} to {} µs at {rate}/s", short(own), short(best)));
    }
    Some(Checked {
        promise: "p99 lower than that of Cerbos at every common rate, audit off or on".to_owned(),
        measured: measured.join(", "),
        is_met,
    })
}
