//! The history of contacts: what keeps old entries out, what drops cached ones, and how many there may be.

use super::{
    super::{history::HistoryEntry, size::HISTORY_SHARE},
    *,
};
use crate::domain::{Decimal, History, HistoryList, HistoryPart, Partial, PointTransaction};

fn list(items: usize, text: usize) -> Partial<History> {
    let item = |number: usize| PointTransaction {
        id: number.to_string().into(),
        definition_id: None,
        kind: None,
        source: None,
        amount: Decimal::ONE,
        description: Some("x".repeat(text).into()),
        date: Timestamp::UNIX_EPOCH,
        valid_from: None,
        valid_to: None,
    };
    let items = (0..items).map(item).collect();
    History::PointTransactions(HistoryList {
        items,
        truncated: false,
    })
    .into()
}

fn entry(
    cache: &TestCache,
    id: ContactId,
    part: HistoryPart,
    start: FetchStart,
) -> Arc<HistoryEntry> {
    Arc::new(cache.history_entry((id, part), start, list(1, 1)))
}

fn store(cache: &TestCache, id: ContactId, part: HistoryPart, start: FetchStart) {
    cache.store_history(&entry(cache, id, part, start));
}

fn store_all(cache: &TestCache, id: ContactId) {
    for part in HistoryPart::ALL {
        store(cache, id, part, cache.begin());
    }
}

/// The parts of the contact that are served.
fn served(cache: &TestCache, id: ContactId) -> Vec<HistoryPart> {
    let is_served = |part: &HistoryPart| cache.history(id, *part).is_some();
    HistoryPart::ALL.into_iter().filter(is_served).collect()
}

fn store_keyed_profile(id: ContactId, cache: &TestCache, key: &str) {
    let profile = PartData::Profile(Box::new(keyed_profile(key).into()));
    store_part(cache, id, cache.begin(), profile);
}

#[test]
fn each_part_is_dropped_with_the_part_that_it_changes_with() {
    use HistoryPart::{PointTransactions, Purchases, RedeemedVouchers};
    for (part, left) in [
        (Part::Points, &[RedeemedVouchers, Purchases][..]),
        (Part::Vouchers, &[PointTransactions, Purchases]),
        (Part::Profile, &[PointTransactions, RedeemedVouchers]),
        (Part::Promotions, &HistoryPart::ALL),
    ] {
        let (cache, _) = cache();
        store_all(&cache, contact('1'));
        store_all(&cache, contact('2'));
        cache.invalidate(contact('1'), part.into());
        assert_eq!(served(&cache, contact('1')), left, "{part:?}");
        assert_eq!(served(&cache, contact('2')), HistoryPart::ALL, "{part:?}");
    }
}

#[test]
fn invalidated_entry_stays_away_when_its_fence_has_expired() {
    let part = HistoryPart::PointTransactions;
    for is_stored_first in [true, false] {
        let (cache, clock) = cache();
        let start = cache.begin();
        if is_stored_first {
            store(&cache, contact('1'), part, start);
        }
        cache.invalidate(contact('1'), Part::Points.into());
        store(&cache, contact('1'), part, start);
        assert_eq!(cache.counts().histories, 0);
        // Longer than the lag and the longest flight: another fence sweeps the table.
        clock.advance(MINUTE * 5);
        assert!(cache.history(contact('1'), part).is_none());
        store(&cache, contact('1'), part, cache.begin());
        assert!(cache.history(contact('1'), part).is_some());
    }
}

#[test]
fn older_response_does_not_replace_a_newer_one() {
    let (cache, _) = cache();
    let part = HistoryPart::Purchases;
    let (old, new) = (cache.begin(), cache.begin());
    store(&cache, contact('1'), part, new);
    store(&cache, contact('1'), part, old);
    let kept = cache.history(contact('1'), part).expect("an entry");
    assert_eq!(kept.provenance.sequence, new.sequence);
}

#[test]
fn every_purge_drops_the_history_of_its_contacts() {
    type Purge = fn(&TestCache);
    let purges: [(&str, Purge); 5] = [
        ("contact", |cache| cache.purge(contact('1'))),
        ("everything", TestCache::purge_everything),
        ("any contact", TestCache::invalidate_everything),
        ("contact missing", |cache| {
            cache.drop_record(contact('1'), cache.begin());
        }),
        ("switched off", |cache| {
            cache.switch(false);
            cache.purge_everything();
            cache.switch(true);
        }),
    ];
    for (name, purge) in purges {
        let (cache, _) = cache();
        let before = cache.begin();
        store_all(&cache, contact('1'));
        purge(&cache);
        assert_eq!(served(&cache, contact('1')), [], "{name}");
        assert_eq!(cache.counts().histories, 0, "{name}");
        if name != "contact missing" {
            store(&cache, contact('1'), HistoryPart::Purchases, before);
            assert_eq!(served(&cache, contact('1')), [], "{name}");
        }
        store_all(&cache, contact('1'));
        assert_eq!(served(&cache, contact('1')), HistoryPart::ALL, "{name}");
    }
}

