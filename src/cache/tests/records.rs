//! Records: their rendered responses, their weight, and how damaged ones are handled.

use super::*;

#[test]
fn rendered_response_is_kept_only_with_the_record_it_came_from() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    let old = cache.record(id).expect("a record");
    keep(&cache, &old, 1);
    assert_eq!(rendered(&cache, id), [1]);
    store_profile(&cache, id);
    assert!(rendered(&cache, id).is_empty());
    keep(&cache, &old, 2);
    assert!(rendered(&cache, id).is_empty());
}

#[test]
fn rendered_response_replaces_the_same_kind_or_the_oldest() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    let keep = |size, replaced| {
        let record = cache.record(id).expect("a record");
        cache.keep_rendered(&record, &Arc::new(Rendered(size)), |kept| {
            kept.0 == replaced
        });
    };
    for size in 1..=8 {
        keep(size, 0);
    }
    assert_eq!(rendered(&cache, id), [1, 2, 3, 4, 5, 6, 7, 8]);
    keep(9, 4);
    assert_eq!(rendered(&cache, id), [1, 2, 3, 5, 6, 7, 8, 9]);
    keep(10, 0);
    assert_eq!(rendered(&cache, id), [2, 3, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn rendered_response_is_not_kept_where_its_record_gets_too_heavy() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    for size in [1000, 1 << 20] {
        keep(&cache, &cache.record(id).expect("a record"), size);
    }
    assert_eq!(rendered(&cache, id), [1000]);
}

#[test]
fn parts_too_heavy_to_cache_drop_the_old_record() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    let taken = store_part(&cache, id, cache.begin(), large_profile(2 << 20));
    assert!(taken.profile.is_some());
    assert!(cache.record(id).is_none());
}

#[test]
fn record_weighs_its_bytes_and_its_rendered_responses() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    let record = cache.record(id).expect("a record");
    let parts = record.compressed().len();
    let entry = ENTRY_OVERHEAD + size_of::<ContactId>() + size_of::<Record<Rendered>>();
    let expected = (entry + parts + parts / 8) as u64;
    assert_eq!(cache.counts().record_bytes, expected);
    keep(&cache, &record, 1000);
    assert_eq!(cache.counts().record_bytes, expected + 1000);
}

/// moka applies changes of weight later, in batches: a removal must not overtake the change before it.
#[test]
fn removal_right_after_a_change_leaves_the_weight_of_the_others() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, contact('2'));
    let others = cache.counts().record_bytes;
    let keep_response = || keep(&cache, &cache.record(id).expect("a record"), 5000);
    store_profile(&cache, id);
    cache.counts();
    keep_response();
    cache.purge(id);
    assert_eq!(cache.counts().record_bytes, others);
    store_profile(&cache, id);
    keep_response();
    cache.counts();
    store_profile(&cache, id);
    cache.purge(id);
    assert_eq!(cache.counts().record_bytes, others);
}

#[test]
fn damaged_record_is_dropped_by_its_first_reader() {
    for byte in [0, 10, 40] {
        let (cache, _) = cache();
        let id = contact('1');
        store_profile(&cache, id);
        cache.update_record(id, |cached| {
            Op::Put(Arc::new(cached.expect("a record").damaged(byte)))
        });
        let record = cache.record(id).expect("a hit needs no parts");
        assert!(cache.parts_of(&record).is_none());
        assert!(cache.record(id).is_none());
    }
}

#[test]
fn damaged_record_is_replaced_by_a_store_and_dropped_by_an_invalidation() {
    let (cache, _) = cache();
    let id = contact('1');
    let damage = || {
        cache.update_record(id, |cached| {
            Op::Put(Arc::new(cached.expect("a record").damaged(3)))
        });
    };
    store_profile(&cache, id);
    damage();
    store_profile(&cache, id);
    assert!(
        cache
            .parts_of(&cache.record(id).expect("a record"))
            .is_some()
    );
    damage();
    cache.invalidate(id, Part::Points.into());
    assert!(cache.record(id).is_none());
}

#[test]
fn record_under_another_contacts_key_is_dropped() {
    let (cache, _) = cache();
    store_profile(&cache, contact('1'));
    let other = cache.record(contact('1')).expect("a record");
    cache.update_record(contact('2'), |_| Op::Put(other));
    assert!(cache.record(contact('2')).is_none());
    assert_eq!(cache.counts().records, 1);
}

#[test]
fn dropping_a_damaged_record_keeps_the_one_that_replaced_it() {
    let (cache, _) = cache();
    let id = contact('1');
    store_profile(&cache, id);
    let damaged = cache.record(id).expect("a record").damaged(0);
    let start = store_profile(&cache, id);
    assert!(cache.parts_of(&damaged).is_none());
    let record = cache.record(id).expect("a record");
    assert_eq!(record.sequence(Part::Profile), start.sequence);
}
