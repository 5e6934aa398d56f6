//! Races of aliases that are learned from profiles: with one another, with purges and with negative entries.

use std::sync::Arc;

use engage_bff::domain::{
    ContactId, ContactType, Digester, FieldValue, Identifier, IdentifierKind, IdentifierRules,
    Lookup, Part, Profile, UniqueKinds,
};
use jiff::civil::date;
use schedules::{
    cache::{FetchStart, IsPurged, PartData, freshness::FetchSource, parts::Origins},
    setup::{self, TestCache, contact},
};
use shuttle::thread;

/// The number of thread orders under which each race runs.
const SCHEDULES: usize = 3_000;
/// About the number of steps that a store takes.
const MAX_PAUSE: usize = 100;

/// A cache that learns e-mail addresses.
fn cache() -> Arc<TestCache> {
    let mut cache = setup::cache_at(setup::clock());
    cache.learn_aliases(UniqueKinds::new([IdentifierKind::Email], None));
    Arc::new(cache)
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
    setup::explore(SCHEDULES, race);
}

fn pause() {
    setup::pause(MAX_PAUSE);
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
fn purge_by_identifier_ends_an_alias_that_is_just_being_learned() {
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
            let profile = record
                .as_ref()
                .and_then(|record| record.provenance(Part::Profile));
            let found = alias.iter().map(|alias| &alias.provenance);
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
fn sweep_after_a_purge_removes_earlier_learned_aliases() {
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
fn older_profile_does_not_override_a_later_negative_entry() {
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
