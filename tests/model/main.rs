//! The promises P1 to P7 and P10 of `README.md`, checked on the real service: random events in random order; after
//! each, every response is compared with a model of the allowed responses.
//!
//! [`world`] is Engage's data, and [`responses`] is what it returns; [`exchange`] delivers responses when the
//! [`machine`], which runs the events of [`ops`], decides; [`model`] and [`refusal`] determine what the service may
//! answer, and [`served`] reads what it answered. [`regressions`] replays sequences that once failed.
//!
//! `MODEL_CASES` sets how many sequences each test runs, `MODEL_SEED` which ones; a failure prints both, the shortest
//! sequence that still fails, and the promise that it breaks.

mod exchange;
mod machine;
mod model;
mod ops;
mod refusal;
mod regressions;
mod responses;
mod served;
mod setup;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};
use tokio::runtime::Runtime;

use crate::{
    machine::Machine,
    ops::{BALANCED, Focus, Scenario},
};

/// The number of sequences that each test runs, unless `MODEL_CASES` is set: as many as the check has time for.
/// `scripts/nightly` runs many times more.
const CASES: u32 = 400;
/// Their seed, unless `MODEL_SEED` says otherwise.
const SEED: u64 = 2026;

#[test]
fn mixed_events_keep_every_promise() {
    let focus = Focus {
        switches: 2,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/balanced.txt");
}

#[test]
fn invalidations_racing_calls_are_final() {
    let focus = Focus {
        name: "invalidations",
        edits: 20,
        invalidations: 24,
        purges: 10,
        faults: 0,
        fresh: 10,
        directives: 0,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/invalidations.txt");
}

#[test]
fn moved_aliases_lead_to_no_other_contact() {
    let focus = Focus {
        name: "aliases",
        edits: 2,
        alias_moves: 16,
        lives: 5,
        invalidations: 16,
        faults: 2,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/aliases.txt");
}

#[test]
fn learned_aliases_lead_to_no_other_contact() {
    let focus = Focus {
        name: "learned",
        edits: 2,
        alias_moves: 14,
        lives: 3,
        invalidations: 12,
        purges: 6,
        faults: 1,
        directives: 5,
        fresh: 10,
        learns: true,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/learned.txt");
}

#[test]
fn fresh_requests_get_the_present_state() {
    let focus = Focus {
        name: "fresh",
        fresh: 75,
        edits: 20,
        time: 12,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/fresh.txt");
}

#[test]
fn stale_data_is_served_during_faults_within_its_windows() {
    let focus = Focus {
        name: "faults",
        faults: 20,
        directives: 30,
        long_time: 12,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/faults.txt");
}

#[test]
fn cancelled_requests_change_nothing_for_others() {
    let focus = Focus {
        name: "cancellations",
        requests: 40,
        cancels: 25,
        time: 10,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/cancellations.txt");
}

#[test]
fn lagging_overview_brings_nothing_back() {
    let focus = Focus {
        name: "lag",
        edits: 16,
        invalidations: 12,
        faults: 0,
        directives: 0,
        time: 10,
        long_time: 12,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/lag.txt");
}

#[test]
fn cache_that_was_off_serves_nothing_from_before() {
    let focus = Focus {
        name: "switch",
        switches: 14,
        edits: 20,
        directives: 30,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/switch.txt");
}

#[test]
fn small_budget_and_small_cache_keep_every_promise() {
    let focus = Focus {
        name: "scarcity",
        evictions: 10,
        small_budget: true,
        time: 16,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/scarcity.txt");
}

/// Runs the sequences of a focus; fewer if each takes longer.
fn run(focus: Focus, regressions: &'static str) {
    let cases = setting("MODEL_CASES").and_then(|text| text.parse().ok());
    let seed = setting("MODEL_SEED").and_then(|text| text.parse().ok());
    let (cases, seed) = (cases.unwrap_or(CASES), seed.unwrap_or(SEED));
    // With a small budget most calls wait: a sequence takes two and a half times as long.
    let played = if focus.small_budget {
        cases * 2 / 5
    } else {
        cases
    };
    let mut runner = TestRunner::new(Config {
        cases: played,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let outcome = runner.run(&focus.scenarios(), |scenario| play(&scenario));
    if let Err(error) = outcome {
        panic!(
            "{}: MODEL_SEED={seed} MODEL_CASES={cases}\n{error}",
            focus.name
        );
    }
}

/// Runs one sequence.
fn play(scenario: &Scenario) -> model::CheckResult {
    runtime().block_on(async { Machine::new(&scenario.case).play(&scenario.steps).await })
}

/// A runtime that polls one task at a time.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .event_interval(1)
        .build()
        .expect("a runtime")
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to test is not a setting of the service"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
