//! How many shop sessions per second one Engage API key supports, for several cache settings. Runs the real service over an
//! in-memory Engage on a manual clock, and prints the tables of `docs/CAPACITY.md`: the same figures every time.
//!
//! ```sh
//! cargo run --release --example capacity
//! cargo run --release --example capacity -- --sessions 2000 --svg capacity.svg
//! ```

mod chart;
mod engage;
mod floor;
mod measure;
mod mix;
mod model;
mod replica;
mod report;
mod schedule;
mod settings;
mod shop;
#[cfg_attr(not(test), expect(dead_code, reason = "the shop orders no faults"))]
#[path = "../../tests/standin.rs"]
mod standin;
mod tally;
#[cfg(test)]
mod tests;
mod tier;
mod visitors;

use std::{
    io::Write,
    num::NonZero,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::Context;
use clap::{Parser, builder::RangedU64ValueParser};

use crate::{
    measure::{Finding, Proof, Scale},
    report::Report,
    settings::Setting,
    visitors::Visitors,
};

/// Counts the calls to Engage per shop session, and how many sessions per second one API key supports.
#[derive(Debug, Parser)]
struct Arguments {
    /// Sessions counted for each setting.
    #[arg(long, default_value_t = 10_000, value_parser = RangedU64ValueParser::<u64>::new().range(100..))]
    sessions: u64,
    /// Contacts of the shop.
    #[arg(long, default_value_t = model::CONTACTS, value_parser = clap::value_parser!(u32).range(20_000..))]
    contacts: u32,
    /// The skew of visits among contacts (Zipf exponent); 0 = all visit equally often.
    #[arg(long, default_value_t = model::SKEW)]
    skew: f64,
    /// The seed of everything random.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Measures only the settings of that name, and does not verify them near and beyond the budget.
    #[arg(long)]
    only: Option<String>,
    /// Simulates one part in this many of the shop: 5 means a fifth of the contacts, sessions and calls. Each contact
    /// comes as often, so a session costs the same; sessions per second are given for the whole shop.
    #[arg(long, default_value_t = 1, requires = "only", value_parser = clap::value_parser!(u32).range(1..=10))]
    part: u32,
    /// The file for a plot (SVG).
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, nothing is left to do.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), anyhow::Error> {
    let report = report(arguments)?;
    if let Some(file) = &arguments.svg {
        std::fs::write(file, chart::draw(&report)).context("--svg can't be written")?;
    }
    write!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// Measures all settings.
fn report(arguments: &Arguments) -> Result<Report, anyhow::Error> {
    let part = f64::from(arguments.part);
    let visitors = Visitors::new(arguments.contacts / arguments.part, arguments.skew);
    let scale = Scale::whole(arguments.sessions, arguments.seed);
    let counted = Setting::replicated()?
        .into_iter()
        .chain(Setting::identified()?);
    let counted = counted.map(|setting| (setting, false));
    let mut work: Vec<(Setting, bool)> = Setting::all()?.into_iter().chain(counted).collect();
    if let Some(name) = &arguments.only {
        work.retain(|(setting, _)| setting.name == name);
        anyhow::ensure!(!work.is_empty(), "--only: there is no such setting");
        for (setting, is_verified) in &mut work {
            *is_verified = false;
            setting.config.engage.requests_per_second /= part;
        }
    }
    let results = in_parallel(&work, |(setting, is_verified)| {
        let mut finding = measure::find(setting, &visitors, scale);
        let proof = is_verified.then(|| measure::prove(setting, finding.carried, &visitors, scale));
        finding.carried *= part;
        (finding, proof)
    });
    let mut report = Report::default();
    for ((setting, _), (finding, proof)) in work.iter().zip(results) {
        let limit = setting.config.cache.max_size.as_u64() / 2;
        anyhow::ensure!(
            finding.bytes < limit,
            "{}: the cache may have evicted entries; give fewer --sessions or --contacts",
            setting.name
        );
        report.add(setting, finding, proof);
    }
    Ok(report)
}

/// Does the work on all processors, the longest first; returns the results in the order of the work. Each run stays on one
/// thread, so that results do not depend on scheduling.
fn in_parallel(
    work: &[(Setting, bool)],
    each: impl Fn(&(Setting, bool)) -> (Finding, Option<Proof>) + Sync,
) -> Vec<(Finding, Option<Proof>)> {
    let mut todo: Vec<_> = work.iter().enumerate().collect();
    todo.sort_by_key(|(_, (setting, _))| setting.memory());
    let todo = Mutex::new(todo);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                loop {
                    let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some((place, setting)) = next else { return };
                    let result = each(setting);
                    // A long run shows how far it is. If standard error is closed, nothing is lost.
                    let _ = writeln!(std::io::stderr(), "{}", report::row(&setting.0, &result.0));
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
