//! What the service is to keep to, as ratios within one run where the machine has a part in it.

use crate::{
    footprint::Footprint,
    herd::DELAY,
    report::{BESIDE, Report, row, waits},
    rounds::{Row, float},
};

/// Something measured that is to stay within a bound.
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

/// The goals that this run tells something about.
pub(crate) fn of(report: &Report) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut add = |what, bound, value: Option<f64>| {
        goals.extend(value.map(|value| Goal { what, bound, value }));
    };
    let memory = &report.memory;
    let hit = row(memory, "engage-bff");
    add(
        "hit: CPU / HAProxy's",
        0.8,
        ratio(memory, "engage-bff", "HAProxy"),
    );
    add(
        "hit: CPU / bare hyper's",
        1.2,
        ratio(memory, "engage-bff", "bare hyper"),
    );
    add("hit: µs in user space", 3.0, hit.map(Row::user));
    // What is not resolved counts as no more: see the spread.
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
        "hit beside others: CPU / HAProxy's undisturbed",
        0.8,
        ratio(memory, BESIDE, "HAProxy"),
    );
    add(
        "hit beside others: CPU / bare hyper's",
        1.2,
        ratio(memory, BESIDE, "bare hyper"),
    );
    add(
        "hit beside others: µs in user space",
        3.0,
        row(memory, BESIDE).map(Row::user),
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
    let herd = |name| {
        let of_name = report.herds.iter().find(|(known, _)| *known == name);
        of_name.map(|(_, herds)| herds)
    };
    let cold = herd("engage-bff, cold");
    let calls = cold.and_then(|herds| herds.iter().map(|herd| herd.calls).max());
    add("cold herd: calls, at most", 1.0, calls.map(float));
    let of_engage = |wait| wait / (DELAY.as_secs_f64() * 1000.0);
    add(
        "cold herd: p99 / Engage's time",
        1.1,
        cold.map(|herds| of_engage(waits(herds).1)),
    );
    if let (Some(held), Some(expired)) = (herd("engage-bff, held"), herd("engage-bff, expired")) {
        let value = waits(expired).0 / waits(held).0;
        add("expired herd: p50 / a hit's", 1.25, Some(value));
    }
    if let Some(footprint) = &report.footprint {
        goals.extend(of_footprint(footprint));
    }
    let mut add = |what, bound, value: Option<f64>| {
        goals.extend(value.map(|value| Goal { what, bound, value }));
    };
    add("cache.max_size: resident / it", 1.1, report.overfull);
    let packed = report.packed.as_ref();
    add(
        "hit on a packed record: CPU / a hit's",
        2.0,
        packed.map(|packed| packed.first.max(packed.second) / packed.hot),
    );
    goals
}

fn of_footprint(found: &Footprint) -> [Goal; 4] {
    let mebibytes = |bytes| float(bytes) / 1_048_576.0;
    [
        ("bytes a contact", 2048.0, found.contact),
        ("start, ms", 100.0, found.start),
        ("idle, MiB", 20.0, mebibytes(found.idle)),
        ("binary, MiB", 24.0, mebibytes(found.binary)),
    ]
    .map(|(what, bound, value)| Goal { what, bound, value })
}

fn ratio(rows: &[Row], name: &str, to: &str) -> Option<f64> {
    Some(row(rows, name)?.cpu() / row(rows, to)?.cpu())
}
