//! How events are generated and shrunk.

use engage_bff::{
    config::ApiVersion,
    domain::{Part, PartSet},
};
use proptest::{collection::vec, prelude::*, sample::select, strategy::Union};

use super::{Case, Focus, Op, Request, Scenario, Step, Stretch};
use crate::{
    responses::Fault,
    world::{Alias, Kind, TestLookup},
};

impl Focus {
    pub(crate) fn scenarios(self) -> impl Strategy<Value = Scenario> {
        let steps = vec(self.step(), 1..48);
        (self.case(), steps).prop_map(|(case, steps)| Scenario { case, steps })
    }

    fn case(self) -> impl Strategy<Value = Case> {
        let max_bytes = if self.evictions > 0 {
            vec![1 << 20, 2_500, 5_000, 12_000]
        } else {
            vec![1 << 20]
        };
        (
            select(vec![ApiVersion::V3, ApiVersion::V2]),
            select(vec![600, 90, 20, 0]),
            0..=4u32,
            select(max_bytes),
            select(vec![100, 100, 1]),
            Just(self.small_budget),
            any::<bool>(),
            select(if self.learns {
                vec![true]
            } else {
                vec![false, true]
            }),
            any::<u64>(),
        )
            .prop_map(
                |(
                    version,
                    overview_lag,
                    lag_quarters,
                    max_bytes,
                    page,
                    small_budget,
                    knows_custom_key,
                    learns,
                    seed,
                )| Case {
                    version,
                    overview_lag,
                    lag_quarters,
                    max_bytes,
                    page,
                    small_budget,
                    knows_custom_key,
                    learns,
                    seed,
                },
            )
    }

    fn step(self) -> impl Strategy<Value = Step> {
        let polls = select(vec![0, 0, 0, 0, 0, 0, 1, 2, 3, 5]);
        (self.op(), polls).prop_map(|(op, polls)| Step { op, polls })
    }

    fn op(self) -> impl Strategy<Value = Op> {
        let all: Vec<(u32, BoxedStrategy<Op>)> = vec![
            (1, Just(Op::Nothing).boxed()),
            (self.requests, self.request().prop_map(Op::Request).boxed()),
            (
                self.requests,
                (any_call(), 0..=4u32)
                    .prop_map(|(call, quarters)| Op::Read(call, quarters))
                    .boxed(),
            ),
            (self.requests, any_call().prop_map(Op::Deliver).boxed()),
            (self.requests / 8, Just(Op::AnswerAll).boxed()),
            (self.cancels, any_call().prop_map(Op::Cancel).boxed()),
            (1, any_call().prop_map(Op::RenderAgain).boxed()),
            (
                self.edits,
                (contact(), part())
                    .prop_map(|(contact, part)| Op::Edit(contact, part))
                    .boxed(),
            ),
            (self.alias_moves, alias_move().boxed()),
            (self.lives, life().boxed()),
            (
                self.invalidations,
                (contact(), parts(PartSet::INVALIDATABLE))
                    .prop_map(|(contact, parts)| Op::Invalidate(contact, parts))
                    .boxed(),
            ),
            (
                self.invalidations / 2,
                contact().prop_map(Op::Updated).boxed(),
            ),
            (
                self.invalidations / 2,
                (lookup(), parts(PartSet::INVALIDATABLE))
                    .prop_map(|(lookup, parts)| Op::Changed(lookup, parts))
                    .boxed(),
            ),
            (self.purges, purge().boxed()),
            (self.switches, any::<bool>().prop_map(Op::Switch).boxed()),
            (
                self.faults,
                (any_call(), fault())
                    .prop_map(|(call, fault)| Op::Fail(call, fault))
                    .boxed(),
            ),
            (self.time, short_time().prop_map(Op::Advance).boxed()),
            (self.long_time, long_time().prop_map(Op::Advance).boxed()),
            (self.evictions, Just(Op::Evict).boxed()),
        ];
        let some = all.into_iter().filter(|(weight, _)| *weight > 0);
        Union::new_weighted(some.collect())
    }

