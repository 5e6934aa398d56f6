use super::{table::LEAST_SWEPT, *};
use crate::{
    cache::tests::{self, contact, numbered},
    domain::Lookup,
};

const LAG: Duration = Duration::from_secs(600);
const FLIGHT: Duration = Duration::from_secs(10);

fn email(number: u32) -> Lookup {
    tests::email(&format!("e{number}@example.com"))
}

/// Invalidates the parts: the overview's lag begins now.
fn raise(fences: &Fences, id: ContactId, parts: PartSet, now: Tick) {
    fences.raise_since(id, parts, Duration::ZERO, now);
}

#[test]
fn only_data_requested_after_an_invalidation_is_allowed() {
    let fences = Fences::new(LAG, FLIGHT, 1000);
    let before = fences.sequence();
    raise(&fences, contact('1'), Part::Points.into(), Tick::default());
    let after = fences.sequence();
    assert!(!fences.allows(contact('1'), Part::Points, before));
    assert!(fences.allows(contact('1'), Part::Points, after));
    let not_before = fences.not_before(contact('1'), Part::Points.into());
    assert!(!fences.allows(contact('1'), Part::Points, not_before));
    assert!(fences.allows(contact('1'), Part::Vouchers, before));
    assert!(fences.allows(contact('2'), Part::Points, before));
}

#[test]
fn within_the_overviews_lag_only_the_entity_endpoint_fills_an_invalidated_part() {
    let fences = Fences::new(LAG, FLIGHT, 1000);
    let now = Tick::default();
    raise(&fences, contact('1'), PartSet::ALL, now);
    let expected = PartSet::ALL.without(Part::Audiences.into());
    assert_eq!(fences.entity_only(contact('1'), now), expected);
    assert_eq!(fences.entity_only(contact('1'), now + LAG), PartSet::EMPTY);
}

#[test]
fn lag_counts_from_the_change_and_not_from_its_report() {
    let fences = Fences::new(LAG, FLIGHT, 1000);
    let changed = Tick::default() + FLIGHT;
    let second = Duration::from_secs(1);
    for (number, age) in [(1, second), (2, LAG), (3, LAG + second)] {
        let id = numbered(number);
        fences.raise_since(id, Part::Points.into(), age, changed + age);
        let points = |at| fences.entity_only(id, at).contains(Part::Points);
        assert!(points(changed + LAG - second), "{age:?}");
        assert!(!points(changed + LAG), "{age:?}");
    }
}

#[test]
fn full_table_raises_a_fence_around_everything() {
    let fences = Fences::new(LAG, FLIGHT, 16);
    let before = fences.sequence();
    for number in 0..64 {
        raise(&fences, numbered(number), PartSet::ALL, Tick::default());
    }
    assert!(!fences.allows(contact('1'), Part::Profile, before));
    assert!(fences.counts().0 <= 16);
}

#[test]
fn expired_fences_make_room() {
    let fences = Fences::new(LAG, FLIGHT, 16);
    for number in 0..16 {
        raise(&fences, numbered(number), PartSet::ALL, Tick::default());
    }
    let before = fences.everything();
    let later = Tick::default() + LAG + FLIGHT;
    raise(&fences, numbered(100), PartSet::ALL, later);
    assert_eq!(fences.everything(), before);
}

#[test]
fn table_full_of_entity_reads_or_aliases_raises_a_fence_around_everything() {
    let now = Tick::default();
    let by_reads = Fences::new(LAG, FLIGHT, 16);
    let by_aliases = Fences::new(LAG, FLIGHT, 16);
    let before = (by_reads.sequence(), by_aliases.sequence());
    for number in 0..64 {
        by_reads.entity_read(numbered(number), Part::Points, now);
        by_aliases.raise_alias(email(number).key(), now);
    }
    assert!(by_reads.everything() > before.0);
    assert!(by_aliases.everything() > before.1);
}

#[test]
fn after_a_full_table_entity_endpoints_alone_fill_anything_within_the_lag() {
    let fences = Fences::new(LAG, FLIGHT, 16);
    let now = Tick::default() + LAG;
    for number in 0..64 {
        raise(&fences, numbered(number), PartSet::ALL, now);
    }
    let (alias, id) = (email(1), Lookup::by_id(contact('1')));
    let nearly = now + LAG.saturating_sub(Duration::from_millis(1));
    for at in [now, nearly] {
        assert_eq!(fences.entity_only(contact('1'), at), PartSet::INVALIDATABLE);
        assert!(fences.alias_is_entity_only(alias.key(), at));
        assert!(!fences.alias_is_entity_only(id.key(), at));
    }
    assert_eq!(fences.entity_only(contact('1'), now + LAG), PartSet::EMPTY);
    assert!(!fences.alias_is_entity_only(alias.key(), now + LAG));
}

