//! The promises P1-P7 of `README.md` against the real service: random events in random order, and after
//! each of them everything that was answered is compared with a model of what may be answered.
//!
//! [`world`] is what Engage knows, [`paper`] what it writes, [`exchange`] how that is carried under the
//! hand of the [`machine`], which goes through the events of [`ops`]; [`model`] and [`refusal`] say what
//! the service may answer, [`sight`] reads what it did answer.
//!
//! `MODEL_CASES` sets how many sequences each test goes through, `MODEL_SEED` which ones; a failure
//! prints both, the shortest sequence that still fails, and the promise that it breaks.

mod exchange;
mod machine;
mod model;
mod ops;
mod paper;
mod refusal;
mod setup;
mod sight;
mod stories;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner};

use crate::{
    machine::Machine,
    ops::{BALANCED, Focus, Story},
};

/// How many sequences each test goes through, unless `MODEL_CASES` says otherwise: what the check has time for.
/// `scripts/nightly` goes through many times as many.
const CASES: u32 = 400;
/// Which ones, unless `MODEL_SEED` says otherwise.
const SEED: u64 = 2026;

#[test]
fn a_little_of_everything_keeps_every_promise() {
    let focus = Focus {
        switches: 2,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/balanced.txt");
}

#[test]
fn invalidations_that_race_calls_are_final() {
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
fn names_that_move_lead_to_nobody_else() {
    let focus = Focus {
        name: "names",
        edits: 2,
        moves: 16,
        lives: 5,
        invalidations: 16,
        faults: 2,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/names.txt");
}

#[test]
fn fresh_callers_get_what_is_so_now() {
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
fn faults_let_what_is_held_stand_in_for_so_long() {
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
fn callers_who_leave_harm_nobody() {
    let focus = Focus {
        name: "pending_purges",
        asks: 40,
        cancels: 25,
        time: 10,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/pending_purges.txt");
}

#[test]
fn a_lagging_overview_brings_nothing_back() {
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
fn a_cache_that_is_off_is_none_and_on_again_holds_nothing_from_before() {
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
fn a_small_budget_and_little_room_break_no_promise() {
    let focus = Focus {
        name: "scarcity",
        evictions: 10,
        small_budget: true,
        time: 16,
        ..BALANCED
    };
    run(focus, "tests/model/regressions/scarcity.txt");
}

/// Goes through the sequences of a focus, through fewer where each takes longer.
fn run(focus: Focus, regressions: &'static str) {
    let cases = setting("MODEL_CASES").and_then(|text| text.parse().ok());
    let seed = setting("MODEL_SEED").and_then(|text| text.parse().ok());
    let (cases, seed) = (cases.unwrap_or(CASES), seed.unwrap_or(SEED));
    // With a small budget most calls wait for their turn: a sequence takes two and a half times as long.
    let cases = if focus.small_budget {
        cases * 2 / 5
    } else {
        cases
    };
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(regressions))),
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let outcome = runner.run(&focus.stories(), |story| play(&story));
    if let Err(error) = outcome {
        panic!(
            "{}: MODEL_SEED={seed} MODEL_CASES={cases}\n{error}",
            focus.name
        );
    }
}

/// One sequence, on a runtime that gives one task its turn at a time.
fn play(story: &Story) -> model::Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .event_interval(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async { Machine::new(&story.case).play(&story.moves).await })
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long to look is not a setting of the service"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