    fn request(self) -> impl Strategy<Value = Request> {
        let optional = PartSet::ALL.without(PartSet::ALWAYS);
        let fresh = prop_oneof![
            100 - self.fresh => Just(PartSet::EMPTY),
            self.fresh.max(1) => parts(PartSet::INVALIDATABLE),
        ];
        let directives = prop_oneof![
            100 - self.directives => Just((None, false, true)),
            self.directives.max(1) => (
                select(vec![None, Some(20), Some(1), Some(0)]),
                select(vec![false, false, true]),
                any::<bool>(),
            ),
        ];
        let lookup = (lookup(), select(vec![false, false, true])).prop_map(untyped);
        (lookup, any::<bool>(), parts(optional), fresh, directives).prop_map(
            |((lookup, prefer), shouted, asked, fresh, directives)| {
                let (max_age, only_if_cached, stale_if_error) = directives;
                let asked = asked.union(PartSet::ALWAYS);
                Request {
                    lookup,
                    prefer,
                    shouted,
                    asked,
                    fresh: fresh.intersection(asked),
                    max_age,
                    only_if_cached,
                    stale_if_error,
                }
            },
        )
    }
}

fn any_call() -> impl Strategy<Value = usize> {
    0..6usize
}

fn contact() -> impl Strategy<Value = usize> {
    select(vec![0, 0, 0, 0, 0, 0, 1, 1, 1, 2])
}

fn part() -> impl Strategy<Value = Part> {
    select(Part::ALL.to_vec())
}

/// A set of some of the parts: one, two, or all of them.
fn parts(of: PartSet) -> impl Strategy<Value = PartSet> {
    let some = vec(select(of.iter().collect::<Vec<_>>()), 1..3);
    prop_oneof![
        2 => some.prop_map(PartSet::from_iter),
        1 => Just(of),
    ]
}

/// A lookup whose type becomes a preference if `is_preferred` and the lookup is not by id.
fn untyped((lookup, is_preferred): (TestLookup, bool)) -> (TestLookup, Option<Kind>) {
    if !is_preferred || matches!(lookup.alias, Alias::Id(_)) {
        return (lookup, None);
    }
    let any_type = TestLookup {
        kind: None,
        ..lookup
    };
    (any_type, lookup.kind)
}

fn lookup() -> impl Strategy<Value = TestLookup> {
    let number = || select(vec![0, 0, 0, 0, 1, 1, 2]);
    let kind = || select(vec![Kind::Member, Kind::Member, Kind::Contact]).prop_map(Some);
    let alias = prop_oneof![
        3 => number().prop_map(Alias::Email),
        2 => select(vec![0, 0, 1]).prop_map(Alias::Key),
        1 => number().prop_map(Alias::AnyEmail),
        1 => select(vec![0, 0, 1]).prop_map(Alias::AnyKey),
        1 => number().prop_map(Alias::Id),
    ];
    prop_oneof![
        1 => number().prop_map(|contact| TestLookup { alias: Alias::Id(contact), kind: None }),
        2 => (alias, kind()).prop_map(|(alias, kind)| TestLookup { alias, kind }),
    ]
}

fn alias_move() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..2usize, contact(), any::<bool>()).prop_map(|(email, to, swap)| Op::MoveEmail { email, to, swap }),
        2 => (0..2usize, contact(), any::<bool>()).prop_map(|(key, to, swap)| Op::MoveKey { key, to, swap }),
        2 => (0..2usize, contact()).prop_map(|(email, with)| Op::ShareEmail { email, with }),
        1 => (0..2usize, contact()).prop_map(|(key, with)| Op::ShareKey { key, with }),
        2 => contact().prop_map(Op::Protect),
        2 => contact().prop_map(Op::Retype),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    select(vec![
        Fault::Failed,
        Fault::Timeout,
        Fault::Unreachable,
        Fault::RateLimited,
        Fault::Forbidden,
        Fault::Invalid,
        Fault::Truncated,
        Fault::Garbled,
        Fault::Misdirected,
        Fault::Misdirected,
        Fault::Unreadable,
        Fault::Unreadable,
    ])
}

fn life() -> impl Strategy<Value = Op> {
    select(vec![
        Op::DropNegatives,
        Op::Delete(0),
        Op::Recreate(0),
        Op::Deleted(0),
        Op::Delete(1),
        Op::Recreate(1),
        Op::Deleted(1),
    ])
}

fn purge() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => contact().prop_map(Op::Purge),
        6 => lookup().prop_map(Op::PurgeBy),
        1 => Just(Op::PurgeEverything),
    ]
}

fn short_time() -> impl Strategy<Value = Stretch> {
    select(vec![
        Stretch::Moment,
        Stretch::Second,
        Stretch::HalfOfPatience,
        Stretch::Patience,
    ])
}

fn long_time() -> impl Strategy<Value = Stretch> {
    select(vec![
        Stretch::HalfALifetime,
        Stretch::Lifetime,
        Stretch::StaleWhileRevalidate,
        Stretch::NearlyOverviewLag,
        Stretch::OverviewLag,
        Stretch::StaleIfError,
    ])
}
