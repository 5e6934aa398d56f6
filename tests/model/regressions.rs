//! The shortest sequences that once broke a promise. Each is told again, so that what was found stays
//! found whatever the random ones come upon.

use engage_bff::{
    config::ApiVersion,
    domain::{Part, PartSet},
};

use crate::{
    ops::{Ask, Case, Move, Op, Story, Stretch},
    paper::Fault,
    play,
    world::{Alias, Kind, Who},
};

const PROFILE: PartSet = PartSet::of(&[Part::Profile]);
const VOUCHERS: PartSet = PartSet::of(&[Part::Vouchers]);

/// The built-in settings, and an overview that lags as long as the service believes that it may.
fn case() -> Case {
    Case {
        version: ApiVersion::V3,
        overview_lag: 600,
        lag_quarters: 4,
        max_bytes: 1 << 20,
        page: 100,
        frugal: false,
        knows_custom_key: true,
        seed: 0,
    }
}

fn by(name: Alias) -> Who {
    let kind = match name {
        Alias::Id(_) => None,
        _ => Some(Kind::Member),
    };
    Who { name, kind }
}

fn ask(name: Alias) -> Op {
    ask_fresh(name, PartSet::EMPTY)
}

fn ask_fresh(name: Alias, fresh: PartSet) -> Op {
    Op::Ask(Ask {
        who: by(name),
        shouted: false,
        asked: PartSet::ALWAYS.union(VOUCHERS),
        fresh,
        max_age: None,
        only_if_cached: false,
        stale_if_error: true,
    })
}

#[track_caller]
fn tell(case: Case, ops: Vec<Op>) {
    let moves = ops.into_iter().map(|op| Move { op, polls: 0 }).collect();
    if let Err(error) = play(&Story { case, moves }) {
        panic!("{error}");
    }
}

#[test]
fn an_overview_asked_while_it_may_lag_is_not_believed_when_it_comes_later() {
    let ops = vec![
        Op::Advance(Stretch::OverviewLag),
        Op::Edit(0, Part::Vouchers),
        Op::Invalidate(0, VOUCHERS),
        Op::Advance(Stretch::NearlyOverviewLag),
        ask(Alias::Email(0)),
        Op::Read(0, 4),
        Op::Advance(Stretch::Second),
        Op::AnswerAll,
        ask(Alias::Id(0)),
        Op::AnswerAll,
    ];
    tell(case(), ops);
}

#[test]
fn without_a_lag_an_older_read_does_not_undo_an_entitys() {
    let case = Case {
        overview_lag: 20,
        lag_quarters: 0,
        ..case()
    };
    let ops = vec![
        ask(Alias::Id(0)),
        Op::AnswerAll,
        ask_fresh(Alias::Id(0), VOUCHERS),
        Op::Advance(Stretch::Lifetime),
        ask_fresh(Alias::Id(0), VOUCHERS),
        ask(Alias::Email(0)),
        Op::Read(0, 0),
        Op::Read(1, 0),
        Op::Edit(0, Part::Vouchers),
        Op::Deliver(1),
        Op::Deliver(0),
        Op::AnswerAll,
        ask(Alias::Id(0)),
    ];
    tell(case, ops);
}

