//! Data that other replicas fetched: it is stored with a sequence number taken when it was read from the tier, and
//! compared by the time of its request.

use super::*;
use crate::{cache::freshness::Provenance, clock::Tick, domain::Overview};

const SECOND: Duration = Duration::from_secs(1);

/// Parts that another replica requested `age` ago, read from the shared tier now.
fn shared(cache: &TestCache, source: FetchSource, age: Duration) -> Parts {
    let mut start = cache.begin();
    start.now.tick = start.now.tick - age;
    let mut parts = match source {
        FetchSource::Overview => cache.parts_of_overview(start, overview()),
        FetchSource::Entity => cache.part_of_entity(
            start,
            PartData::Profile(Box::new(keyed_profile("shared").into())),
        ),
    };
    let entry = parts.profile.as_mut().expect("a profile");
    entry.provenance.is_shared = true;
    parts
}

fn overview() -> Overview {
    Overview {
        id: contact('1'),
        profile: keyed_profile("shared").into(),
        audiences: None,
        promotions: None,
        vouchers: None,
        points: None,
    }
}

fn differed_at(parts: &mut Parts, at: Tick) {
    let entry = parts.profile.as_mut().expect("a profile");
    entry.provenance.differed_at = Some(at);
}

fn store_shared(cache: &TestCache, parts: Parts) -> Parts {
    let marks = PartMap::splat(Duration::ZERO);
    cache.store_shared_parts(contact('1'), parts, &marks, None)
}

fn cached_profile(cache: &TestCache) -> Option<Provenance> {
    cache
        .record(contact('1'))?
        .provenance(Part::Profile)
        .copied()
}

fn alias_found(cache: &TestCache, source: FetchSource, age: Duration) -> Provenance {
    let parts = shared(cache, FetchSource::Entity, age);
    Provenance {
        source,
        ..*parts.provenance(Part::Profile).expect("a profile")
    }
}

#[test]
fn shared_part_replaces_a_cached_one_only_if_requested_later() {
    for (age, is_replaced) in [(1, true), (2, false), (3, false)] {
        let (cache, clock) = cache();
        store_profile(&cache, contact('1'));
        clock.advance(2 * SECOND);
        let held =
            store_shared(&cache, shared(&cache, FetchSource::Entity, age * SECOND)).present();
        assert_eq!(held, Part::Profile.into());
        let cached = cached_profile(&cache).expect("a profile");
        assert_eq!(cached.is_shared, is_replaced, "{age} s");
    }
}

#[test]
fn own_request_replaces_shared_data_that_was_read_later_but_requested_earlier() {
    let (cache, clock) = cache();
    clock.advance(10 * SECOND);
    let start = cache.begin();
    store_shared(&cache, shared(&cache, FetchSource::Entity, SECOND));
    assert!(cached_profile(&cache).is_some_and(|cached| cached.is_shared));
    store_part(
        &cache,
        contact('1'),
        start,
        PartData::Profile(Box::default()),
    );
    assert!(cached_profile(&cache).is_some_and(|cached| !cached.is_shared));
}

#[test]
fn fence_raised_after_the_reading_keeps_shared_data_out() {
    let (cache, clock) = cache();
    clock.advance(10 * SECOND);
    let read_before = shared(&cache, FetchSource::Entity, SECOND);
    cache.invalidate(contact('1'), Part::Profile.into());
    assert!(store_shared(&cache, read_before).present().is_empty());
    assert!(cached_profile(&cache).is_none());
    // The tier drops the data that the invalidation covers, so what is read after the invalidation was requested after
    // it, even if the clocks differ.
    let read_after = shared(&cache, FetchSource::Entity, SECOND);
    assert_eq!(
        store_shared(&cache, read_after).present(),
        Part::Profile.into()
    );
}

