//! The races that the cache was designed against, each under many orders of its threads: data fetched before an invalidation,
//! a purge or a dropped alias is never seen after it, and flights share what they may share and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_bff::{
    clock::{Clock, ManualClock, Tick},
    domain::{
        Claim, ContactId, Decimal, Demand, Digester, Flow, Identifier, IdentifierKind,
        IdentifierRules, Lookup, Overview, Part, PartSet, PointAccount, Points, Priority, Profile,
        Requester,
    },
};
use jiff::{Timestamp, civil::date};
use schedules::{
    cache::{
        FetchStart, IsPurged, PartData,
        feed::{Delivery, Feed},
        fence::{Fences, Sequence},
        flight::{Flights, Joined, Pace},
        freshness::FetchSource,
        parts::{Origins, Parts},
    },
    setup::{self, TestCache, cache_at, clock, contact},
};
use shuttle::{future, thread};

/// The number of thread orders under which each race runs.
const SCHEDULES: usize = 10_000;

/// About the number of steps that a store takes.
const MAX_PAUSE: usize = 100;

fn cache() -> Arc<TestCache> {
    Arc::new(cache_at(clock()))
}

fn alva() -> ContactId {
    contact('1')
}

fn by_email() -> Lookup {
    let rules = IdentifierRules {
        phone_region: "SE".parse().expect("a country"),
        check_digits: true,
        national_id_country: None,
    };
    let today = date(2026, 11, 23);
    let email = Identifier::parse(
        IdentifierKind::Email,
        "alva.testsson@example.com",
        &rules,
        today,
    );
    Lookup::new(
        email.expect("an address"),
        None,
        &Digester::with_key(b"test"),
    )
}

/// The points that Engage returns, with `balance` at the time of the request.
fn points(balance: usize) -> Points {
    Points {
        accounts: vec![PointAccount {
            definition_id: None,
            name: None,
            balance: Decimal::from(balance),
            pending: None,
            expires_on: None,
        }],
    }
}

fn overview(balance: usize) -> Overview {
    Overview {
        id: alva(),
        profile: Profile::default().into(),
        audiences: None,
        promotions: None,
        vouchers: None,
        points: Some(points(balance).into()),
    }
}

fn cached_balance(cache: &TestCache) -> Option<Decimal> {
    let record = cache.record(alva())?;
    Some(record.parts()?.points?.data.accounts[0].balance)
}

/// Fetches the balance as a flight does: the request begins, then Engage reads its data.
fn fetch(cache: &TestCache, world: &shuttle::sync::atomic::AtomicUsize) -> (FetchStart, usize) {
    let start = cache.begin();
    (start, world.load(Ordering::SeqCst))
}

fn explore(race: impl Fn() + Send + Sync + 'static) {
    setup::explore(SCHEDULES, race);
}

fn pause() {
    setup::pause(MAX_PAUSE);
}

#[test]
fn entity_data_requested_before_an_invalidation_is_never_seen_after_it() {
    explore(|| {
        let cache = cache();
        let world = Arc::new(shuttle::sync::atomic::AtomicUsize::new(1));
        let flights: Vec<_> = (0..2)
            .map(|_| {
                let (cache, world) = (Arc::clone(&cache), Arc::clone(&world));
                thread::spawn(move || {
                    let (start, balance) = fetch(&cache, &world);
                    store_part(
                        &cache,
                        alva(),
                        start,
                        PartData::Points(points(balance).into()),
                    );
                })
            })
            .collect();
        pause();
        world.store(2, Ordering::SeqCst);
        cache.invalidate(alva(), Part::Points.into());
        // The invalidation is acknowledged: from here on 1 is never served, whatever is in flight.
        for _ in 0..3 {
            assert_ne!(cached_balance(&cache), Some(Decimal::ONE));
            thread::yield_now();
        }
        for flight in flights {
            flight.join().expect("the flight ends");
        }
        assert_ne!(cached_balance(&cache), Some(Decimal::ONE));
    });
}

#[test]
fn overview_that_lags_behind_an_invalidation_is_never_seen() {
    explore(|| {
        let cache = cache();
        let flight = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                let start = cache.begin();
                // Engage's own cached copy, which is old whenever it is requested.
                store_overview(&cache, &Lookup::by_id(alva()), start, overview(1));
            })
        };
        pause();
        cache.invalidate(alva(), Part::Points.into());
        assert_ne!(cached_balance(&cache), Some(Decimal::ONE));
        flight.join().expect("the flight ends");
        assert_ne!(cached_balance(&cache), Some(Decimal::ONE));
    });
}