#[test]
fn overview_resolves_a_dropped_alias_again_after_its_lag() {
    let fences = Fences::new(LAG, FLIGHT, 1000);
    let now = Tick::default() + LAG;
    let alias = email(1);
    fences.raise_alias(alias.key(), now);
    let nearly = now + LAG.saturating_sub(Duration::from_millis(1));
    assert!(fences.alias_is_entity_only(alias.key(), nearly));
    assert!(!fences.alias_is_entity_only(alias.key(), now + LAG));
    assert!(!fences.alias_is_entity_only(email(2).key(), now));
}

#[test]
fn existing_fence_is_raised_again_in_a_full_table() {
    let fences = Fences::new(LAG, FLIGHT, 16);
    raise(&fences, numbered(0), Part::Points.into(), Tick::default());
    let between = fences.sequence();
    raise(&fences, numbered(0), Part::Points.into(), Tick::default());
    assert!(!fences.allows(numbered(0), Part::Points, between));
    assert_eq!(fences.everything(), Sequence::default());
}

#[test]
fn expired_fences_are_swept_when_a_shard_has_doubled() {
    let end = Tick::default() + LAG + FLIGHT;
    for later in [end, end + FLIGHT] {
        let fences = Fences::new(LAG, FLIGHT, 1_000_000);
        for number in 0..40_000 {
            raise(&fences, numbered(number), PartSet::ALL, Tick::default());
        }
        let all_sweep_at = |count| fences.contacts.sweep_at().iter().all(|at| *at == count);
        assert!(all_sweep_at(2 * LEAST_SWEPT));
        for number in 40_000..40_500 {
            raise(&fences, numbered(number), PartSet::ALL, later);
        }
        assert_eq!(fences.counts().0, 500);
        assert!(all_sweep_at(LEAST_SWEPT));
    }
}

#[test]
fn fence_around_everything_makes_room_for_later_fences() {
    let fences = Fences::new(LAG, FLIGHT, 256);
    let now = Tick::default() + LAG;
    let mut times = 0;
    for number in 0..2000 {
        let before = fences.everything();
        fences.entity_read(numbered(number), Part::Promotions, now);
        times += usize::from(fences.everything() > before);
    }
    assert!((1..=40).contains(&times), "{times}");
}

#[test]
fn fence_around_everything_drops_only_the_fences_that_it_covers() {
    let fences = Fences::new(LAG, FLIGHT, 1000);
    let now = Tick::default() + LAG;
    raise(&fences, numbered(0), PartSet::ALL, now);
    fences.raise_alias(email(0).key(), now);
    fences.or_everything(false, now);
    assert_eq!(fences.counts(), (0, 0));
    raise(&fences, numbered(1), PartSet::ALL, now);
    let start = fences.sequence();
    raise(&fences, numbered(2), Part::Points.into(), now);
    fences.raise_alias(email(1).key(), now);
    fences.drop_covered(fences.everything(), now + LAG);
    assert_eq!(fences.counts(), (2, 1));
    assert!(!fences.allows(numbered(2), Part::Points, start));
    // A fence with a longer entity-only time is not covered.
    fences.entity_read(numbered(3), Part::Points, now + LAG);
    fences.drop_covered(fences.latest(), now + LAG);
    assert_eq!(fences.counts().0, 1);
    assert_eq!(
        fences.entity_only(numbered(3), now + LAG),
        Part::Points.into()
    );
}

/// A call that begins in the last moment of the time may last as long as any other.
#[test]
fn entity_only_time_is_kept_until_calls_begun_within_it_have_ended() {
    let left = Duration::from_secs(60);
    let parts = PartMap::from_fn(|part| match part {
        Part::Points => left,
        _ => Duration::ZERO,
    });
    // One fence to a shard, whose choice is random: in some of the tables the second fence needs the room of the first.
    for _ in 0..300 {
        let fences = Fences::new(LAG, FLIGHT, 16);
        fences.entity_only_for(numbered(0), &parts, Tick::default());
        let last = Tick::default() + left + FLIGHT.saturating_sub(Duration::from_secs(1));
        raise(&fences, numbered(1), PartSet::ALL, last);
        let begun_at = Tick::default() + left.saturating_sub(Duration::from_secs(1));
        let entity_only = fences.entity_only(numbered(0), begun_at);
        assert!(entity_only.contains(Part::Points));
    }
}

#[test]
fn change_ends_the_negative_entry_of_its_contact_and_a_purge_does_not() {
    let fences = Fences::new(LAG, FLIGHT, 1000);
    let id = Lookup::by_id(contact('1'));
    let before = fences.sequence();
    raise(&fences, contact('1'), Part::Points.into(), Tick::default());
    assert!(fences.negatives_not_before(id.key()) > before);
    raise(&fences, contact('1'), PartSet::ALL, Tick::default());
    assert_eq!(fences.negatives_not_before(id.key()), Sequence::default());
}
