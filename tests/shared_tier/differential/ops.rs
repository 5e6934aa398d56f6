//! The operations. Numbers of leases and entries are taken modulo the number of existing ones.

use engage_bff::domain::{Part, PartSet};
use proptest::{prelude::*, sample::select};

/// The subject of a look-up: two contacts and two aliases.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Contact(u8),
    Alias(u8),
}

#[derive(Clone, Debug)]
pub(super) enum Op {
    Fetch {
        name: Name,
        needed: PartSet,
        fetched: PartSet,
        /// The parts for which any age is accepted; for the others, none is.
        accepted: PartSet,
        accepts_alias: bool,
        waits: bool,
        is_long: bool,
    },
    Store {
        lease: usize,
        /// The contact; `None` for a negative value.
        contact: Option<u8>,
        has_alias: bool,
        parts: PartSet,
        from_overview: PartSet,
        entity_only: PartSet,
        /// The time of its request: milliseconds after `Side::base`.
        later: u64,
    },
    Release(usize),
    Invalidate {
        contacts: Vec<(u8, PartSet, bool)>,
        negatives: bool,
        aliases: Vec<u8>,
        marks: bool,
        message: Option<u8>,
    },
    Advance,
    Read(usize),
    Beat {
        replica: u64,
        leaves: bool,
        is_due: bool,
    },
    Peek(Name),
    Rewrap(bool),
    /// From now on operations use an epoch that has ended, or the current one again.
    UseEpoch(bool),
    EvictStream,
    EvictEpoch,
    Flush,
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => fetch(),
        12 => store(),
        2 => any::<usize>().prop_map(Op::Release),
        8 => invalidate(),
        1 => Just(Op::Advance),
        4 => any::<usize>().prop_map(Op::Read),
        3 => (0..3u64, any::<bool>(), any::<bool>())
            .prop_map(|(replica, leaves, is_due)| Op::Beat { replica, leaves, is_due }),
        4 => name().prop_map(Op::Peek),
        1 => any::<bool>().prop_map(Op::Rewrap),
        1 => any::<bool>().prop_map(Op::UseEpoch),
        1 => Just(Op::EvictStream),
        1 => Just(Op::EvictEpoch),
        1 => Just(Op::Flush),
    ]
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof![
        (0..2u8).prop_map(Name::Contact),
        (0..2u8).prop_map(Name::Alias)
    ]
}

fn parts() -> impl Strategy<Value = PartSet> {
    prop_oneof![
        Just(PartSet::ALL),
        Just(PartSet::EMPTY),
        select(Part::ALL.to_vec()).prop_map(PartSet::from),
        any::<u8>().prop_map(|bits| {
            let all = Part::ALL.into_iter().enumerate();
            all.filter(|(number, _)| bits & (1 << number) != 0)
                .map(|(_, part)| part)
                .collect()
        }),
    ]
}

fn fetch() -> impl Strategy<Value = Op> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    // A call fetches at least one part.
    let fetched = parts().prop_map(|parts| {
        if parts.is_empty() {
            Part::Profile.into()
        } else {
            parts
        }
    });
    (name(), parts(), fetched, parts(), flags).prop_map(
        |(name, needed, fetched, accepted, (accepts_alias, waits, is_long))| Op::Fetch {
            name,
            needed,
            fetched,
            accepted,
            accepts_alias,
            waits,
            is_long,
        },
    )
}

fn store() -> impl Strategy<Value = Op> {
    let contact = prop_oneof![1 => Just(None), 4 => (0..2u8).prop_map(Some)];
    let none_mostly = prop_oneof![2 => Just(PartSet::EMPTY), 1 => parts()];
    let sets = (parts(), parts(), none_mostly);
    (any::<usize>(), contact, any::<bool>(), sets, 0..4u64).prop_map(
        |(lease, contact, has_alias, (parts, from_overview, entity_only), later)| Op::Store {
            lease,
            contact,
            has_alias,
            parts,
            from_overview,
            entity_only,
            later,
        },
    )
}

fn invalidate() -> impl Strategy<Value = Op> {
    let covered = (0..2u8, parts(), prop::bool::weighted(0.3));
    (
        prop::collection::vec(covered, 0..3),
        prop::bool::weighted(0.3),
        prop::collection::vec(0..2u8, 0..2),
        any::<bool>(),
        prop_oneof![3 => Just(None), 1 => (0..2u8).prop_map(Some)],
    )
        .prop_map(
            |(contacts, negatives, aliases, marks, message)| Op::Invalidate {
                contacts,
                negatives,
                aliases,
                marks,
                message,
            },
        )
}