#[test]
fn overview_never_replaces_newer_entity_data() {
    explore(|| {
        let cache = cache();
        let lagging = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                let start = cache.begin();
                store_overview(&cache, &Lookup::by_id(alva()), start, overview(1));
            })
        };
        pause();
        let start = cache.begin();
        store_part(&cache, alva(), start, PartData::Points(points(2).into()));
        assert_eq!(cached_balance(&cache), Some(Decimal::TWO));
        lagging.join().expect("the flight ends");
        assert_eq!(cached_balance(&cache), Some(Decimal::TWO));
    });
}

#[test]
fn purge_by_alias_reaches_a_contact_that_a_flight_is_just_finding() {
    explore(|| {
        let cache = cache();
        let asked = by_email();
        let flight = {
            let (cache, asked) = (Arc::clone(&cache), asked.clone());
            thread::spawn(move || {
                let start = cache.begin();
                let key = asked.key();
                if cache.store_alias(key, alva(), start, FetchSource::Overview, true) {
                    store_overview(&cache, &asked, start, overview(1));
                }
            })
        };
        let before = cache.begin();
        pause();
        cache.purge_alias(asked.key());
        let seen = |cache: &TestCache| {
            let record = cache.record(alva());
            record.is_some_and(|record| record.sequence(Part::Profile) < before.sequence)
        };
        assert!(!seen(&cache));
        flight.join().expect("the flight ends");
        assert!(!seen(&cache));
        let alias = cache.alias(asked.key());
        assert!(alias.is_none_or(|alias| alias.provenance.sequence > before.sequence));
    });
}

#[test]
fn purge_by_identifier_reaches_contacts_that_are_just_being_stored() {
    explore(|| {
        let cache = cache();
        let flights = [Part::Profile, Part::Points].map(|part| {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                let start = cache.begin();
                let kept = store_part(
                    &cache,
                    alva(),
                    start,
                    match part {
                        Part::Profile => PartData::Profile(Box::default()),
                        _ => PartData::Points(points(1).into()),
                    },
                );
                (start, kept.provenance(part).is_some())
            })
        });
        let before = cache.begin();
        let every_contact: IsPurged = Arc::new(|_, _| true);
        pause();
        cache.purge_where(&every_contact);
        let after = cache.begin();
        let seen = |cache: &TestCache| {
            let record = cache.record(alva());
            record.is_some_and(|record| {
                let old = |sequence| sequence > Sequence::default() && sequence < before.sequence;
                old(record.sequence(Part::Profile)) || old(record.sequence(Part::Points))
            })
        };
        assert!(!seen(&cache));
        for flight in flights {
            let (start, is_handed_over) = flight.join().expect("the flight ends");
            assert!(!seen(&cache));
            // A flight that begins later keeps its data.
            assert!(start.sequence < after.sequence || is_handed_over);
        }
    });
}

#[test]
fn data_requested_before_a_purge_of_everything_is_never_seen() {
    explore(|| {
        let cache = cache();
        let asked = by_email();
        let flight = {
            let (cache, asked) = (Arc::clone(&cache), asked.clone());
            thread::spawn(move || {
                let start = cache.begin();
                cache.store_alias(asked.key(), alva(), start, FetchSource::Overview, true);
                store_overview(&cache, &asked, start, overview(1));
                cache.store_negative(
                    Lookup::by_id(alva()).key(),
                    start,
                    FetchSource::Overview,
                    "unknown",
                );
            })
        };
        let before = cache.begin();
        pause();
        cache.purge_everything();
        let old = |sequence| sequence < before.sequence;
        let clean = |cache: &TestCache| {
            let record = cache.record(alva());
            let alias = cache.alias(asked.key());
            !record.is_some_and(|record| old(record.sequence(Part::Profile)))
                && !alias.is_some_and(|alias| old(alias.provenance.sequence))
        };
        assert!(clean(&cache));
        flight.join().expect("the flight ends");
        assert!(clean(&cache));
    });
}

