//! The page of results of the cold path.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use super::{Memory, check::Checks, start::Starts};
use crate::{
    figure::{met, mib},
    machine::Machine,
    place::Binaries,
};

/// Longest median of a first answer, in milliseconds.
const FIRST_ANSWER_MS_MAX: f64 = 15.0;
/// Most resident memory under load, in MiB.
const RESIDENT_MIB_MAX: f64 = 20.0;

/// The page.
///
/// # Errors
///
/// When a program cannot be read.
pub(super) fn page(
    binaries: &Binaries,
    starts: &Starts,
    checks: &Checks,
    memory: &Memory,
) -> anyhow::Result<String> {
    let mut page = String::from(
        "# Cold path\n\n\
         `admit-bench cold`. Every round starts each process once, in turn; times are of the whole of it, from\n\
         before the process is made, with the client ready beforehand. The daemon has everything on: audit on\n\
         a disk, export, metrics, permits, mutual TLS.\n\n\
         ## First answer over mutual TLS\n\n\
         The answer is an ALLOW in the real lane, recorded durably: the policy is in force before it.\n\n\
         | from exec to the first answer | median ms | p95 ms | fastest ms |\n| --- | --- | --- | --- |\n",
    );
    for (name, times) in [
        (
            "`admitd`, first start: makes its keys and its log",
            &starts.first,
        ),
        ("`admitd`, started again", &starts.again),
        ("bare tonic server over mutual TLS", &starts.floor),
    ] {
        row(&mut page, name, times)?;
    }
    let of_target = |times: &[Duration]| met(milliseconds(times, 50) <= FIRST_ANSWER_MS_MAX);
    writeln!(
        page,
        "\nTarget: within {FIRST_ANSWER_MS_MAX} ms. First start: {}; started again: {}.\n",
        of_target(&starts.first),
        of_target(&starts.again)
    )?;
    writeln!(
        page,
        "## Memory\n\n| resident | MiB |\n| --- | --- |\n| idle | {:.1} |\n| 64 calls in flight over mutual TLS | {:.1} |\n| peak | {:.1} |\n\n\
         Target: under {RESIDENT_MIB_MAX} MiB under load: {}.\n",
        mib(memory.idle),
        mib(memory.loaded),
        mib(memory.peak),
        met(mib(memory.peak) < RESIDENT_MIB_MAX)
    )?;
    page.push_str(
        "## `admit check` as a whole process\n\n\
         It runs before every launch. Both clients ask the same daemon in plaintext on the same host, and wait\n\
         for a durable record; `admit check` gathers and searches the facts of the launch too.\n\n\
         | process | median ms | p95 ms | fastest ms |\n| --- | --- | --- | --- |\n",
    );
    for (name, times) in [
        ("`true`", &checks.nothing),
        ("`admit --version`", &checks.version),
        ("tonic client, one call", &checks.client),
        ("`admit check`", &checks.check),
    ] {
        row(&mut page, name, times)?;
    }
    page.push_str("\n## Size\n\n| program | MiB, without debug information |\n| --- | --- |\n");
    for (name, path) in [("admitd", &binaries.admitd), ("admit", &binaries.admit)] {
        writeln!(page, "| `{name}` | {:.1} |", mib(loaded_bytes(path)?))?;
    }
    writeln!(page, "\nMachine: {}.", Machine::this().line())?;
    Ok(page)
}

fn row(page: &mut String, name: &str, times: &[Duration]) -> std::fmt::Result {
    writeln!(
        page,
        "| {name} | {:.1} | {:.1} | {:.1} |",
        milliseconds(times, 50),
        milliseconds(times, 95),
        milliseconds(times, 0)
    )
}

/// The time that this share of `times`, in percent, does not exceed.
fn milliseconds(times: &[Duration], percent: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let at = times.len().saturating_mul(percent) / 100;
    let time = times.get(at).or(times.last()).copied();
    time.unwrap_or_default().as_secs_f64() * 1e3
}

/// The bytes of a program that are mapped when it runs: a build for profiling has far more in its file.
fn loaded_bytes(path: &Path) -> anyhow::Result<u64> {
    let bytes = fs::read(path)?;
    Ok(loaded_end(&bytes).unwrap_or_else(|| u64::try_from(bytes.len()).unwrap_or(u64::MAX)))
}

/// Where the last segment to load ends in an ELF file of 64 bits; `None` for anything else.
fn loaded_end(bytes: &[u8]) -> Option<u64> {
    let number = |at: usize, count: usize| -> Option<u64> {
        let mut whole = [0; 8];
        whole
            .get_mut(..count)?
            .copy_from_slice(bytes.get(at..at.checked_add(count)?)?);
        Some(u64::from_le_bytes(whole))
    };
    let size = |at: usize, count: usize| usize::try_from(number(at, count)?).ok();
    if bytes.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (first, entry, count) = (size(32, 8)?, size(54, 2)?, size(56, 2)?);
    let mut end = None;
    for at in (0..count).map(|segment| first.saturating_add(segment.saturating_mul(entry))) {
        if number(at, 4)? == 1 {
            end = end.max(Some(
                number(at.saturating_add(8), 8)?.saturating_add(number(at.saturating_add(32), 8)?),
            ));
        }
    }
    end
}
