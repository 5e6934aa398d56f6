//! The bounds that the service must keep. Most of those that depend on the machine are ratios within one run; a few are
//! absolute times.

use crate::{
    burst::DELAY,
    footprint::Footprint,
    report::{BACKGROUND, Report, row, waits},
    rounds::{Row, float},
};

/// A measured value and its bound.
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) bound: f64,
    pub(crate) value: f64,
}

impl Goal {
    pub(crate) fn is_met(&self) -> bool {
        self.value <= self.bound
    }
}

/// The goals that this run measured.
pub(crate) fn of(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut add = |what, bound, value: Option<f64>| {
        goals.extend(value.map(|value| Goal { what, bound, value }));
    };
    let memory = &report.memory;
    let hit = row(memory, "engage-bff");
    add(
        "hit: CPU / HAProxy's",
        0.9,
        ratio(memory, "engage-bff", "HAProxy"),
    );
    add(
        "hit: CPU / bare hyper's",
        1.2,
        ratio(memory, "engage-bff", "bare hyper"),
    );
    add("hit: µs in user space", 3.0, hit.map(Row::user));
    // A difference within the spread proves nothing.
    add(
        "304: CPU / a hit's",
        1.05,
        ratio(memory, "engage-bff, 304", "engage-bff"),
    );
    add(
        "gzip: CPU / a hit's",
        1.05,
        ratio(memory, "engage-bff, gzip", "engage-bff"),
    );
    add(
        "hit under background load: CPU / HAProxy's undisturbed",
        0.8,
        ratio(memory, BACKGROUND, "HAProxy"),
    );
    add(
        "hit under background load: CPU / bare hyper's",
        1.2,
        ratio(memory, BACKGROUND, "bare hyper"),
    );
    add(
        "hit under background load: µs in user space",
        3.0,
        row(memory, BACKGROUND).map(Row::user),
    );
    add(
        "miss: CPU / HAProxy's",
        2.0,
        ratio(&report.misses, "engage-bff", "HAProxy"),
    );
    add(
        "miss: CPU / nginx's",
        1.0,
        ratio(&report.misses, "engage-bff", "nginx"),
    );
    add(
        "two workers: CPU / one's",
        1.15,
        ratio(&report.workers, "two workers", "one worker"),
    );
    let bursts = |name| {
        let of_name = report.bursts.iter().find(|(known, _)| *known == name);
        of_name.map(|(_, bursts)| bursts)
    };
    let cold = bursts("engage-bff, cold");
    let calls = cold.and_then(|bursts| bursts.iter().map(|burst| burst.calls).max());
    add("cold burst: calls, at most", 1.0, calls.map(float));
    let of_engage = |wait| wait / (DELAY.as_secs_f64() * 1000.0);
    add(
        "cold burst: p99 / Engage's time",
        1.1,
        cold.map(|bursts| of_engage(waits(bursts).1)),
    );
    if let (Some(cached), Some(expired)) =
        (bursts("engage-bff, cached"), bursts("engage-bff, expired"))
    {
        let value = waits(expired).0 / waits(cached).0;
        add("expired burst: p50 / a hit's", 1.25, Some(value));
    }
    if let Some(footprint) = &report.footprint {
        goals.extend(of_footprint(footprint));
    }
    let mut add = |what, bound, value: Option<f64>| {
        goals.extend(value.map(|value| Goal { what, bound, value }));
    };
    add(
        "overfull cache: growth of resident memory / cache.max_size",
        1.1,
        report.overfull,
    );
    let cold = report.cold.as_ref();
    add(
        "first hit on a cold record, µs",
        60.0,
        cold.map(|cold| cold.first),
    );
    goals
}

fn of_footprint(found: &Footprint) -> [Goal; 4] {
    let mebibytes = |bytes| float(bytes) / 1_048_576.0;
    [
        ("bytes a contact", 2000.0, found.contact),
        ("start, ms", 100.0, found.start),
        ("idle, MiB", 20.0, mebibytes(found.idle)),
        ("binary, MiB", 24.0, mebibytes(found.binary)),
    ]
    .map(|(what, bound, value)| Goal { what, bound, value })
}

fn ratio(rows: &[Row], name: &str, to: &str) -> Option<f64> {
    Some(row(rows, name)?.cpu() / row(rows, to)?.cpu())
}
