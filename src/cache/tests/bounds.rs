//! How much is kept, and which entries are evicted when there is more.

use std::collections::VecDeque;

use super::{
    super::size::{ALIAS_SHARE, FAILURE_SHARE, NEGATIVE_SHARE, RECORD_SHARE},
    *,
};

/// Stores a profile that takes a kilobyte and more however it is compressed.
fn store_heavy(cache: &TestCache, number: u32) -> Parts {
    let mut random = fastrand::Rng::with_seed(number.into());
    let name: String = std::iter::repeat_with(|| random.alphanumeric())
        .take(1500)
        .collect();
    let profile = Profile {
        first_name: Some(name.into()),
        ..Profile::default()
    };
    let data = PartData::Profile(Box::new(profile.into()));
    store_part(cache, numbered(number), cache.begin(), data)
}

/// What a request does to the cache: looks a contact up, stores it, renders it.
fn fetch(cache: &TestCache, number: u32) {
    let id = numbered(number);
    if cache.record(id).is_none() {
        store_heavy(cache, number);
    }
    if let Some(record) = cache.record(id)
        && record.rendered().len() == 0
    {
        keep(cache, &record, 4000);
    }
}

fn sized(max_bytes: u64) -> TestCache {
    sized_with(max_bytes)
}

fn sized_with<E: Reason + Clone + Send + Sync + 'static>(max_bytes: u64) -> Cache<Rendered, E> {
    let (small, clock) = cache();
    let bounds = Bounds {
        max_bytes,
        longest_flight: MINUTE,
    };
    Cache::new(small.policy, bounds, Clock::from(clock))
}

#[test]
fn burst_of_records_stays_within_a_tenth_above_the_size() {
    let max = 8 << 20;
    let cache = Arc::new(sized(max));
    // What may be served at any moment, evicted or not yet: moka's own count lags behind.
    let served = |cache: &TestCache| -> u64 {
        let records = cache.records.iter();
        records.map(|(_, record)| u64::from(weight(&record))).sum()
    };
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let cache = Arc::clone(&cache);
            std::thread::spawn(move || {
                for number in 0..2000 {
                    fetch(&cache, writer * 10_000 + number);
                }
            })
        })
        .collect();
    let mut most = 0;
    while !writers.iter().all(std::thread::JoinHandle::is_finished) {
        most = most.max(served(&cache));
    }
    for writer in writers {
        writer.join().expect("it writes");
    }
    assert!(most > max / 2, "{most} of {max}");
    assert!(most <= max + max / 10, "{most} of {max}");
    let counted = cache.counts().record_bytes;
    assert!(counted <= max, "{counted} of {max}");
}

/// How many contacts as [`request`] stores them fit into a cache of [`FIT_BYTES`].
const FIT: u32 = 1000;
const FIT_BYTES: u64 = 7 << 19;

/// Requests a contact, and stores and renders it if it is not cached. Returns whether it was cached.
fn request(cache: &TestCache, number: u32) -> bool {
    let id = numbered(number);
    let is_cached = cache.record(id).is_some();
    if !is_cached {
        store_heavy(cache, number);
        if let Some(record) = cache.record(id) {
            keep(cache, &record, 1000);
        }
    }
    is_cached
}

/// Fills the cache with 100 contacts and others, then scans ten times as many contacts as fit; during the scan, each of
/// the 100 is read once per [`FIT`] scanned contacts. `request` says whether the contact was cached. Returns how many
/// in a hundred of these reads were hits.
fn hits_during_a_scan(mut request: impl FnMut(u32) -> bool) -> u32 {
    for number in 0..2 * FIT {
        request(100_000 + number);
        request(number % 100);
    }
    let (mut reads, mut hits) = (0, 0);
    for number in 0..10 * FIT {
        request(200_000 + number);
        if number % (FIT / 100) == 0 {
            reads += 1;
            hits += u32::from(request(number / (FIT / 100) % 100));
        }
    }
    hits * 100 / reads
}

#[test]
fn scan_over_all_contacts_keeps_nearly_all_in_use() {
    let cache = sized(FIT_BYTES);
    let hits = hits_during_a_scan(|number| request(&cache, number));
    let count = cache.counts().records;
    assert!(
        (u64::from(FIT) * 8 / 10..u64::from(FIT) * 12 / 10).contains(&count),
        "{count}"
    );
    assert!(hits >= 95, "{hits} % hits");
    // The control: where the least recently used is evicted, the same requests miss.
    let mut lru = VecDeque::new();
    let hits = hits_during_a_scan(|number| {
        let place = lru.iter().position(|cached| *cached == number);
        if let Some(place) = place {
            lru.remove(place);
        }
        lru.push_back(number);
        if lru.len() > FIT as usize {
            lru.pop_front();
        }
        place.is_some()
    });
    assert!(hits <= 25, "{hits} % hits");
}

