//! The races that the cache was designed against, each under many orders of its threads: what was
//! fetched before an invalidation, a purge or a dropped name is never seen after it, and flights share
//! what they may share and nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_bff::{
    clock::{Clock, ManualClock},
    domain::{
        ContactId, Decimal, Digester, Flow, Identifier, IdentifierKind, IdentifierRules, Lookup,
        Overview, Part, PartMap, PartSet, PointAccount, Points, Priority, Profile, Requester,
    },
};
use jiff::{Timestamp, civil::date};
use schedules::cache::{
    Answer, Bounds, Cache, FetchStart, IsPurged, PartData, Weigh,
    fence::{Fences, Sequence},
    flight::{Flights, Joined, Pace},
    freshness::{FetchSource, Policy},
    parts::Origins,
};
use serde::{Deserialize, Serialize};
use shuttle::{future, thread};

/// How many orders each race is tried under.
const SCHEDULES: usize = 10_000;

#[derive(Serialize, Deserialize)]
struct NothingRendered;

impl Answer for NothingRendered {
    fn made_ready(&self) {}
}

impl Weigh for NothingRendered {
    fn bytes(&self) -> usize {
        0
    }
}

type Pantry = Cache<NothingRendered, &'static str>;

fn clock() -> Clock {
    Clock::from(ManualClock::new(Timestamp::UNIX_EPOCH))
}

fn pantry() -> Arc<Pantry> {
    let minute = Duration::from_secs(60);
    let policy = Policy {
        lifetimes: PartMap::splat(minute),
        stale_while_revalidate: minute,
        stale_if_error: minute,
        stale_if_slow: Duration::from_millis(300),
        negative_lifetime: minute,
        overview_lag: minute,
        overview_parts: PartSet::ALL,
        feed: None,
    };
    let bounds = Bounds {
        max_bytes: 1 << 20,
        longest_flight: minute,
    };
    Arc::new(Cache::new(policy, bounds, clock()))
}

