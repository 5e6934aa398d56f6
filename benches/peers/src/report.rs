//! The tables, in Markdown.

use std::fmt;

use crate::{
    burst::Burst,
    footprint::{Cold, Footprint},
    goals::{self, Goal},
    rounds::{Row, float, median},
};

/// The row of hits that are measured under background load.
pub(crate) const BACKGROUND: &str = "engage-bff, background load";

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) memory: Vec<Row>,
    pub(crate) misses: Vec<Row>,
    pub(crate) workers: Vec<Row>,
    pub(crate) bursts: Vec<(&'static str, Vec<Burst>)>,
    pub(crate) footprint: Option<Footprint>,
    /// The growth of memory when more contacts were requested than fit, as a share of `cache.max_size`.
    pub(crate) overfull: Option<f64>,
    pub(crate) cold: Option<Cold>,
    /// The background load, in batches of one miss and twenty invalidations.
    pub(crate) batches_a_second: Option<f64>,
}

impl Report {
    /// Adds a burst.
    pub(crate) fn burst(&mut self, name: &'static str, burst: Burst) {
        match self.bursts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, bursts)) => bursts.push(burst),
            None => self.bursts.push((name, vec![burst])),
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
        if let Some(batches) = self.batches_a_second {
            let invalidations = batches * 20.0;
            writeln!(
                f,
                "\nBackground load: {batches:.0} misses and {invalidations:.0} invalidations a second, in that row's figures."
            )?;
        }
        rows(f, "Misses", &self.misses)?;
        rows(f, "Workers, on both cores with the load", &self.workers)?;
        self.bursts(f)?;
        if let Some(footprint) = &self.footprint {
            footprint.fmt(f)?;
        }
        if let Some(overfull) = self.overfull {
            writeln!(
                f,
                "\nGrowth of resident memory with more contacts than fit, as a share of `cache.max_size`: {overfull:.2}."
            )?;
        }
        if let Some(Cold { first, second, hot }) = self.cold {
            writeln!(
                f,
                "\nA hit on a cold record: {first:.1} µs; the second, {second:.1} µs; later ones, {hot:.1} µs."
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
    fn bursts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bursts.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n| A burst of 500, Engage takes 200 ms | calls | p50, ms | p99, ms |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: |")?;
        for (name, bursts) in &self.bursts {
            let calls = bursts.iter().map(|burst| float(burst.calls)).collect();
            let (p50, p99) = waits(bursts);
            writeln!(f, "| {name} | {:.0} | {p50:.1} | {p99:.1} |", median(calls))?;
        }
        Ok(())
    }
}

/// The medians of the bursts' medians and 99th percentiles, in milliseconds.
pub(crate) fn waits(bursts: &[Burst]) -> (f64, f64) {
    let of = |wait: fn(&Burst) -> std::time::Duration| {
        let waits = bursts
            .iter()
            .map(|burst| wait(burst).as_secs_f64() * 1000.0);
        median(waits.collect())
    };
    (of(|burst| burst.median), of(|burst| burst.p99))
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
            reported,
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
            "| resident for each of {contacts} contacts with three aliases | {contact:.0} B |"
        )?;
        writeln!(f, "\nIt reports then: `{reported}`.")
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, bound, value } = self;
        let word = if self.is_met() { "met" } else { "**not met**" };
        writeln!(f, "| {what} | {bound} | {value:.2} | {word} |")
    }
}