#[test]
fn negative_entry_requested_before_a_creation_is_never_served_after_it() {
    explore(|| {
        let cache = cache();
        let asked = by_email();
        let exists = Arc::new(shuttle::sync::atomic::AtomicUsize::new(0));
        let flight = {
            let (cache, asked, exists) = (Arc::clone(&cache), asked.clone(), Arc::clone(&exists));
            thread::spawn(move || {
                let (start, exists) = fetch(&cache, &exists);
                if exists == 0 {
                    cache.store_negative(asked.key(), start, FetchSource::Overview, "unknown");
                }
            })
        };
        pause();
        exists.store(1, Ordering::SeqCst);
        cache.drop_negatives();
        let served = |cache: &TestCache| cache.negative(asked.key(), clock().now().tick);
        assert_eq!(served(&cache), None);
        flight.join().expect("the flight ends");
        assert_eq!(served(&cache), None);
    });
}

#[test]
fn flight_does_not_bring_back_a_dropped_alias() {
    explore(|| {
        let cache = cache();
        let asked = by_email();
        let flight = {
            let (cache, asked) = (Arc::clone(&cache), asked.clone());
            thread::spawn(move || {
                let start = cache.begin();
                cache.store_alias(asked.key(), alva(), start, FetchSource::Overview, true);
            })
        };
        pause();
        cache.drop_alias(asked.key());
        assert!(cache.alias(asked.key()).is_none());
        flight.join().expect("the flight ends");
        assert!(cache.alias(asked.key()).is_none());
    });
}

#[test]
fn alias_of_a_purged_contact_is_not_brought_back_after_its_sweep() {
    explore(|| {
        let cache = cache();
        let asked = by_email();
        let flight = {
            let (cache, asked) = (Arc::clone(&cache), asked.clone());
            thread::spawn(move || {
                let start = cache.begin();
                cache.store_alias(asked.key(), alva(), start, FetchSource::Overview, true);
                if let Some(alias) = cache.alias(asked.key()) {
                    cache.note_seen(asked.key(), &alias, start.sequence);
                }
            })
        };
        let before = cache.begin();
        pause();
        cache.purge(alva());
        let old = |cache: &TestCache| {
            let alias = cache.alias(asked.key());
            alias.is_some_and(|alias| alias.provenance.sequence < before.sequence)
        };
        assert!(!old(&cache));
        cache.sweep_pending_purges();
        assert!(!old(&cache));
        flight.join().expect("the flight ends");
        assert!(!old(&cache));
    });
}

/// A pace without delays: the clock stands still.
const PACE: Pace = Pace {
    in_a_row: 100,
    spacing: Duration::from_millis(50),
};

/// Stores a response of an entity endpoint.
fn store_part(cache: &TestCache, id: ContactId, start: FetchStart, data: PartData) -> Parts {
    cache.store_parts(id, cache.part_of_entity(start, data), None)
}

/// Stores a response of the overview.
fn store_overview(
    cache: &TestCache,
    asked: &Lookup,
    start: FetchStart,
    overview: Overview,
) -> Parts {
    let (id, parts) = (overview.id, cache.parts_of_overview(start, overview));
    cache.store_parts(id, parts, Some(asked))
}

fn claim() -> Claim {
    Claim {
        requester: Requester {
            flow: Flow::from("shop"),
            priority: Priority::Miss,
        },
        demand: Demand {
            needed: PartSet::EMPTY,
            max_age: Demand::ANY_AGE,
        },
        trace: None,
    }
}

/// A flight that returns its number, and fails the test if another one runs at the same time.
fn counted(
    flights: &Flights<u8, usize>,
    fences: &Arc<Fences>,
    not_before: schedules::cache::fence::Sequence,
    begun: &Arc<AtomicUsize>,
    running: &Arc<AtomicUsize>,
) -> schedules::cache::flight::FlightHandle<usize> {
    let (fences, begun, running) = (Arc::clone(fences), Arc::clone(begun), Arc::clone(running));
    flights
        .join(7, not_before, claim(), move |flight| async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            flight.begin(fences.sequence(), clock().now().tick);
            let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
            future::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            number
        })
        .expect("room for a flight")
}

#[test]
fn fresh_callers_share_one_waiting_flight_and_never_an_earlier_one() {
    explore(|| {
        let fences = Arc::new(Fences::new(Duration::ZERO, Duration::ZERO, 16));
        let flights = Arc::new(Flights::new(clock(), Duration::from_secs(2), PACE, 100));
        let (begun, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (flights, fences) = (Arc::clone(&flights), Arc::clone(&fences));
                let (begun, running) = (Arc::clone(&begun), Arc::clone(&running));
                future::spawn(async move {
                    let started_before_arrival = begun.load(Ordering::SeqCst);
                    let arrival = fences.sequence();
                    let handle = counted(&flights, &fences, arrival, &begun, &running);
                    let number = handle.outcome().await.expect("the flight lands");
                    assert!(
                        number > started_before_arrival,
                        "flight {number} had begun before"
                    );
                })
            })
            .collect();
        future::block_on(async {
            for caller in callers {
                caller.await.expect("the caller is answered");
            }
        });
        assert!(begun.load(Ordering::SeqCst) <= 3);
        assert_eq!(flights.in_flight(), 0);
    });
}

