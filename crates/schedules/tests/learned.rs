//! Races of aliases that are learned from profiles: with one another, with purges and with negative entries.

use std::{sync::Arc, time::Duration};

use engage_bff::{
    clock::{Clock, ManualClock},
    domain::{
        ContactId, ContactType, Digester, FieldValue, Identifier, IdentifierKind, IdentifierRules,
        Lookup, Part, PartMap, PartSet, Profile, UniqueKinds,
    },
};
use jiff::{Timestamp, civil::date};
use schedules::cache::{
    Answer, Bounds, Cache, FetchStart, IsPurged, PartData,
    freshness::{FetchSource, Policy},
    parts::Origins,
};
use shuttle::{Config, Runner, rand::Rng, scheduler::RandomScheduler, thread};

/// How many orders each race is tried under.
const SCHEDULES: usize = 3_000;
/// About as many steps as a store takes.
const MAX_PAUSE: usize = 100;

struct NothingRendered;

impl Answer for NothingRendered {
    fn made_ready(&self) {}

    fn bytes(&self) -> usize {
        0
    }
}

type TestCache = Cache<NothingRendered, &'static str>;

/// A cache that learns e-mail addresses.
fn cache() -> Arc<TestCache> {
    let minute = Duration::from_secs(60);
    let policy = Policy {
        lifetimes: PartMap::splat(minute),
        stale_while_revalidate: minute,
        stale_if_error: minute,
        stale_if_slow: Duration::from_millis(300),
        negative_lifetime: minute,
        history_lifetime: minute,
        overview_lag: minute,
        overview_parts: PartSet::ALL,
        feed: None,
    };
    let bounds = Bounds {
        max_bytes: 1 << 20,
        longest_flight: minute,
    };
    let clock = Clock::from(ManualClock::new(Timestamp::UNIX_EPOCH));
    let mut cache = Cache::new(policy, bounds, clock);
    cache.learn_aliases(UniqueKinds::new([IdentifierKind::Email], None));
    Arc::new(cache)
}

fn contact(last: char) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0{last}")).expect("an id")
}

fn member() -> ContactType {
    ContactType::parse("Member").expect("a type")
}

fn by_email() -> Lookup {
    let rules = IdentifierRules {
        phone_region: "SE".parse().expect("a country"),
        check_digits: true,
        national_id_country: None,
    };
    let (kind, today) = (IdentifierKind::Email, date(2026, 11, 23));
    let email = Identifier::parse(kind, "alva.testsson@example.com", &rules, today);
    let digester = Digester::with_key(b"test");
    Lookup::new(email.expect("an address"), Some(member()), &digester)
}

/// Stores a profile with the address.
fn store(cache: &TestCache, id: ContactId, start: FetchStart) {
    let mut profile = Profile::default();
    let Identifier::Email(email) = by_email().identifier else {
        unreachable!("an address");
    };
    profile.identity.contact_type = FieldValue::One(member());
    profile.identity.aliases.email = FieldValue::One(email);
    let data = PartData::Profile(Box::new(profile.into()));
    cache.store_parts(id, cache.part_of_entity(start, data), None);
}

fn explore(race: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    // zstd needs more than the usual 32 KiB.
    config.stack_size = 256 << 10;
    Runner::new(RandomScheduler::new(SCHEDULES), config).run(race);
}

/// Lets the other threads run for a while of random length.
fn pause() {
    let steps = shuttle::rand::thread_rng().gen_range(0..MAX_PAUSE);
    (0..steps).for_each(|_| thread::yield_now());
}

#[test]
fn value_that_two_contacts_show_at_once_is_a_conflict() {
    explore(|| {
        let cache = cache();
        let stores = ['1', '2'].map(|last| {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                pause();
                store(&cache, contact(last), cache.begin());
            })
        });
        for store in stores {
            store.join().expect("the store ends");
        }
        assert!(cache.alias(by_email().key()).is_none());
        assert_eq!(cache.conflicts(), [(IdentifierKind::Email, 1)]);
    });
}

#[test]
fn purge_by_identifier_ends_what_is_just_being_learned() {
    explore(|| {
        let cache = cache();
        let flight = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || store(&cache, contact('1'), cache.begin()))
        };
        let before = cache.begin();
        let has_address: IsPurged = Arc::new(|identity, _| !identity.aliases.email.is_absent());
        pause();
        cache.purge_where(&has_address);
        cache.purge_alias(by_email().key());
        let is_old = |cache: &TestCache| {
            let alias = cache.alias(by_email().key());
            let record = cache.record(contact('1'));
            let profile = record.and_then(|record| record.provenance(Part::Profile));
            let found = alias.map(|alias| alias.provenance).into_iter();
            found
                .chain(profile)
                .any(|found| found.sequence < before.sequence)
        };
        assert!(!is_old(&cache));
        flight.join().expect("the flight ends");
        assert!(!is_old(&cache));
    });
}

#[test]
fn sweep_after_a_purge_of_the_contact_leaves_nothing_that_was_learned_before() {
    explore(|| {
        let cache = cache();
        let flight = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || store(&cache, contact('1'), cache.begin()))
        };
        let before = cache.begin();
        pause();
        cache.purge(contact('1'));
        let is_old = |cache: &TestCache| {
            let alias = cache.alias(by_email().key());
            alias.is_some_and(|alias| alias.provenance.sequence < before.sequence)
        };
        assert!(!is_old(&cache));
        cache.sweep_pending_purges();
        assert!(!is_old(&cache));
        flight.join().expect("the flight ends");
        assert!(!is_old(&cache));
    });
}

#[test]
fn older_profile_is_not_believed_after_a_later_negative_entry() {
    explore(|| {
        let cache = cache();
        let (early, late) = (cache.begin(), cache.begin());
        let flight = {
            let cache = Arc::clone(&cache);
            thread::spawn(move || {
                pause();
                store(&cache, contact('1'), early);
            })
        };
        pause();
        let key = by_email();
        cache.store_negative(key.key(), late, FetchSource::Overview, "unknown");
        assert!(cache.alias(key.key()).is_none());
        flight.join().expect("the flight ends");
        assert!(cache.alias(key.key()).is_none());
    });
}