fn alva() -> ContactId {
    ContactId::parse("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01").expect("an id")
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

/// What Engage would tell, `balance` at the time of asking.
fn points(balance: usize) -> Points {
    Points {
        accounts: vec![PointAccount {
            definition_id: None,
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

fn held_balance(pantry: &Pantry) -> Option<Decimal> {
    let record = pantry.record(alva())?;
    Some(record.parts()?.points.as_ref()?.data.accounts[0].balance)
}

/// Asks the world for the balance as a flight does: the request begins, then Engage looks.
fn ask(pantry: &Pantry, world: &shuttle::sync::atomic::AtomicUsize) -> (FetchStart, usize) {
    let start = pantry.begin();
    (start, world.load(Ordering::SeqCst))
}

fn explore(race: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(race, SCHEDULES);
}

#[test]
fn an_entity_answer_asked_for_before_an_invalidation_is_never_seen_after_it() {
    explore(|| {
        let pantry = pantry();
        let world = Arc::new(shuttle::sync::atomic::AtomicUsize::new(1));
        let flights: Vec<_> = (0..2)
            .map(|_| {
                let (pantry, world) = (Arc::clone(&pantry), Arc::clone(&world));
                thread::spawn(move || {
                    let (start, balance) = ask(&pantry, &world);
                    pantry.store_part(alva(), start, PartData::Points(points(balance).into()));
                })
            })
            .collect();
        world.store(2, Ordering::SeqCst);
        pantry.invalidate(alva(), Part::Points.into());
        // Acknowledged: from here on nobody sees 1, whatever is in the air.
        for _ in 0..3 {
            assert_ne!(held_balance(&pantry), Some(Decimal::ONE));
            thread::yield_now();
        }
        for flight in flights {
            flight.join().expect("the flight ends");
        }
        assert_ne!(held_balance(&pantry), Some(Decimal::ONE));
    });
}

#[test]
fn an_overview_is_never_seen_after_an_invalidation_though_asked_for_later() {
    explore(|| {
        let pantry = pantry();
        let flight = {
            let pantry = Arc::clone(&pantry);
            thread::spawn(move || {
                let start = pantry.begin();
                // Engage's own cached copy: old whenever it is asked.
                pantry.store_overview(&Lookup::by_id(alva()), start, overview(1));
            })
        };
        pantry.invalidate(alva(), Part::Points.into());
        assert_ne!(held_balance(&pantry), Some(Decimal::ONE));
        flight.join().expect("the flight ends");
        assert_ne!(held_balance(&pantry), Some(Decimal::ONE));
    });
}

#[test]
fn an_overview_never_stands_over_what_the_entity_endpoint_told() {
    explore(|| {
        let pantry = pantry();
        let lagging = {
            let pantry = Arc::clone(&pantry);
            thread::spawn(move || {
                let start = pantry.begin();
                pantry.store_overview(&Lookup::by_id(alva()), start, overview(1));
            })
        };
        let start = pantry.begin();
        pantry.store_part(alva(), start, PartData::Points(points(2).into()));
        assert_eq!(held_balance(&pantry), Some(Decimal::TWO));
        lagging.join().expect("the flight ends");
        assert_eq!(held_balance(&pantry), Some(Decimal::TWO));
    });
}

#[test]
fn a_purge_by_a_name_reaches_the_contact_that_a_flight_is_only_just_learning() {
    explore(|| {
        let pantry = pantry();
        let asked = by_email();
        let flight = {
            let (pantry, asked) = (Arc::clone(&pantry), asked.clone());
            thread::spawn(move || {
                let start = pantry.begin();
                let key = asked.key();
                if pantry.store_alias(key, alva(), start, FetchSource::Overview, true) {
                    pantry.store_overview(&asked, start, overview(1));
                }
            })
        };
        let before = pantry.begin();
        pantry.purge_alias(asked.key());
        let seen = |pantry: &Pantry| {
            let record = pantry.record(alva());
            record.is_some_and(|record| record.sequence(Part::Profile) < before.sequence)
        };
        assert!(!seen(&pantry));
        flight.join().expect("the flight ends");
        assert!(!seen(&pantry));
        let alias = pantry.alias(asked.key());
        assert!(alias.is_none_or(|alias| alias.provenance.sequence > before.sequence));
    });
}

#[test]
fn a_purge_by_identifier_reaches_every_contact_that_is_only_just_stored() {
    explore(|| {
        let pantry = pantry();
        let flights = [Part::Profile, Part::Points].map(|part| {
            let pantry = Arc::clone(&pantry);
            thread::spawn(move || {
                let start = pantry.begin();
                let kept = pantry.store_part(
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
        let before = pantry.begin();
        let everyone: IsPurged = Arc::new(|_, _| true);
        pantry.purge_where(&everyone);
        let after = pantry.begin();
        let seen = |pantry: &Pantry| {
            let record = pantry.record(alva());
            record.is_some_and(|record| {
                let old = |sequence| sequence > Sequence::default() && sequence < before.sequence;
                old(record.sequence(Part::Profile)) || old(record.sequence(Part::Points))
            })
        };
        assert!(!seen(&pantry));
        for flight in flights {
            let (start, is_handed_over) = flight.join().expect("the flight ends");
            assert!(!seen(&pantry));
            // What begins later is kept.
            assert!(start.sequence < after.sequence || is_handed_over);
        }
    });
}

#[test]
fn nothing_asked_for_before_everything_was_purged_is_seen_after_it() {
    explore(|| {
        let pantry = pantry();
        let asked = by_email();
        let flight = {
            let (pantry, asked) = (Arc::clone(&pantry), asked.clone());
            thread::spawn(move || {
                let start = pantry.begin();
                pantry.store_alias(asked.key(), alva(), start, FetchSource::Overview, true);
                pantry.store_overview(&asked, start, overview(1));
                pantry.store_negative(
                    Lookup::by_id(alva()).key(),
                    start,
                    FetchSource::Overview,
                    "nobody",
                );
            })
        };
        let before = pantry.begin();
        pantry.purge_everything();
        let old = |sequence| sequence < before.sequence;
        let clean = |pantry: &Pantry| {
            let record = pantry.record(alva());
            let alias = pantry.alias(asked.key());
            !record.is_some_and(|record| old(record.sequence(Part::Profile)))
                && !alias.is_some_and(|alias| old(alias.provenance.sequence))
        };
        assert!(clean(&pantry));
        flight.join().expect("the flight ends");
        assert!(clean(&pantry));
    });
}

#[test]
fn a_nobody_asked_for_before_somebody_was_created_is_never_told_after_it() {
    explore(|| {
        let pantry = pantry();
        let asked = by_email();
        let exists = Arc::new(shuttle::sync::atomic::AtomicUsize::new(0));
        let flight = {
            let (pantry, asked, exists) = (Arc::clone(&pantry), asked.clone(), Arc::clone(&exists));
            thread::spawn(move || {
                let (start, exists) = ask(&pantry, &exists);
                if exists == 0 {
                    pantry.store_negative(asked.key(), start, FetchSource::Overview, "nobody");
                }
            })
        };
        exists.store(1, Ordering::SeqCst);
        pantry.drop_negatives();
        let told = |pantry: &Pantry| pantry.negative(asked.key(), clock().now().tick);
        assert_eq!(told(&pantry), None);
        flight.join().expect("the flight ends");
        assert_eq!(told(&pantry), None);
    });
}

#[test]
fn a_dropped_name_is_not_brought_back_by_a_flight_that_was_in_the_air() {
    explore(|| {
        let pantry = pantry();
        let asked = by_email();
        let flight = {
            let (pantry, asked) = (Arc::clone(&pantry), asked.clone());
            thread::spawn(move || {
                let start = pantry.begin();
                pantry.store_alias(asked.key(), alva(), start, FetchSource::Overview, true);
            })
        };
        pantry.drop_alias(asked.key());
        assert!(pantry.alias(asked.key()).is_none());
        flight.join().expect("the flight ends");
        assert!(pantry.alias(asked.key()).is_none());
    });
}

/// One that holds up nothing: the clock stands still.
const PACE: Pace = Pace {
    in_a_row: 100,
    spacing: Duration::from_millis(50),
};

fn claim() -> Requester {
    Requester {
        flow: Flow::from("shop"),
        priority: Priority::Miss,
    }
}

/// A flight that notes how many fly at once.
fn counted(
    flights: &Flights<u8, usize>,
    fences: &Arc<Fences>,
    not_before: schedules::cache::fence::Sequence,
    begun_count: &Arc<AtomicUsize>,
    running: &Arc<AtomicUsize>,
) -> schedules::cache::flight::FlightHandle<usize> {
    let (fences, begun_count, running) = (
        Arc::clone(fences),
        Arc::clone(begun_count),
        Arc::clone(running),
    );
    flights
        .join(7, not_before, claim(), move |flight| async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            flight.begin(fences.sequence(), clock().now().tick);
            let number = begun_count.fetch_add(1, Ordering::SeqCst) + 1;
            future::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
            number
        })
        .expect("room for a flight")
}

#[test]
fn fresh_callers_share_one_waiting_flight_and_never_one_that_had_begun_before_they_came() {
    explore(|| {
        let fences = Arc::new(Fences::new(Duration::ZERO, Duration::ZERO, 16));
        let flights = Arc::new(Flights::new(clock(), Duration::from_secs(2), PACE, 100));
        let (start, running) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (flights, fences) = (Arc::clone(&flights), Arc::clone(&fences));
                let (start, running) = (Arc::clone(&start), Arc::clone(&running));
                future::spawn(async move {
                    let came_after = start.load(Ordering::SeqCst);
                    let arrival = fences.sequence();
                    let seat = counted(&flights, &fences, arrival, &start, &running);
                    let number = seat.outcome().await.expect("the flight lands");
                    assert!(number > came_after, "flight {number} had start before");
                })
            })
            .collect();
        future::block_on(async {
            for caller in callers {
                caller.await.expect("the caller is answered");
            }
        });
        assert!(start.load(Ordering::SeqCst) <= 3);
        assert_eq!(flights.in_flight(), 0);
    });
}

#[test]
fn callers_of_no_great_demands_share_one_flight_and_one_who_leaves_harms_nobody() {
    explore(|| {
        let fences = Arc::new(Fences::new(Duration::ZERO, Duration::ZERO, 16));
        let flights = Arc::new(Flights::new(clock(), Duration::from_secs(2), PACE, 100));
        let start = Arc::new(AtomicUsize::new(0));
        let anything = schedules::cache::fence::Sequence::default();
        let all_aboard = Arc::new(AtomicUsize::new(0));
        let join = || {
            let (fences, start) = (Arc::clone(&fences), Arc::clone(&start));
            let all_aboard = Arc::clone(&all_aboard);
            let call = move |flight: schedules::cache::flight::FlightStart<usize>| async move {
                flight.begin(fences.sequence(), clock().now().tick);
                let number = start.fetch_add(1, Ordering::SeqCst) + 1;
                while all_aboard.load(Ordering::SeqCst) == 0 {
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
        all_aboard.store(1, Ordering::SeqCst);
        future::block_on(async {
            for seat in others {
                assert_eq!(seat.joined, Joined::Collapsed);
                assert_eq!(seat.outcome().await, Ok(1));
            }
        });
        assert_eq!(start.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn parts_beside_the_invalidated_one_stay() {
    explore(|| {
        let pantry = pantry();
        let start = pantry.begin();
        pantry.store_overview(&Lookup::by_id(alva()), start, overview(1));
        let racing = {
            let pantry = Arc::clone(&pantry);
            thread::spawn(move || pantry.invalidate(alva(), Part::Points.into()))
        };
        pantry.invalidate(alva(), Part::Vouchers.into());
        racing.join().expect("the invalidation ends");
        let record = pantry.record(alva()).expect("the record stays");
        assert_eq!(record.held(), PartSet::from(Part::Profile));
    });
}
