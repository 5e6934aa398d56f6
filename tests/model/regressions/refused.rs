//! Sequences that once broke a promise and end with a refused request.

use engage_bff::{customer::Error, domain::PartSet, engage};

use super::{PROFILE, case, case_that_learns, request, request_fresh, steps};
use crate::{
    machine::Machine,
    ops::{Case, Op, Request},
    runtime,
    world::{Alias, Kind, TestLookup, matches},
};

/// Replays the sequence like [`replay`]. After each of the last events, none of which may make a call, the last request
/// must have been refused like this.
#[track_caller]
fn assert_refused(case: &Case, ops: Vec<Op>, last: Vec<Op>, expected: &engage::Error) {
    let expected = Error::Upstream(expected.clone());
    let outcome = runtime().block_on(async {
        let mut machine = Machine::new(case);
        machine.play_events(&steps(ops)).await?;
        let calls = machine.calls();
        for (number, step) in steps(last).into_iter().enumerate() {
            machine.play_events(&[step]).await?;
            assert_eq!(machine.last_refusal(), Some(&expected), "{number}");
            assert_eq!(machine.calls(), calls, "{number}");
        }
        machine.play(&[]).await
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Engage's answer about an identifier that the first two contacts have.
fn shared_by_two() -> engage::Error {
    engage::Error::MultipleMatches(matches(&[0, 1]))
}

#[test]
fn request_by_id_and_former_type_is_refused_at_once() {
    let lookup = TestLookup {
        alias: Alias::Id(1),
        kind: Some(Kind::Member),
    };
    let request_typed = || {
        let Op::Request(query) = request(Alias::Id(1)) else {
            unreachable!("a request");
        };
        Op::Request(Request { lookup, ..query })
    };
    let ops = vec![
        Op::Invalidate(1, PartSet::INVALIDATABLE),
        request_typed(),
        Op::Read(0, 0),
        request(Alias::Email(1)),
        Op::Deliver(1),
        Op::Retype(1),
        request_typed(),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    let case = Case {
        lag_quarters: 0,
        ..case()
    };
    let last = vec![Op::Nothing, request_typed()];
    assert_refused(&case, ops, last, &engage::Error::NotFound);
}

#[test]
fn email_shared_since_is_ambiguous_for_a_fresh_request() {
    let ops = vec![
        request(Alias::Email(0)),
        Op::AnswerAll,
        Op::ShareEmail { email: 0, with: 1 },
        request_fresh(Alias::Email(0), PROFILE),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    let last = vec![Op::Nothing, request(Alias::Email(0)), Op::AnswerAll];
    assert_refused(&case(), ops, last, &shared_by_two());
}

#[test]
fn ambiguous_identifier_that_should_be_unique_is_refused_at_once() {
    for overview_lag in [0, 600] {
        let case = Case {
            overview_lag,
            lag_quarters: 0,
            ..case_that_learns()
        };
        let share = Op::ShareEmail { email: 0, with: 1 };
        let lookup = || request(Alias::Email(0));
        let ops = vec![share, lookup(), Op::AnswerAll];
        let last = vec![Op::Nothing, lookup()];
        assert_refused(&case, ops, last, &shared_by_two());
    }
}
