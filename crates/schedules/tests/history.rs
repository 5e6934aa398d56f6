//! The races of a contact's history: an entry that was requested before an invalidation or a purge is neither served nor left
//! in the store after it, whichever of store and invalidation comes first.

use std::sync::{Arc, atomic::Ordering};

use engage_bff::domain::{ContactId, Decimal, History, HistoryPart, Part, Purchases};
use schedules::{
    cache::IsPurged,
    setup::{self, TestCache},
};
use shuttle::{sync::atomic::AtomicUsize, thread};

/// The number of thread orders under which each race runs.
const SCHEDULES: usize = 10_000;

/// About the number of steps that a store takes.
const MAX_PAUSE: usize = 60;

fn cache() -> Arc<TestCache> {
    Arc::new(setup::cache_at(setup::clock()))
}

fn alva() -> ContactId {
    setup::contact('1')
}

/// A summary of purchases with this number of articles.
fn purchases(articles: usize) -> History {
    let mut purchases = Purchases::default();
    purchases.all.articles = Some(Decimal::from(articles));
    History::Purchases(Some(Box::new(purchases)))
}

/// Fetches and stores the summary as a flight does: the request begins, then Engage reads its data.
fn fetch(cache: &TestCache, world: &AtomicUsize) {
    let start = cache.begin();
    let data = purchases(world.load(Ordering::SeqCst));
    let key = (alva(), HistoryPart::Purchases);
    let entry = Arc::new(cache.history_entry(key, start, data.into()));
    cache.store_history(&entry);
}

/// The summary that is served.
fn served(cache: &TestCache) -> Option<Decimal> {
    let entry = cache.history(alva(), HistoryPart::Purchases)?;
    match &entry.data {
        History::Purchases(purchases) => purchases.as_ref()?.all.articles,
        _ => unreachable!("no other part is stored"),
    }
}

/// Asserts that the old summary is gone: not served, and not left in the store for when the fence has expired.
#[track_caller]
fn assert_dropped(cache: &TestCache) {
    let served = served(cache);
    assert_ne!(served, Some(Decimal::ONE));
    let count = u64::from(served.is_some());
    assert_eq!(cache.counts().histories, count);
}

fn explore(invalidate: impl Fn(&TestCache) + Copy + Send + Sync + 'static) {
    setup::explore(SCHEDULES, move || {
        let cache = cache();
        let world = Arc::new(AtomicUsize::new(1));
        let flights: Vec<_> = (0..2)
            .map(|_| {
                let (cache, world) = (Arc::clone(&cache), Arc::clone(&world));
                thread::spawn(move || fetch(&cache, &world))
            })
            .collect();
        setup::pause(MAX_PAUSE);
        world.store(2, Ordering::SeqCst);
        invalidate(&cache);
        // The invalidation is acknowledged: from here on 1 is never served, whatever is in flight.
        for _ in 0..3 {
            assert_ne!(served(&cache), Some(Decimal::ONE));
            thread::yield_now();
        }
        for flight in flights {
            flight.join().expect("the flight ends");
        }
        assert_dropped(&cache);
    });
}

#[test]
fn history_requested_before_an_invalidation_is_dropped_by_it() {
    explore(|cache| cache.invalidate(alva(), Part::Profile.into()));
}

#[test]
fn history_requested_before_a_purge_of_its_contact_is_dropped_by_it() {
    explore(|cache| cache.purge(alva()));
}

#[test]
fn history_requested_before_a_purge_by_identifier_is_dropped_by_it() {
    explore(|cache| {
        // No profile shows which contact the history belongs to.
        let every_contact: IsPurged = Arc::new(|_, _| true);
        cache.purge_where(&every_contact);
    });
}
