//! What maintenance removes, and when rendered responses are dropped.

use futures_util::FutureExt;

use super::{
    super::maintenance::{DEAD_FOR, GROWTH_SHARE},
    *,
};

/// Two sweeps: after the first, nothing counts as read.
fn maintain_twice(cache: &TestCache) {
    cache.maintain();
    cache.maintain();
}

#[test]
fn entries_are_removed_minutes_after_they_became_too_old() {
    let (cache, clock) = cache();
    let (alva, dora) = (email("alva@example.com"), email("dora@example.com"));
    store_profile(&cache, contact('1'));
    store_alias(&cache, &alva, contact('1'));
    clock.advance(DEAD_FOR + MINUTE);
    store_profile(&cache, contact('2'));
    store_alias(&cache, &dora, contact('2'));
    let left = || {
        maintain_twice(&cache);
        let counts = cache.counts();
        (counts.records, counts.aliases)
    };
    assert_eq!(left(), (2, 2));
    clock.advance(MINUTE);
    assert_eq!(left(), (1, 1));
    assert!(cache.record(contact('2')).is_some());
    assert!(cache.alias(dora.key()).is_some());
}

#[test]
fn cold_record_loses_its_rendered_responses_and_a_read_one_keeps_them() {
    let (cache, _) = cache();
    for id in [contact('1'), contact('2')] {
        store_profile(&cache, id);
        keep(&cache, &cache.record(id).expect("a record"), 1000);
    }
    let bytes = || cache.counts().record_bytes;
    let both = bytes();
    cache.maintain();
    assert_eq!(bytes(), both);
    assert_eq!(rendered(&cache, contact('1')), [1000]);
    cache.maintain();
    assert_eq!(bytes(), both - 1000);
    assert_eq!(rendered(&cache, contact('1')), [1000]);
    // `explain` does not count as a read.
    assert_eq!(cache.explain(contact('2')).parts.len(), 1);
    cache.maintain();
    assert!(rendered(&cache, contact('2')).is_empty());
    maintain_twice(&cache);
    assert_eq!(bytes(), both - 2000);
    assert_eq!(cache.counts().records, 2);
    let record = cache.record(contact('1')).expect("a record");
    assert!(cache.parts_of(&record).is_some());
    // Rendered again, it is kept.
    keep(&cache, &record, 500);
    assert_eq!(rendered(&cache, contact('1')), [500]);
}

#[test]
fn explaining_and_scanning_do_not_keep_rendered_responses() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    keep(&cache, &cache.record(id).expect("a record"), 1000);
    cache.maintain();
    assert_eq!(cache.explain(id).rendered, 1);
    cache.contacts_where(|_, _| true);
    cache.maintain();
    assert_eq!(cache.explain(id).rendered, 0);
}

#[test]
fn response_rendered_from_a_swept_record_is_kept() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    let before = cache.record(id).expect("a record");
    keep(&cache, &before, 1);
    maintain_twice(&cache);
    keep(&cache, &before, 2);
    assert_eq!(rendered(&cache, id), [2]);
}

#[test]
fn fence_around_everything_forbids_swept_records() {
    let (cache, _) = cache();
    store_profile(&cache, contact('1'));
    maintain_twice(&cache);
    cache.fences.raise_everything();
    assert!(cache.record(contact('1')).is_none());
}

#[test]
fn sweep_is_due_whenever_records_grow_while_half_full() {
    let (cache, _) = cache();
    let mut ids = (0..).map(numbered);
    let bytes = || cache.counts().record_bytes;
    let limit = cache.max_bytes() / GROWTH_SHARE;
    let mut fill = || {
        let before = bytes();
        while bytes() <= before + limit {
            let id = ids.next().expect("endless");
            store_profile(&cache, id);
            // Read twice, because a cache that is half full keeps no response before the second read.
            cache.record(id);
            keep(&cache, &cache.record(id).expect("a record"), 4000);
        }
    };
    let is_due = || cache.filled().now_or_never().is_some();
    while bytes() + 2 * limit < cache.max_bytes() / 2 {
        fill();
        assert!(!is_due(), "{} bytes", bytes());
    }
    while !cache.is_half_full() {
        fill();
    }
    is_due();
    assert!(!is_due());
    fill();
    assert!(is_due());
    assert!(!is_due());
}

#[test]
fn half_full_cache_keeps_a_response_from_the_second_read_on() {
    let (cache, _) = cache();
    for id in (0..200).map(numbered) {
        store_profile(&cache, id);
        keep(&cache, &cache.record(id).expect("a record"), 4000);
        cache.counts();
    }
    assert!(cache.is_half_full());
    let first = cache.explain(numbered(0)).rendered;
    let last = numbered(199);
    assert_eq!((first, cache.explain(last).rendered), (1, 0));
    keep(&cache, &cache.record(last).expect("a record"), 4000);
    assert_eq!(cache.explain(last).rendered, 1);
}

#[test]
fn growth_counts_from_the_last_eviction() {
    let fills = FillCounter::new(100);
    let reached: Vec<_> = [60, 40, 1, 60, 40, 1].map(|bytes| fills.note(bytes)).into();
    assert_eq!(reached, [false, false, true, false, false, true]);
}
