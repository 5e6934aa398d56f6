//! Sequences that once failed.

use engage_bff::domain::Part;

use crate::{
    ops::{Case, Notice, Op, Scenario, Step, Stretch},
    play,
};

pub(crate) fn case() -> Case {
    Case {
        has_tier: true,
        lags: false,
        server_offset: 0,
        seed: 0,
        is_calm: false,
    }
}

#[track_caller]
pub(crate) fn check(case: Case, ops: Vec<Op>) {
    let steps = ops.into_iter().map(|op| Step { op, polls: 0 });
    let steps = steps.collect();
    if let Err(error) = play(&Scenario { case, steps }) {
        panic!("{error}");
    }
}

#[test]
fn late_purge_lets_the_lagging_overview_fill_again() {
    let case = Case {
        lags: true,
        ..case()
    };
    let ops = vec![
        Op::Cut(1),
        Op::Notify {
            replica: 1,
            contact: 0,
            notice: Notice::PurgeByEmail,
        },
        Op::Change {
            replica: 2,
            contact: 0,
            part: Part::Profile,
        },
    ];
    check(case, ops);
}

#[test]
fn data_too_old_for_memory_costs_one_call_of_all_replicas() {
    let case = Case {
        is_calm: true,
        ..case()
    };
    let ops = vec![
        Op::Read {
            replica: 0,
            contact: 0,
            by_email: false,
            fresh: None,
        },
        Op::Advance(Stretch::Fallback),
        Op::ReadAll {
            contact: 0,
            by_email: false,
        },
    ];
    check(case, ops);
}