#[test]
fn a_lagging_overview_does_not_give_a_name_back_to_whom_it_was_seen_to_have_left() {
    let ops = vec![
        Op::Advance(Stretch::Second),
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        ask_fresh(Alias::Id(1), PROFILE),
        Op::Read(0, 0),
        Op::AnswerAll,
        Op::AnswerAll,
        ask(Alias::AnyEmail(1)),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    tell(case(), ops);
}

#[test]
fn a_name_that_was_given_up_leads_to_its_former_bearer_no_more() {
    let ops = vec![
        ask(Alias::Email(1)),
        Op::AnswerAll,
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        Op::Updated(1),
        ask(Alias::Email(1)),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    tell(case(), ops);
}

#[test]
fn an_overview_of_somebody_else_lends_them_no_name() {
    let ops = vec![
        ask(Alias::Email(0)),
        Op::Invalidate(1, PROFILE),
        Op::Fail(0, Fault::Misdirected),
        Op::MoveEmail {
            email: 1,
            to: 0,
            swap: false,
        },
        Op::AnswerAll,
    ];
    tell(case(), ops);
}

#[test]
fn a_purge_by_name_reaches_whoever_is_held_under_another() {
    let ops = vec![
        ask(Alias::Id(0)),
        Op::AnswerAll,
        Op::PurgeBy(by(Alias::Email(0))),
        ask(Alias::Email(0)),
        Op::AnswerAll,
        ask(Alias::Id(0)),
    ];
    tell(case(), ops);
}

#[test]
fn a_purge_by_id_and_type_reaches_the_contact() {
    let who = Who {
        name: Alias::Id(0),
        kind: Some(Kind::Member),
    };
    let ops = vec![
        ask(Alias::Id(0)),
        Op::AnswerAll,
        Op::PurgeBy(who),
        ask(Alias::Id(0)),
    ];
    tell(case(), ops);
}

#[test]
fn a_part_that_is_not_found_does_not_speak_for_the_contact() {
    let ops = vec![
        Op::Invalidate(0, PartSet::INVALIDATABLE),
        ask(Alias::Id(0)),
        Op::Deliver(0),
        Op::Delete(0),
        // The vouchers; the profile is still asked for.
        Op::Deliver(1),
        Op::Deleted(0),
    ];
    tell(case(), ops);
}

#[test]
fn what_one_contact_told_fresh_is_not_taken_for_anothers() {
    let ops = vec![
        ask_fresh(Alias::AnyKey(0), PROFILE),
        Op::Read(0, 0),
        Op::MoveKey {
            key: 0,
            to: 1,
            swap: false,
        },
        Op::Deliver(0),
        ask(Alias::Id(1)),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    tell(
        Case {
            lag_quarters: 0,
            knows_custom_key: false,
            ..case()
        },
        ops,
    );
}

#[test]
fn a_caller_who_wants_nothing_old_asks_once() {
    let Op::Ask(query) = ask(Alias::Id(0)) else {
        unreachable!("a query is one");
    };
    let impatient = Op::Ask(Ask {
        max_age: Some(0),
        ..query
    });
    let ops = vec![impatient, Op::Advance(Stretch::Second), Op::AnswerAll];
    tell(case(), ops);
}

#[test]
fn a_call_that_hangs_holds_up_nobody_beyond_a_callers_patience() {
    let ops = vec![
        ask_fresh(Alias::Id(0), VOUCHERS),
        Op::AnswerAll,
        Op::Advance(Stretch::HalfOfPatience),
        ask_fresh(Alias::Id(0), VOUCHERS),
        Op::Advance(Stretch::HalfOfPatience),
    ];
    tell(case(), ops);
}

#[test]
fn who_asks_by_id_and_a_type_that_it_is_no_more_is_told_so_at_once() {
    let who = Who {
        name: Alias::Id(1),
        kind: Some(Kind::Member),
    };
    let ask_typed = || {
        let Op::Ask(query) = ask(Alias::Id(1)) else {
            unreachable!("a query is one");
        };
        Op::Ask(Ask { who, ..query })
    };
    let ops = vec![
        Op::Invalidate(1, PartSet::INVALIDATABLE),
        ask_typed(),
        Op::Read(0, 0),
        ask(Alias::Email(1)),
        Op::Deliver(1),
        Op::Retype(1),
        ask_typed(),
        Op::AnswerAll,
        Op::AnswerAll,
    ];
    tell(
        Case {
            lag_quarters: 0,
            ..case()
        },
        ops,
    );
}

#[test]
fn what_was_in_the_air_when_the_cache_went_off_is_not_there_when_it_is_on_again() {
    let ops = vec![
        ask(Alias::Email(0)),
        Op::Read(0, 0),
        Op::Edit(0, Part::Vouchers),
        Op::Switch(false),
        Op::Switch(true),
        Op::Deliver(0),
        ask(Alias::Email(0)),
        Op::AnswerAll,
        ask(Alias::Id(0)),
    ];
    tell(case(), ops);
}

#[test]
fn a_cache_that_is_off_answers_nobody() {
    let ops = vec![
        ask(Alias::Email(0)),
        Op::AnswerAll,
        Op::Switch(false),
        ask(Alias::Email(0)),
        Op::AnswerAll,
        ask(Alias::Email(0)),
        Op::AnswerAll,
        Op::Switch(true),
        ask(Alias::Email(0)),
        Op::AnswerAll,
    ];
    tell(case(), ops);
}

#[test]
fn a_purge_by_identifier_reaches_whom_an_answer_in_the_air_shows() {
    let ops = vec![
        ask(Alias::Key(0)),
        Op::Read(0, 0),
        Op::Edit(0, Part::Vouchers),
        Op::PurgeBy(by(Alias::Email(0))),
        Op::Deliver(0),
        Op::AnswerAll,
        Op::AnswerAll,
        ask(Alias::Email(0)),
        Op::AnswerAll,
        ask(Alias::Id(0)),
    ];
    tell(case(), ops);
}

#[test]
fn a_purge_by_identifier_reaches_who_was_resolved_while_it_came() {
    let ops = vec![
        ask_fresh(Alias::AnyEmail(1), PROFILE),
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
    tell(case(), ops);
}

#[test]
fn an_email_that_is_shared_since_is_not_answered_for_the_first_to_who_asks_fresh() {
    let ops = vec![
        ask(Alias::Email(0)),
        Op::AnswerAll,
        Op::ShareEmail { email: 0, with: 1 },
        ask_fresh(Alias::Email(0), PROFILE),
        Op::AnswerAll,
        Op::AnswerAll,
        ask(Alias::Email(0)),
        Op::AnswerAll,
    ];
    tell(case(), ops);
}
