//! The tables, in Markdown.

use std::fmt;

use crate::{
    footprint::{Footprint, Packed},
    goals::{self, Goal},
    herd::Herd,
    rounds::{Row, float, median},
};

/// The row of hits beside which others are answered.
pub(crate) const BESIDE: &str = "engage-bff, beside";

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) memory: Vec<Row>,
    pub(crate) misses: Vec<Row>,
    pub(crate) workers: Vec<Row>,
    pub(crate) herds: Vec<(&'static str, Vec<Herd>)>,
    pub(crate) footprint: Option<Footprint>,
    /// What memory grew by when too much came, as a share of `cache.max_size`.
    pub(crate) overfull: Option<f64>,
    pub(crate) packed: Option<Packed>,
    /// What ran beside hits, in beats of one miss and twenty invalidations.
    pub(crate) beats_a_second: Option<f64>,
}

impl Report {
    /// Adds what became of a herd.
    pub(crate) fn herd(&mut self, name: &'static str, herd: Herd) {
        match self.herds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, herds)) => herds.push(herd),
            None => self.herds.push((name, vec![herd])),
        }
    }
}

/// The row of that name.
pub(crate) fn row<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rows(f, "From memory", &self.memory)?;
        if let Some(beats) = self.beats_a_second {
            let told = beats * 20.0;
            writeln!(
                f,
                "\nBeside: {beats:.0} misses and {told:.0} invalidations a second, in that row's figures."
            )?;
        }
        rows(f, "Misses", &self.misses)?;
        rows(f, "Workers, on both cores with the load", &self.workers)?;
        self.herds(f)?;
        if let Some(footprint) = &self.footprint {
            footprint.fmt(f)?;
        }
        if let Some(overfull) = self.overfull {
            writeln!(
                f,
                "\nResident when too much comes, as a share of `cache.max_size`: {overfull:.2}."
            )?;
        }
        if let Some(Packed { first, second, hot }) = self.packed {
            writeln!(
                f,
                "\nA hit on a packed record: {first:.1} µs; the second, {second:.1} µs; the next, {hot:.1} µs."
            )?;
        }
        let goals = goals::of(self);
        if !goals.is_empty() {
            writeln!(
                f,
                "\n| goal | at most | measured | |\n| --- | ---: | ---: | --- |"
            )?;
        }
        goals.iter().try_for_each(|goal| goal.fmt(f))
    }
}

impl Report {
    fn herds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.herds.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| A herd of 500, Engage takes 200 ms | calls | p50, ms | p99, ms |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        for (name, herds) in &self.herds {
            let calls = herds.iter().map(|herd| float(herd.calls)).collect();
            let (p50, p99) = waits(herds);
            writeln!(f, "| {name} | {:.0} | {p50:.1} | {p99:.1} |", median(calls))?;
        }
        Ok(())
    }
}

/// The medians of the herds' medians and 99th percentiles, in milliseconds.
pub(crate) fn waits(herds: &[Herd]) -> (f64, f64) {
    let of = |wait: fn(&Herd) -> std::time::Duration| {
        let waits = herds.iter().map(|herd| wait(herd).as_secs_f64() * 1000.0);
        median(waits.collect())
    };
    (of(|herd| herd.median), of(|herd| herd.p99))
}

fn rows(f: &mut fmt::Formatter<'_>, title: &str, rows: &[Row]) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    write!(
        f,
        "\n| {title} | CPU, µs | least–most | of it user | / HAProxy | / bare hyper "
    )?;
    writeln!(f, "| requests/s | p50, ms | p99, ms |")?;
    writeln!(
        f,
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )?;
    for measured in rows {
        let (cpu, user, rate) = (measured.cpu(), measured.user(), measured.per_second());
        let (least, most) = measured.spread();
        let (p50, p99) = measured.waits();
        let to = |name| {
            let other = row(rows, name);
            other.map_or("–".to_owned(), |other| {
                format!("{:.2}", cpu / other.cpu())
            })
        };
        let (haproxy, hyper) = (to("HAProxy"), to("bare hyper"));
        let name = measured.name;
        write!(
            f,
            "| {name} | {cpu:.1} | {least:.1}–{most:.1} | {user:.1} | {haproxy} | {hyper} "
        )?;
        writeln!(f, "| {rate:.0} | {p50:.2} | {p99:.2} |")?;
    }
    Ok(())
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes| float(bytes) / 1_048_576.0;
        let (binary, idle) = (mebibytes(self.binary), mebibytes(self.idle));
        let Self {
            start,
            contacts,
            contact,
            held,
            ..
        } = self;
        writeln!(f, "\n| Footprint | |\n| --- | ---: |")?;
        writeln!(f, "| the stripped binary | {binary:.1} MiB |")?;
        writeln!(
            f,
            "| from the start to the first connection | {start:.0} ms |"
        )?;
        writeln!(f, "| resident, idle | {idle:.1} MiB |")?;
        writeln!(
            f,
            "| resident for each of {contacts} contacts of three names | {contact:.0} B |"
        )?;
        writeln!(f, "\nWhat it says it holds then: `{held}`.")
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, bound, value } = self;
        let word = if self.is_met() { "met" } else { "**not met**" };
        writeln!(f, "| {what} | {bound} | {value:.2} | {word} |")
    }
}