#[test]
fn entity_only_time_of_the_tier_keeps_overviews_out_and_is_no_fence() {
    let (cache, clock) = cache();
    clock.advance(2 * MINUTE);
    let mut marks = PartMap::splat(Duration::ZERO);
    marks[Part::Profile] = 20 * SECOND;
    let mut entity = shared(&cache, FetchSource::Entity, SECOND);
    differed_at(&mut entity, Tick::default());
    let taken = cache.store_shared_parts(contact('1'), entity, &marks, None);
    assert_eq!(taken.present(), Part::Profile.into());
    let tick = || cache.clock.tick();
    let entity_only = || cache.fences.entity_only(contact('1'), tick());
    assert_eq!(entity_only(), Part::Profile.into());
    let overview = shared(&cache, FetchSource::Overview, Duration::ZERO);
    assert!(store_shared(&cache, overview).present().is_empty());
    clock.advance(20 * SECOND);
    // It does not last for this replica's whole lag: data that another replica fetched adds no time of its own.
    assert_eq!(entity_only(), PartSet::EMPTY);
}

#[test]
fn shared_entity_data_is_entity_only_for_the_rest_of_the_lag() {
    let (cache, clock) = cache();
    clock.advance(2 * MINUTE);
    let now = cache.clock.tick();
    let mut entity = shared(&cache, FetchSource::Entity, SECOND);
    differed_at(&mut entity, now - MINUTE / 2);
    store_shared(&cache, entity);
    let entity_only = |at: Tick| cache.fences.entity_only(contact('1'), at);
    assert_eq!(entity_only(now), Part::Profile.into());
    assert_eq!(entity_only(now + MINUTE / 2), PartSet::EMPTY);
}

#[test]
fn overtaken_parts_are_returned_and_not_kept() {
    let (cache, _) = cache();
    let parts = cache.part_of_entity(cache.begin(), PartData::Profile(Box::default()));
    let served = cache.store_parts_except(contact('1'), parts, None, Part::Profile.into());
    assert_eq!(served.present(), Part::Profile.into());
    assert!(cached_profile(&cache).is_none());
    let parts = cache.part_of_entity(cache.begin(), PartData::Profile(Box::default()));
    cache.invalidate(contact('1'), Part::Profile.into());
    let served = cache.store_parts_except(contact('1'), parts, None, Part::Profile.into());
    assert!(served.present().is_empty());
}

#[test]
fn shared_alias_that_the_cached_one_outlasts_is_refused() {
    let (cache, clock) = cache();
    clock.advance(MINUTE);
    let alias = email("alva@example.com");
    let leads_to = || cache.alias(alias.key()).map(|alias| alias.id);
    store_alias(&cache, &alias, contact('1'));
    clock.advance(2 * SECOND);
    let offer = |id, age| {
        let found = alias_found(&cache, FetchSource::Overview, age);
        cache.store_shared_alias(alias.key(), id, found, true)
    };
    assert!(offer(contact('2'), 3 * SECOND).is_none());
    assert!(offer(contact('1'), 3 * SECOND).is_some());
    assert_eq!(leads_to(), Some(contact('1')));
    assert!(
        cache
            .alias(alias.key())
            .is_some_and(|alias| !alias.provenance.is_shared)
    );
    assert!(offer(contact('2'), SECOND).is_some());
    assert_eq!(leads_to(), Some(contact('2')));
    // Whether it is confirmed or not, its provenance stays that of another replica.
    let cached = cache.alias(alias.key()).expect("an alias");
    cache.confirm_alias(alias.key(), &cached, false);
    let cached = cache.alias(alias.key()).expect("an alias");
    assert!(cached.provenance.is_shared && !cached.confirmed);
}

#[test]
fn shared_alias_of_an_overview_is_refused_after_a_correction() {
    let (cache, clock) = cache();
    clock.advance(10 * SECOND);
    let alias = email("alva@example.com");
    cache.drop_alias(alias.key());
    for (source, is_taken) in [(FetchSource::Overview, false), (FetchSource::Entity, true)] {
        let found = alias_found(&cache, source, SECOND);
        let stored = cache.store_shared_alias(alias.key(), contact('1'), found, true);
        assert_eq!(stored.is_some(), is_taken, "{source:?}");
    }
}

