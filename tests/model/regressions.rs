//! The shortest sequences that once broke a promise. They are replayed in addition to the random ones.

mod learned;
mod refused;

use engage_bff::{
    config::ApiVersion,
    domain::{Part, PartSet},
};

use crate::{
    ops::{Case, Op, Request, Scenario, Step, Stretch},
    play,
    responses::Fault,
    world::{Alias, Kind, TestLookup},
};

const PROFILE: PartSet = PartSet::of(&[Part::Profile]);
const VOUCHERS: PartSet = PartSet::of(&[Part::Vouchers]);

/// The built-in settings, and an overview that lags as long as the service expects at most.
fn case() -> Case {
    Case {
        version: ApiVersion::V3,
        overview_lag: 600,
        lag_quarters: 4,
        max_bytes: 1 << 20,
        page: 100,
        small_budget: false,
        knows_custom_key: true,
        learns: false,
        seed: 0,
    }
}

/// The same with aliases that are learned from profiles.
fn case_that_learns() -> Case {
    Case {
        learns: true,
        ..case()
    }
}

fn by(alias: Alias) -> TestLookup {
    let kind = match alias {
        Alias::Id(_) => None,
        _ => Some(Kind::Member),
    };
    TestLookup { alias, kind }
}

fn request(alias: Alias) -> Op {
    request_fresh(alias, PartSet::EMPTY)
}

fn request_fresh(alias: Alias, fresh: PartSet) -> Op {
    request_parts(alias, PartSet::ALWAYS.union(VOUCHERS), fresh)
}

fn request_parts(alias: Alias, asked: PartSet, fresh: PartSet) -> Op {
    Op::Request(Request {
        lookup: by(alias),
        prefer: None,
        shouted: false,
        asked,
        fresh,
        max_age: None,
        only_if_cached: false,
        stale_if_error: true,
    })
}

#[track_caller]
fn replay(case: Case, ops: Vec<Op>) {
    let steps = steps(ops);
    if let Err(error) = play(&Scenario { case, steps }) {
        panic!("{error}");
    }
}

fn steps(ops: Vec<Op>) -> Vec<Step> {
    ops.into_iter().map(|op| Step { op, polls: 0 }).collect()
}

#[test]
fn overview_requested_within_its_lag_is_not_trusted_later() {
    let ops = vec![
        Op::Advance(Stretch::OverviewLag),
        Op::Edit(0, Part::Vouchers),
        Op::Invalidate(0, VOUCHERS),
        Op::Advance(Stretch::NearlyOverviewLag),
        request(Alias::Email(0)),
        Op::Read(0, 4),
        Op::Advance(Stretch::Second),
        Op::AnswerAll,
        request(Alias::Id(0)),
        Op::AnswerAll,
    ];
    replay(case(), ops);
}

#[test]
fn without_a_lag_an_older_overview_does_not_undo_an_entity_read() {
    let case = Case {
        overview_lag: 20,
        lag_quarters: 0,
        ..case()
    };
    let ops = vec![
        request(Alias::Id(0)),
        Op::AnswerAll,
        request_fresh(Alias::Id(0), VOUCHERS),
        Op::Advance(Stretch::Lifetime),
        request_fresh(Alias::Id(0), VOUCHERS),
        request(Alias::Email(0)),
        Op::Read(0, 0),
        Op::Read(1, 0),
        Op::Edit(0, Part::Vouchers),
        Op::Deliver(1),
        Op::Deliver(0),
        Op::AnswerAll,
        request(Alias::Id(0)),
    ];
    replay(case, ops);
}

#[test]
fn entity_read_overtakes_an_overview_of_a_request_that_still_waits() {
    for on in [true, false] {
        let ops = vec![
            Op::Switch(on),
            // Its overview has arrived; the request still waits for the points.
            request_parts(Alias::Id(0), PartSet::ALL, PartSet::EMPTY),
            Op::Deliver(0),
            Op::Nothing,
            Op::Advance(Stretch::Second),
            Op::Edit(0, Part::Vouchers),
            // The overview and the vouchers of another request.
            request_fresh(Alias::Id(0), VOUCHERS),
            Op::Deliver(1),
            Op::Deliver(1),
            Op::Nothing,
            Op::AnswerAll,
        ];
        replay(case(), ops);
    }
}

