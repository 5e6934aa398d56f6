//! The promises of the shared tier (S1, S2, S3 and S6, each stated at the head of a module of `tests/shared_replicas`)
//! and those of a replica (P1, P2 and P4 of `README.md`), checked on several replicas in one process: random events in
//! random order, over one stand-in of the server, one simulator of Engage and one clock.
//!
//! [`ops`] defines the events, [`machine`] runs them; [`replicas`] starts the services and [`http`] sends their
//! requests; [`engage`] changes the contacts at Engage and labels every version of each part; [`oracle`] determines
//! which versions a replica may serve; [`idle`] detects when nothing is left to do.
//!
//! `MODEL_CASES` sets how many sequences each test runs, `MODEL_SEED` which ones; a failure prints both, the shortest
//! sequence that still fails, and the promise that it breaks.

mod directed;
mod engage;
mod http;
mod idle;
mod machine;
mod ops;
mod oracle;
mod regressions;
mod replicas;
#[path = "../standin.rs"]
mod standin;

use std::{cell::Cell, time::Duration};

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};

use crate::{
    machine::Machine,
    ops::{BALANCED, Focus, Scenario},
};

/// The number of sequences that each test runs, unless `MODEL_CASES` is set: as many as the check has time for.
/// `scripts/nightly` runs many times more.
const CASES: u32 = 50;
/// Their seed, unless `MODEL_SEED` says otherwise.
const SEED: u64 = 2026;

#[test]
fn mixed_events_keep_every_promise() {
    run(BALANCED, "tests/shared_model/regressions/balanced.txt");
}

#[test]
fn invalidations_racing_calls_are_final_everywhere() {
    let focus = Focus {
        name: "invalidations",
        changes: 30,
        purges: 12,
        holds: 20,
        tier_faults: 0,
        cuts: 0,
        deafness: 16,
        restarts: 2,
        engage_faults: 0,
        ..BALANCED
    };
    run(focus, "tests/shared_model/regressions/invalidations.txt");
}

#[test]
fn evictions_and_lost_data_bring_nothing_back() {
    let focus = Focus {
        name: "losses",
        changes: 25,
        holds: 14,
        losses: 30,
        tier_faults: 2,
        cuts: 0,
        engage_faults: 0,
        ..BALANCED
    };
    run(focus, "tests/shared_model/regressions/losses.txt");
}

#[test]
fn faults_of_the_tier_cost_no_answer() {
    let focus = Focus {
        name: "faults",
        tier_faults: 30,
        cuts: 14,
        engage_faults: 0,
        ..BALANCED
    };
    run(focus, "tests/shared_model/regressions/faults.txt");
}

#[test]
fn one_call_serves_all_replicas() {
    let focus = Focus {
        name: "calm",
        deafness: 0,
        fresh: 0,
        changes: 0,
        edits: 4,
        purges: 0,
        holds: 16,
        losses: 0,
        tier_faults: 0,
        cuts: 0,
        restarts: 0,
        engage_faults: 0,
        time: 12,
        ..BALANCED
    };
    run(focus, "tests/shared_model/regressions/calm.txt");
}

#[test]
fn replicas_without_the_tier_keep_their_own_promises() {
    let focus = Focus {
        name: "alone",
        has_tier: false,
        deafness: 0,
        losses: 0,
        tier_faults: 0,
        cuts: 0,
        ..BALANCED
    };
    run(focus, "tests/shared_model/regressions/alone.txt");
}

/// Runs the sequences of a focus.
fn run(focus: Focus, regressions: &'static str) {
    let cases = setting("MODEL_CASES").and_then(|text| text.parse().ok());
    let seed = setting("MODEL_SEED").and_then(|text| text.parse().ok());
    let (cases, seed) = (cases.unwrap_or(CASES), seed.unwrap_or(SEED));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let played = Cell::new(0);
    let failed_at = Cell::new(None);
    let outcome = runner.run(&focus.scenarios(), |scenario| {
        played.set(played.get() + 1);
        let result = play(&scenario);
        if result.is_err() && failed_at.get().is_none() {
            failed_at.set(Some(played.get()));
        }
        result
    });
    if let Err(error) = outcome {
        panic!(
            "{}: MODEL_SEED={seed} MODEL_CASES={cases}, sequence {}\n{error}",
            focus.name,
            failed_at.get().unwrap_or_default()
        );
    }
}

/// Runs one sequence on a runtime that polls one task at a time.
fn play(scenario: &Scenario) -> oracle::CheckResult {
    let (runtime, idle) = idle::runtime();
    let result = runtime.block_on(async {
        let mut machine = Machine::new(&scenario.case, idle).await;
        machine.play(&scenario.steps).await
    });
    // A purge may wait for a clock that no longer moves.
    runtime.shutdown_timeout(Duration::from_millis(50));
    result
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to test is not a setting of the service"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
