mod adversary;
mod failures;
mod moments;
mod network;
mod replicas;
mod server;
mod world;

use super::*;

const RATE: f64 = 50.0;
const BURST: f64 = 10.0;

/// How many random runs are made: `BUDGET_CASES` if that is set, otherwise `usual`.
#[expect(clippy::disallowed_methods, reason = "not a setting of the service")]
fn cases(usual: u64) -> u64 {
    let given = std::env::var("BUDGET_CASES").ok();
    given.and_then(|it| it.parse().ok()).unwrap_or(usual)
}

/// Whether calls at these milliseconds, in order, are at most rate x T + burst in any T seconds.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn strict_bound_is_kept(calls: &[u64]) -> bool {
    let (mut level, mut last) = (BURST, 0);
    calls.iter().all(|at| {
        let passed = (at - last) as f64 / 1000.0;
        level = (level + RATE * passed).min(BURST) - 1.0;
        last = *at;
        level > -1e-6
    })
}