#[test]
fn while_the_cache_is_off_no_history_is_stored_or_served() {
    let (cache, _) = cache();
    store_all(&cache, contact('1'));
    cache.switch(false);
    assert_eq!(served(&cache, contact('1')), []);
    store_all(&cache, contact('2'));
    cache.switch(true);
    assert_eq!(served(&cache, contact('2')), []);
}

#[test]
fn purge_by_identifier_drops_what_may_be_the_contacts() {
    let (cache, _) = cache();
    let before = cache.begin();
    store_keyed_profile(contact('1'), &cache, "A-1");
    store_keyed_profile(contact('2'), &cache, "B-2");
    for last in ['1', '2', '3'] {
        store_all(&cache, contact(last));
    }
    cache.purge_where(&purge_of("A-1"));
    assert_eq!(served(&cache, contact('1')), []);
    // Its older profile shows that it is another contact.
    assert_eq!(served(&cache, contact('2')), HistoryPart::ALL);
    // Without a profile it may be the purged contact's.
    assert_eq!(served(&cache, contact('3')), []);
    assert_eq!(cache.counts().histories, 3);
    store(&cache, contact('1'), HistoryPart::Purchases, before);
    store(&cache, contact('3'), HistoryPart::Purchases, before);
    assert_eq!(cache.counts().histories, 3);
    store_all(&cache, contact('3'));
    assert_eq!(served(&cache, contact('3')), HistoryPart::ALL);
}

#[test]
fn entry_of_another_contact_is_dropped_and_never_served() {
    let (cache, _) = cache();
    let part = HistoryPart::Purchases;
    let (mine, other) = (
        (contact('1'), part),
        entry(&cache, contact('2'), part, cache.begin()),
    );
    cache.histories.forge(mine, &other);
    assert!(cache.history(contact('1'), part).is_none());
    assert_eq!(cache.counts().histories, 0);
}

#[test]
fn history_too_old_for_anything_is_swept() {
    let (cache, clock) = cache();
    store_all(&cache, contact('1'));
    // Its lifetime and its stale windows, and the time for which it is still reported as stale.
    clock.advance(MINUTE * 6);
    cache.maintain();
    assert_eq!(cache.counts().histories, 3);
    clock.advance(MINUTE * 2);
    cache.maintain();
    assert_eq!(cache.counts().histories, 0);
}

#[test]
fn heavy_entry_is_not_cached_and_drops_the_cached_one() {
    let (cache, _) = cache();
    let part = HistoryPart::PointTransactions;
    let key = (contact('1'), part);
    store(&cache, contact('1'), part, cache.begin());
    // A thirty-second of a mebibyte is for history, an eighth of that for one entry.
    let heavy = cache.history_entry(key, cache.begin(), list(10, 500));
    cache.store_history(&Arc::new(heavy));
    assert_eq!(cache.counts().histories, 0);
}

#[test]
fn burst_of_histories_stays_near_its_share() {
    let (cache, _) = cache();
    let share = cache.max_bytes() / HISTORY_SHARE;
    for number in 0..1000_u32 {
        let key = (numbered(number), HistoryPart::PointTransactions);
        let entry = cache.history_entry(key, cache.begin(), list(4, 300));
        cache.store_history(&Arc::new(entry));
        let weighed = cache.histories.weighed_now();
        assert!(weighed <= share + share / 4, "{weighed} of {share}");
    }
    assert!(cache.counts().history_bytes <= share);
}

#[test]
fn history_weighs_its_data_and_what_holds_it() {
    let (cache, _) = cache();
    let entry = entry(&cache, contact('1'), HistoryPart::Purchases, cache.begin());
    cache.store_history(&entry);
    let place = size_of::<(ContactId, HistoryPart)>() + size_of::<HistoryEntry>();
    let expected = ENTRY_OVERHEAD + place + entry.data.heap_bytes();
    assert_eq!(cache.counts().history_bytes, expected as u64);
}

#[test]
fn history_requested_after_a_contact_was_missing_stays() {
    let (cache, _) = cache();
    let missing = cache.begin();
    store_all(&cache, contact('1'));
    cache.drop_record(contact('1'), missing);
    assert_eq!(served(&cache, contact('1')), HistoryPart::ALL);
}
