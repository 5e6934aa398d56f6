//! How many shop sessions a second one Engage API key carries at each setting of the cache: the real
//! service, over Engage in memory, on a clock that is moved by hand. Prints the tables of
//! `docs/CAPACITY.md`, the same figures every time.
//!
//! ```sh
//! cargo run --release --example capacity
//! cargo run --release --example capacity -- --sessions 2000 --svg capacity.svg
//! ```

mod chart;
mod engage;
mod measure;
mod model;
mod people;
mod replica;
mod report;
mod settings;
mod shop;
mod tally;
#[cfg(test)]
mod tests;

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
    people::People,
    report::Report,
    settings::Setting,
};

/// Counts what shop sessions cost Engage, and how many a second one API key carries.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many sessions are counted at each setting.
    #[arg(long, default_value_t = 10_000, value_parser = RangedU64ValueParser::<u64>::new().range(100..))]
    sessions: u64,
    /// How many contacts the shop has.
    #[arg(long, default_value_t = model::CONTACTS, value_parser = clap::value_parser!(u32).range(20_000..))]
    contacts: u32,
    /// How much more often some contacts come than others; 0 = all come alike.
    #[arg(long, default_value_t = model::SKEW)]
    skew: f64,
    /// What everything random is drawn from.
    #[arg(long, default_value_t = 2026)]
    seed: u64,
    /// Where a plot is written.
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where even this can't be written there is nothing left to do.
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

/// Goes through everything that is compared.
fn report(arguments: &Arguments) -> Result<Report, anyhow::Error> {
    let people = People::new(arguments.contacts, arguments.skew);
    let scale = Scale::whole(arguments.sessions, arguments.seed);
    let replicated = Setting::replicated()?;
    let replicated = replicated.into_iter().map(|setting| (setting, false));
    let work: Vec<(Setting, bool)> = Setting::all()?.into_iter().chain(replicated).collect();
    let results = side_by_side(&work, |(setting, is_proved)| {
        let finding = measure::find(setting, &people, scale);
        let proof = is_proved.then(|| measure::prove(setting, finding.carried, &people, scale));
        (finding, proof)
    });
    let mut report = Report::default();
    for ((setting, _), (finding, proof)) in work.iter().zip(results) {
        let room = setting.config.cache.max_size.as_u64() / 2;
        anyhow::ensure!(
            finding.bytes < room,
            "{}: the cache is too full to count on nothing having been evicted; give fewer --sessions or --contacts",
            setting.name
        );
        report.add(setting, finding, proof);
    }
    Ok(report)
}

/// Does the work on every processor, the longest first; the results stand in the order of the work. Each
/// run keeps to one thread, so that nothing depends on which.
fn side_by_side(
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