#[test]
fn lagging_overview_does_not_return_an_alias_to_its_former_owner() {
    let ops = vec![
        Op::Advance(Stretch::Second),
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        request_fresh(Alias::Id(1), PROFILE),
        Op::Read(0, 0),
        Op::AnswerAll,
        Op::AnswerAll,
        request(Alias::AnyEmail(1)),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    replay(case(), ops);
}

#[test]
fn alias_that_was_given_up_no_longer_leads_to_its_former_owner() {
    let ops = vec![
        request(Alias::Email(1)),
        Op::AnswerAll,
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        Op::Updated(1),
        request(Alias::Email(1)),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    replay(case(), ops);
}

#[test]
fn overview_of_another_contact_confirms_no_alias() {
    let ops = vec![
        request(Alias::Email(0)),
        Op::Invalidate(1, PROFILE),
        Op::Fail(0, Fault::Misdirected),
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        Op::AnswerAll,
    ];
    replay(case(), ops);
}

#[test]
fn purge_by_identifier_reaches_a_contact_cached_under_another_alias() {
    let ops = vec![
        request(Alias::Id(0)),
        Op::AnswerAll,
        Op::PurgeBy(by(Alias::Email(0))),
        request(Alias::Email(0)),
        Op::AnswerAll,
        request(Alias::Id(0)),
    ];
    replay(case(), ops);
}

#[test]
fn purge_by_id_and_type_reaches_the_contact() {
    let lookup = TestLookup {
        alias: Alias::Id(0),
        kind: Some(Kind::Member),
    };
    let ops = vec![
        request(Alias::Id(0)),
        Op::AnswerAll,
        Op::PurgeBy(lookup),
        request(Alias::Id(0)),
    ];
    replay(case(), ops);
}

#[test]
fn part_not_found_says_nothing_about_the_contact() {
    let ops = vec![
        Op::Invalidate(0, PartSet::INVALIDATABLE),
        request(Alias::Id(0)),
        Op::Deliver(0),
        Op::Delete(0),
        // The vouchers; the call of the profile is still in flight.
        Op::Deliver(1),
        Op::Deleted(0),
    ];
    replay(case(), ops);
}

#[test]
fn fresh_part_of_one_contact_is_not_served_for_another() {
    let ops = vec![
        request_fresh(Alias::AnyKey(0), PROFILE),
        Op::Read(0, 0),
        Op::MoveKey {
            key: 0,
            to: 1,
            swap: false,
        },
        Op::Deliver(0),
        request(Alias::Id(1)),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    replay(
        Case {
            lag_quarters: 0,
            knows_custom_key: false,
            ..case()
        },
        ops,
    );
}

#[test]
fn request_with_max_age_zero_makes_one_call() {
    let Op::Request(query) = request(Alias::Id(0)) else {
        unreachable!("a request");
    };
    let impatient = Op::Request(Request {
        max_age: Some(0),
        ..query
    });
    let ops = vec![impatient, Op::Advance(Stretch::Second), Op::AnswerAll];
    replay(case(), ops);
}

#[test]
fn hanging_call_delays_no_request_beyond_its_deadline() {
    let ops = vec![
        request_fresh(Alias::Id(0), VOUCHERS),
        Op::AnswerAll,
        Op::Advance(Stretch::HalfOfPatience),
        request_fresh(Alias::Id(0), VOUCHERS),
        Op::Advance(Stretch::HalfOfPatience),
    ];
    replay(case(), ops);
}

#[test]
fn data_in_flight_when_the_cache_went_off_is_never_served() {
    let ops = vec![
        request(Alias::Email(0)),
        Op::Read(0, 0),
        Op::Edit(0, Part::Vouchers),
        Op::Switch(false),
        Op::Switch(true),
        Op::Deliver(0),
        request(Alias::Email(0)),
        Op::AnswerAll,
        request(Alias::Id(0)),
    ];
    replay(case(), ops);
}

#[test]
fn cache_that_is_off_answers_no_request() {
    let ops = vec![
        request(Alias::Email(0)),
        Op::AnswerAll,
        Op::Switch(false),
        request(Alias::Email(0)),
        Op::AnswerAll,
        request(Alias::Email(0)),
        Op::AnswerAll,
        Op::Switch(true),
        request(Alias::Email(0)),
        Op::AnswerAll,
    ];
    replay(case(), ops);
}

#[test]
fn purge_by_identifier_reaches_a_contact_in_an_answer_in_flight() {
    let ops = vec![
        request(Alias::Key(0)),
        Op::Read(0, 0),
        Op::Edit(0, Part::Vouchers),
        Op::PurgeBy(by(Alias::Email(0))),
        Op::Deliver(0),
        Op::AnswerAll,
        Op::AnswerAll,
        request(Alias::Email(0)),
        Op::AnswerAll,
        request(Alias::Id(0)),
    ];
    replay(case(), ops);
}

#[test]
fn purge_by_identifier_reaches_a_contact_resolved_during_it() {
    let ops = vec![
        request_fresh(Alias::AnyEmail(1), PROFILE),
        Op::Read(1, 0),
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        Op::PurgeBy(by(Alias::Email(1))),
        Op::AnswerAll,
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    replay(case(), ops);
}
