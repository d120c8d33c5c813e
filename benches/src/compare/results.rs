//! What was measured, round by round, and what it comes down to: medians, and ratios within a round.

use serde::Serialize;

use super::contender::Contender;
use crate::{
    bare::Sizes,
    figure::{median, real},
    load::Outcome,
    machine::Machine,
    pin::Cores,
};

/// Where server and generator run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// The server on one core, the generator on another.
    OneCore,
    /// Both wherever the kernel puts them.
    BothCores,
}

impl Layout {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::OneCore, Self::BothCores];

    /// The cores of it.
    pub(crate) fn cores(self) -> Cores {
        match self {
            Self::OneCore => Cores::APART,
            Self::BothCores => Cores::FREE,
        }
    }
}

/// How a contender was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Load {
    /// So many calls in flight.
    InFlight(usize),
    /// So many calls a second.
    PerSecond(u32),
}

/// The figures of one load of one contender in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figures {
    /// Answers a second.
    pub(crate) per_second: f64,
    /// The latency that half of the answers do not exceed, in microseconds.
    pub(crate) p50_us: f64,
    /// The same for 90 of 100.
    pub(crate) p90_us: f64,
    /// The same for 99 of 100.
    pub(crate) p99_us: f64,
    /// The same for 999 of 1000.
    pub(crate) p999_us: f64,
    /// CPU time of the server for one answer, in microseconds.
    pub(crate) cpu_us: f64,
    /// Resident memory of the server, in MiB.
    pub(crate) resident_mib: f64,
    /// The share of one core that generator and receiver used.
    pub(crate) generator_share: f64,
}

impl From<&Outcome> for Figures {
    fn from(outcome: &Outcome) -> Self {
        Self {
            per_second: outcome.per_second(),
            p50_us: outcome.latency.us(0.5),
            p90_us: outcome.latency.us(0.9),
            p99_us: outcome.latency.us(0.99),
            p999_us: outcome.latency.us(0.999),
            cpu_us: outcome.cpu_us(),
            resident_mib: real(outcome.resident) / (1024.0 * 1024.0),
            generator_share: outcome.generator_cpu.as_secs_f64() / outcome.elapsed.as_secs_f64(),
        }
    }
}

/// What one load of one contender gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// Where it ran.
    pub(crate) layout: Layout,
    /// What was measured.
    pub(crate) contender: Contender,
    /// How it was loaded.
    pub(crate) load: Load,
    /// A place for each round; empty where the contender could not keep such a rate.
    pub(crate) rounds: Vec<Option<Figures>>,
}

impl Row {
    /// The median over the rounds.
    pub(crate) fn median(&self, of: fn(&Figures) -> f64) -> Option<f64> {
        median(self.rounds.iter().flatten().map(of))
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    /// On what.
    pub(crate) machine: Machine,
    /// The version of Cerbos; none: why it is not there.
    pub(crate) cerbos: Result<String, String>,
    /// The real messages.
    pub(crate) sizes: Sizes,
    /// How long a measurement was, in seconds.
    pub(crate) seconds: f64,
    /// One append of a record and its sync alone, median in microseconds, in each round.
    pub(crate) raw_sync_us: Vec<f64>,
    /// Everything else.
    pub(crate) rows: Vec<Row>,
}

impl Results {
    /// The row of this load.
    pub(crate) fn row(&self, layout: Layout, contender: Contender, load: Load) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.layout == layout && row.contender == contender && row.load == load)
    }

    /// The median of a figure.
    pub(crate) fn median(
        &self,
        layout: Layout,
        contender: Contender,
        load: Load,
        of: fn(&Figures) -> f64,
    ) -> Option<f64> {
        self.row(layout, contender, load)?.median(of)
    }

    /// The median of the ratios between two contenders, each within one round.
    pub(crate) fn ratio(
        &self,
        layout: Layout,
        [contender, other]: [Contender; 2],
        load: Load,
        of: fn(&Figures) -> f64,
    ) -> Option<f64> {
        let rounds = &self.row(layout, contender, load)?.rounds;
        let others = &self.row(layout, other, load)?.rounds;
        let pairs = rounds.iter().zip(others);
        median(pairs.filter_map(|(own, other)| Some(of(own.as_ref()?) / of(other.as_ref()?))))
    }

    /// Every rate that somebody was asked for, in order.
    pub(crate) fn rates(&self) -> Vec<u32> {
        let rate = |row: &Row| match row.load {
            Load::PerSecond(rate) => Some(rate),
            Load::InFlight(_) => None,
        };
        let mut rates: Vec<u32> = self.rows.iter().filter_map(rate).collect();
        rates.sort_unstable();
        rates.dedup();
        rates
    }

    /// Adds the figures of a round.
    pub(crate) fn add(
        &mut self,
        layout: Layout,
        contender: Contender,
        load: Load,
        figures: Option<Figures>,
    ) {
        let same =
            |row: &&mut Row| row.layout == layout && row.contender == contender && row.load == load;
        match self.rows.iter_mut().find(same) {
            Some(row) => row.rounds.push(figures),
            None => self.rows.push(Row {
                layout,
                contender,
                load,
                rounds: vec![figures],
            }),
        }
    }
}