#[test]
fn plain_callers_share_one_flight_and_one_may_leave() {
    explore(|| {
        let fences = Arc::new(Fences::new(Duration::ZERO, Duration::ZERO, 16));
        let flights = Arc::new(Flights::new(clock(), Duration::from_secs(2), PACE, 100));
        let begun = Arc::new(AtomicUsize::new(0));
        let anything = schedules::cache::fence::Sequence::default();
        let all_joined = Arc::new(AtomicUsize::new(0));
        let join = || {
            let (fences, begun) = (Arc::clone(&fences), Arc::clone(&begun));
            let all_joined = Arc::clone(&all_joined);
            let call = move |flight: schedules::cache::flight::FlightStart<usize>| async move {
                flight.begin(fences.sequence(), clock().now().tick);
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                while all_joined.load(Ordering::SeqCst) == 0 {
                    future::yield_now().await;
                }
                number
            };
            flights
                .join(7, anything, claim(), call)
                .expect("room for a flight")
        };
        let first = join();
        assert_eq!(first.joined, Joined::Started);
        let others = [join(), join()];
        drop(first);
        assert_eq!(flights.in_flight(), 1);
        all_joined.store(1, Ordering::SeqCst);
        future::block_on(async {
            for handle in others {
                assert_eq!(handle.joined, Joined::Collapsed);
                assert_eq!(handle.outcome().await, Ok(1));
            }
        });
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn sweep_keeps_a_record_that_is_stored_during_it() {
    explore(|| {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Arc::new(cache_at(Clock::from(manual.clone())));
        let store = |cache: &TestCache, balance| {
            store_overview(
                cache,
                &Lookup::by_id(alva()),
                cache.begin(),
                overview(balance),
            );
        };
        store(&cache, 1);
        // Long enough for a sweep to remove the record.
        manual.advance(Duration::from_secs(3600));
        let storing = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || store(&cache, 2))
        };
        cache.sweep();
        storing.join().expect("the store ends");
        assert_eq!(cached_balance(&cache), Some(Decimal::TWO));
    });
}

#[test]
fn parts_other_than_the_invalidated_one_stay() {
    explore(|| {
        let cache = cache();
        let start = cache.begin();
        store_overview(&cache, &Lookup::by_id(alva()), start, overview(1));
        let racing = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || cache.invalidate(alva(), Part::Points.into()))
        };
        pause();
        cache.invalidate(alva(), Part::Vouchers.into());
        racing.join().expect("the invalidation ends");
        let record = cache.record(alva()).expect("the record stays");
        assert_eq!(record.present(), PartSet::from(Part::Profile));
    });
}

#[test]
fn data_from_before_a_gap_is_never_trusted_again() {
    let at = |second: u64| Tick::default() + Duration::from_secs(second);
    let fallback = Duration::from_secs(1);
    explore(move || {
        let feed = Arc::new(Feed::new(Some(Duration::from_secs(100)), true, fallback));
        feed.note_caught_up(at(0));
        feed.note(at(0), Delivery::Received);
        assert_eq!(feed.longest_lifetime(at(1), at(1)), Duration::MAX);
        // Webhooks are in doubt from 100 on, the stream even earlier; at 200 both sources report again.
        let webhooks = {
            let feed = Arc::clone(&feed);
            thread::spawn(move || feed.note(at(200), Delivery::Received))
        };
        let stream = {
            let feed = Arc::clone(&feed);
            thread::spawn(move || feed.note_caught_up(at(200)))
        };
        for _ in 0..3 {
            assert_eq!(feed.longest_lifetime(at(50), at(201)), fallback);
            thread::yield_now();
        }
        webhooks.join().expect("the delivery is noted");
        stream.join().expect("the stream is noted");
        assert_eq!(feed.longest_lifetime(at(50), at(201)), fallback);
        assert_eq!(feed.longest_lifetime(at(201), at(201)), Duration::MAX);
        // Two seconds after it last caught up, the stream alone ends the trust.
        assert_eq!(feed.longest_lifetime(at(201), at(202)), fallback);
    });
}