#[test]
fn contacts_that_come_into_use_replace_those_of_before() {
    let cache = sized(FIT_BYTES);
    for _ in 0..20 {
        for number in 0..FIT {
            request(&cache, number);
        }
    }
    let in_use = FIT / 2;
    let mut hits = 0;
    for _ in 0..20 {
        let others = 100_000..100_000 + in_use;
        hits = others.filter(|number| request(&cache, *number)).count();
    }
    assert!(hits >= in_use as usize * 95 / 100, "{hits} of {in_use}");
}

#[test]
fn refused_record_is_still_returned_to_its_callers() {
    let cache = sized(1 << 20);
    for number in 0..200 {
        for _ in 0..5 {
            fetch(&cache, number);
        }
    }
    cache.counts();
    let mut refused = 0;
    for number in 1000..1300 {
        let id = numbered(number);
        let taken = store_heavy(&cache, number);
        assert!(taken.profile.is_some());
        cache.counts();
        refused += usize::from(cache.record(id).is_none());
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn three_aliases_of_every_contact_fit_into_two_kibibytes_each() {
    // Enough contacts that the shards of the index differ little in size.
    let contacts = 40_000;
    let cache = sized(contacts * 2048);
    let alias = |number: u64, domain: u64| email(&format!("alva.{number}@{domain}.example.com"));
    for number in 0..contacts {
        for domain in 0..3 {
            let id = numbered(u32::try_from(number).expect("few"));
            store_alias(&cache, &alias(number, domain), id);
        }
    }
    let mut left = 0;
    for number in 0..contacts {
        for domain in 0..3 {
            left += u64::from(cache.alias(alias(number, domain).key()).is_some());
        }
    }
    assert_eq!(left, 3 * contacts);
}

#[test]
fn aliases_in_use_outlast_a_flood_of_others() {
    let cache = sized(1 << 20);
    let alias = |number: u32| email(&format!("alva.{number}@example.com"));
    let request = |number| {
        let is_cached = cache.alias(alias(number).key()).is_some();
        if !is_cached {
            store_alias(&cache, &alias(number), numbered(number));
        }
        is_cached
    };
    let hits = hits_during_a_scan(request);
    assert!(hits >= 95, "{hits} % hits");
    let bytes = cache.counts().aliases * AliasIndex::ENTRY_BYTES as u64;
    // The number of entries is rounded up for each shard of the index.
    assert!(
        bytes <= cache.max_bytes() / ALIAS_SHARE * 102 / 100,
        "{bytes}"
    );
}

#[test]
fn records_without_room_are_counted_as_evicted() {
    let cache = sized(4 << 20);
    let stored = 3000;
    for number in 0..stored {
        store_heavy(&cache, number);
    }
    let kept = cache.counts().records;
    let evicted = cache.evictions();
    assert!(evicted.size > 0);
    assert_eq!(kept + evicted.size, u64::from(stored));
    assert_eq!(evicted.expired, 0);
}

#[test]
fn records_too_old_for_anything_are_counted_as_expired() {
    let (cache, clock) = cache();
    for number in 0..3 {
        store_heavy(&cache, number);
    }
    cache.invalidate(numbered(2), PartSet::ALL);
    assert_eq!(cache.evictions(), EvictionCounts::default());
    clock.advance(MINUTE * 60 * 48);
    cache.maintain();
    assert_eq!(cache.counts().records, 0);
    let expired = EvictionCounts {
        size: 0,
        expired: 2,
    };
    assert_eq!(cache.evictions(), expired);
}

/// A reason that takes this many bytes on the heap.
#[derive(Clone)]
struct Lengthy(usize);

impl Reason for Lengthy {
    fn heap_bytes(&self) -> usize {
        self.0
    }
}

#[test]
fn long_identifiers_and_reasons_take_no_more_than_their_share() {
    let cache: Cache<Rendered, Lengthy> = sized_with(1 << 20);
    // An address may have 254 bytes.
    let labels = format!("{label}.{label}.{label}", label = "x".repeat(60));
    let lookup = |number: u32| email(&format!("{number}@{labels}.example.com"));
    let reason = 1000;
    for number in 0..500 {
        let (key, start) = (lookup(number).key().clone(), cache.begin());
        cache.store_negative(&key, start, FetchSource::Entity, Lengthy(reason));
        cache.note_failure(&CallKey::Resolution(key), start, None, Lengthy(0));
    }
    let key = lookup(0).key().heap_bytes();
    assert!(key > 190, "{key}");
    let counts = cache.counts();
    for (count, heap, share) in [
        (counts.negatives, key + reason, NEGATIVE_SHARE),
        (counts.failures, key, FAILURE_SHARE),
    ] {
        let bytes = count * (ENTRY_OVERHEAD + heap) as u64;
        assert!(
            bytes > 0 && bytes <= cache.max_bytes() / share,
            "{bytes} bytes"
        );
    }
}

#[test]
fn record_of_a_mebibyte_is_cached_although_its_share_is_smaller() {
    let cache = sized(32 << 20);
    store_part(&cache, numbered(1), cache.begin(), large_profile(1 << 20));
    let record = cache.record(numbered(1)).expect("a record");
    let share = cache.records_max_bytes() / RECORD_SHARE;
    assert!(share > cache.max_bytes() / RECORD_SHARE / 2);
    assert!(u64::from(weight(&record)) > share);
}
