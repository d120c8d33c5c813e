//! How cost grows: one question each, answered with a table, a picture and the law beside it.

pub(crate) mod connections;
pub(crate) mod log;
pub(crate) mod reload;
pub(crate) mod watchers;

use std::{fs, io::Write as _};

use crate::{
    curve::{self, Chart},
    machine::Machine,
    place::Places,
};

/// How to measure at a few counts.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    places: Places,
    /// Only at this count; the page is printed and not kept.
    #[arg(long, value_name = "N")]
    count: Option<usize>,
}

impl Arguments {
    /// The counts to measure at.
    fn counts(&self, all: &[usize]) -> Vec<usize> {
        self.count.map_or_else(|| all.to_vec(), |count| vec![count])
    }

    /// Keeps the page, or prints that of a single count.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    fn publish(&self, growth: &Growth) -> anyhow::Result<()> {
        match self.count {
            Some(_) => Ok(anstream::stdout().write_all(growth.page().as_bytes())?),
            None => growth.write(&self.places),
        }
    }
}

/// What was found out about one question.
struct Growth {
    /// The names of its files, without the ending.
    name: &'static str,
    /// The page up to the law: what was measured, how, and the figures.
    page: String,
    /// The lines whose growth is stated.
    charts: Vec<Chart>,
    /// Why it grows so.
    why: &'static str,
}

impl Growth {
    /// The whole page.
    fn page(&self) -> String {
        format!(
            "{}\n## How it grows\n\n![the figures over the count]({}.svg)\n\n{}{}\n\nMachine: {}.\n",
            self.page,
            self.name,
            curve::laws(&self.charts),
            self.why,
            Machine::this().line(),
        )
    }

    /// Writes the page and its picture.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    fn write(&self, places: &Places) -> anyhow::Result<()> {
        let folder = places.results()?;
        let picture = curve::svg(&self.charts)?;
        fs::write(folder.join(self.name).with_extension("svg"), picture)?;
        fs::write(folder.join(self.name).with_extension("md"), self.page())?;
        Ok(())
    }
}
