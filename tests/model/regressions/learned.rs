//! Sequences about aliases that are learned from profiles.

use super::{case_that_learns, replay, request};
use crate::{
    ops::{Op, Stretch},
    world::Alias,
};

#[test]
fn contact_that_becomes_protected_is_not_found_by_a_learned_alias() {
    let ops = vec![
        Op::Advance(Stretch::Second),
        Op::ShareEmail { email: 0, with: 1 },
        request(Alias::Email(0)),
        Op::Read(0, 0),
        // A profile that was requested later is stored first.
        request(Alias::Id(0)),
        Op::Deliver(1),
        Op::Deliver(0),
        Op::Protect(0),
        Op::Updated(0),
        request(Alias::Id(0)),
        Op::AnswerAll,
        request(Alias::Email(0)),
        Op::AnswerAll,
    ];
    replay(case_that_learns(), ops);
}
