//! Purges by identifier: which contacts their predicates match, for how long, and how many there may be.

use super::*;

fn profile(key: &str) -> PartData {
    PartData::Profile(Box::new(keyed_profile(key).into()))
}

#[test]
fn purge_reaches_requests_begun_before_it_and_none_later() {
    let (cache, _) = cache();
    let (before, other) = (cache.begin(), cache.begin());
    cache.purge_where(&purge_of("A-1"));
    let after = cache.begin();
    let kept = |id, start, data| !store_part(&cache, id, start, data).present().is_empty();
    assert!(!kept(contact('1'), before, profile("A-1")));
    assert!(!kept(contact('1'), before, points()));
    assert!(kept(contact('1'), after, profile("A-1")));
    assert!(kept(contact('2'), other, profile("B-2")));
    // A profile from before the purge shows that these points are another contact's; without one they may be the purged
    // contact's.
    assert!(kept(contact('2'), other, points()));
    assert!(!kept(contact('3'), other, points()));
    assert!(kept(contact('3'), after, points()));
}

#[test]
fn purge_reaches_a_contact_by_its_older_copy() {
    let (cache, _) = cache();
    let old = cache.begin();
    let early = cache.begin();
    cache.purge_where(&purge_of("A-1"));
    store_part(&cache, contact('1'), cache.begin(), profile("A-2"));
    store_part(&cache, contact('1'), old, profile("A-1"));
    store_part(&cache, contact('1'), early, points());
    let record = cache.record(contact('1')).expect("a record");
    assert_eq!(record.present(), Part::Profile.into());
    assert!(record.sequence(Part::Profile) > early.sequence);
}

#[test]
fn purge_expires_like_a_fence_and_too_many_purges_fence_everything() {
    let (cache, clock) = cache();
    let before = cache.begin();
    cache.purge_where(&purge_of("A-1"));
    clock.advance(3 * MINUTE);
    assert!(
        !store_part(&cache, contact('1'), before, profile("A-1"))
            .present()
            .is_empty()
    );
    let kept = cache.begin();
    for number in 0..1000 {
        cache.purge_where(&purge_of(&number.to_string()));
    }
    assert!(cache.fences.everything() < kept.sequence);
    cache.purge_where(&purge_of("one more"));
    assert!(cache.fences.everything() > kept.sequence);
    assert!(
        store_part(&cache, contact('1'), kept, profile("A-1"))
            .present()
            .is_empty()
    );
}

#[test]
fn identifier_is_purged_for_requests_that_began_before_its_purge() {
    let (cache, _) = cache();
    let (purged, other) = (
        email("a@example.com").identifier,
        email("b@example.com").identifier,
    );
    let before = cache.begin().sequence;
    assert!(!cache.is_purged(&purged, before));
    cache.purge_where(&purge_of("a@example.com"));
    let after = cache.begin().sequence;
    assert!(cache.is_purged(&purged, before));
    assert!(!cache.is_purged(&purged, after));
    assert!(!cache.is_purged(&other, before));
}