#[test]
fn shared_negative_entry_lives_for_the_rest_of_its_life() {
    let (cache, clock) = cache();
    clock.advance(MINUTE);
    let alias = email("alva@example.com");
    let tick = || cache.clock.tick();
    let offer = |start, age| {
        let requested_at = tick() - age;
        let source = FetchSource::Overview;
        cache.store_shared_negative(alias.key(), start, source, requested_at, "unknown")
    };
    assert!(offer(cache.begin(), 29 * SECOND));
    assert_eq!(cache.negative(alias.key(), tick()), Some("unknown"));
    clock.advance(SECOND);
    assert_eq!(cache.negative(alias.key(), tick()), None);
    let before = cache.begin();
    cache.drop_negatives();
    assert!(!offer(before, Duration::ZERO));
    store_alias(&cache, &alias, contact('1'));
    assert!(!offer(cache.begin(), SECOND));
    assert!(cache.alias(alias.key()).is_some());
    assert_eq!(cache.negative(alias.key(), tick()), None);
}

#[test]
fn missing_contact_is_dropped_although_older_shared_data_was_read_later() {
    let (cache, clock) = cache();
    clock.advance(10 * SECOND);
    let start = cache.begin();
    store_shared(&cache, shared(&cache, FetchSource::Entity, SECOND));
    cache.drop_record(contact('1'), start);
    assert!(cache.record(contact('1')).is_none());
}

#[test]
fn only_what_no_fence_forbids_is_passed_on() {
    let (cache, _) = cache();
    let lookup = Lookup::by_id(contact('1'));
    let start = cache.begin();
    let mut parts = cache.parts_of_overview(start, overview());
    let (allowed, new) = cache.parts_to_share(contact('1'), &mut parts, Some(&lookup));
    assert_eq!(
        (allowed.present(), new),
        (Part::Profile.into(), PartSet::EMPTY)
    );
    let mut part = cache.part_of_entity(start, PartData::Profile(Box::default()));
    let (_, new) = cache.parts_to_share(contact('1'), &mut part, None);
    assert_eq!(new, Part::Profile.into());
    cache.invalidate(contact('1'), Part::Profile.into());
    let (allowed, _) = cache.parts_to_share(contact('1'), &mut part, None);
    assert!(allowed.present().is_empty());
}

#[test]
fn part_is_outdated_at_that_age_or_when_it_expires_soon() {
    let (cache, clock) = cache();
    store_profile(&cache, contact('1'));
    let outdated = |max_age| {
        let now = cache.clock.tick();
        cache.outdated(contact('1'), max_age, now)[Part::Profile]
    };
    clock.advance(10 * SECOND);
    assert_eq!(outdated(Duration::MAX), None);
    assert_eq!(outdated(11 * SECOND), None);
    assert_eq!(outdated(10 * SECOND), Some(10 * SECOND));
    clock.advance(49 * SECOND);
    assert_eq!(outdated(Duration::MAX), Some(59 * SECOND));
}

#[test]
fn shared_alias_lives_no_longer_than_an_own_one() {
    let (cache, clock) = cache();
    let alias = email("alva@example.com");
    let found = Provenance {
        lifetime: 60 * MINUTE,
        ..alias_found(&cache, FetchSource::Entity, Duration::ZERO)
    };
    cache.store_shared_alias(alias.key(), contact('1'), found, true);
    clock.advance(MINUTE);
    let cached = cache.alias(alias.key()).expect("an alias");
    let now = cache.clock.tick();
    assert_eq!(cached.freshness(now, &cache.policy), Freshness::Stale);
}

#[test]
fn shared_negative_entry_of_an_overview_is_refused_after_a_correction() {
    let (cache, clock) = cache();
    clock.advance(10 * SECOND);
    let alias = email("alva@example.com");
    cache.drop_alias(alias.key());
    let requested_at = cache.clock.tick();
    for (source, is_taken) in [(FetchSource::Overview, false), (FetchSource::Entity, true)] {
        let (key, start) = (alias.key(), cache.begin());
        let stored = cache.store_shared_negative(key, start, source, requested_at, "unknown");
        assert_eq!(stored, is_taken, "{source:?}");
    }
}
