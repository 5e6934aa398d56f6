//! What is learned from profiles, decided by provenance, fences and what is cached.

use super::{
    FetchSource::{Entity, Overview},
    *,
};
use crate::domain::{ContactType, FieldValue, UniqueKinds};

const LAG: Duration = MINUTE;

/// A cache for which e-mail addresses are unique.
fn cache_that_learns() -> (TestCache, ManualClock) {
    let (mut cache, clock) = cache();
    cache.learn_aliases(UniqueKinds::new([IdentifierKind::Email], None));
    (cache, clock)
}

/// A look-up by an address of a member.
fn of_member(address: &str) -> Lookup {
    let member = ContactType::parse("Member");
    let identifier = email(address).identifier;
    Lookup::new(identifier, member, &Digester::with_key(b"test"))
}

fn profile(address: &str) -> Profile {
    let Identifier::Email(email) = email(address).identifier else {
        unreachable!("an address");
    };
    let mut profile = Profile::default();
    let member = ContactType::parse("Member").expect("a type");
    profile.identity.contact_type = FieldValue::One(member);
    profile.identity.aliases.email = FieldValue::One(email);
    profile
}

/// Stores a profile that was requested at `start`, from the overview or its entity endpoint.
fn store(cache: &TestCache, id: ContactId, start: FetchStart, source: FetchSource, address: &str) {
    cache.store_parts(
        id,
        parts_of(address, provenance(start, MINUTE, source)),
        None,
    );
}

fn parts_of(address: &str, provenance: freshness::Provenance) -> Parts {
    Parts {
        profile: Some(parts::Entry {
            data: Arc::new(profile(address)),
            provenance,
            incomplete: false,
        }),
        ..Parts::default()
    }
}

fn leads_to(cache: &TestCache, address: &str) -> Option<ContactId> {
    cache.alias(of_member(address).key()).map(|alias| alias.id)
}

const A: &str = "a@example.com";
const B: &str = "b@example.com";

#[test]
fn learned_alias_has_the_provenance_of_its_profile() {
    let (cache, clock) = cache_that_learns();
    let start = cache.begin();
    clock.advance(MINUTE / 2);
    store(&cache, contact('1'), start, Overview, A);
    let alias = cache.alias(of_member(A).key()).expect("an alias");
    let record = cache.record(contact('1')).expect("a record");
    assert_eq!(Some(&alias.provenance), record.provenance(Part::Profile));
    assert_eq!(alias.seen_in, start.sequence);
    assert!(alias.is_learned && alias.confirmed);
    // Without a contact type it is another look-up.
    assert!(cache.alias(email(A).key()).is_none());
}

#[test]
fn no_alias_is_learned_from_a_profile_that_is_not_stored() {
    let (cache, _) = cache_that_learns();
    let (early, late) = (cache.begin(), cache.begin());
    store(&cache, contact('1'), late, Overview, B);
    store(&cache, contact('1'), early, Overview, A);
    assert_eq!(leads_to(&cache, A), None);
    assert_eq!(leads_to(&cache, B), Some(contact('1')));
    // An alias is not learned either from a profile that an invalidation has overtaken.
    let start = cache.begin();
    cache.invalidate(contact('2'), Part::Profile.into());
    store(&cache, contact('2'), start, Entity, A);
    let start = cache.begin();
    cache.purge(contact('3'));
    store(&cache, contact('3'), start, Entity, A);
    cache.switch(false);
    store(&cache, contact('4'), cache.begin(), Entity, A);
    cache.switch(true);
    assert_eq!(leads_to(&cache, A), None);
}

#[test]
fn older_profile_does_not_take_an_alias_from_a_newer_one() {
    for source in [Overview, Entity] {
        let (cache, _) = cache_that_learns();
        let (early, late) = (cache.begin(), cache.begin());
        store_alias_at(&cache, contact('2'), late, source);
        store(&cache, contact('1'), early, source, A);
        assert_eq!(leads_to(&cache, A), Some(contact('2')));
        // A newer alias is not replaced by an older one, either.
        let newest = cache.begin();
        store(&cache, contact('2'), newest, source, A);
        assert_eq!(learned_at(&cache), Some(newest.sequence));
        store_alias_at(&cache, contact('2'), late, source);
        assert_eq!(learned_at(&cache), Some(newest.sequence));
    }
}

fn store_alias_at(cache: &TestCache, id: ContactId, start: FetchStart, source: FetchSource) {
    cache.store_alias(of_member(A).key(), id, start, source, true);
}

fn learned_at(cache: &TestCache) -> Option<Sequence> {
    let alias = cache.alias(of_member(A).key())?;
    Some(alias.provenance.sequence)
}

#[test]
fn newer_profile_takes_an_alias_of_a_contact_that_is_not_cached() {
    let (cache, _) = cache_that_learns();
    store_alias_at(&cache, contact('1'), cache.begin(), Overview);
    store(&cache, contact('2'), cache.begin(), Overview, A);
    assert_eq!(leads_to(&cache, A), Some(contact('2')));
    // It also takes the alias of a cached contact whose profile now shows another value.
    store(&cache, contact('2'), cache.begin(), Overview, B);
    store(&cache, contact('3'), cache.begin(), Overview, A);
    assert_eq!(leads_to(&cache, A), Some(contact('3')));
    assert_eq!(cache.conflicts(), [(IdentifierKind::Email, 0)]);
}

#[test]
fn value_of_two_cached_contacts_is_learned_again_after_the_lag() {
    let (cache, clock) = cache_that_learns();
    store(&cache, contact('1'), cache.begin(), Overview, A);
    store(&cache, contact('2'), cache.begin(), Overview, A);
    assert_eq!(leads_to(&cache, A), None);
    for (id, source) in [('1', Overview), ('2', Entity), ('1', Entity)] {
        store(&cache, contact(id), cache.begin(), source, A);
        assert_eq!(leads_to(&cache, A), None);
    }
    assert_eq!(cache.conflicts(), [(IdentifierKind::Email, 1)]);
    clock.advance(LAG);
    store(&cache, contact('1'), cache.begin(), Entity, A);
    assert_eq!(leads_to(&cache, A), Some(contact('1')));
}

#[test]
fn dead_profile_does_not_conflict() {
    let (cache, clock) = cache_that_learns();
    store(&cache, contact('1'), cache.begin(), Overview, A);
    clock.advance(2 * MINUTE);
    store(&cache, contact('2'), cache.begin(), Overview, A);
    assert_eq!(leads_to(&cache, A), Some(contact('2')));
    assert_eq!(cache.conflicts(), [(IdentifierKind::Email, 0)]);
}

#[test]
fn overview_within_the_lag_puts_a_resolved_alias_in_doubt() {
    let (cache, clock) = cache_that_learns();
    let key = of_member(A);
    store_alias_at(&cache, contact('1'), cache.begin(), Entity);
    clock.advance(LAG / 2);
    store(&cache, contact('2'), cache.begin(), Overview, A);
    assert_eq!(leads_to(&cache, A), None);
    let now = cache.begin().now.tick;
    assert!(cache.fences.alias_is_entity_only(key.key(), now));
}

#[test]
fn only_an_entity_profile_puts_a_resolution_within_the_lag_in_doubt() {
    for (source, stays) in [(Overview, true), (Entity, false)] {
        let (cache, _) = cache_that_learns();
        cache.drop_alias(of_member(A).key());
        store_alias_at(&cache, contact('1'), cache.begin(), Entity);
        store(&cache, contact('2'), cache.begin(), source, A);
        assert_eq!(leads_to(&cache, A).is_some(), stays, "{source:?}");
    }
}

#[test]
fn later_negative_entry_keeps_an_alias_from_being_learned() {
    let (cache, _) = cache_that_learns();
    let key = of_member(A);
    let (early, late) = (cache.begin(), cache.begin());
    cache.store_negative(key.key(), late, Overview, "unknown");
    store(&cache, contact('1'), early, Overview, A);
    assert_eq!(leads_to(&cache, A), None);
    store(&cache, contact('1'), cache.begin(), Overview, A);
    assert_eq!(leads_to(&cache, A), Some(contact('1')));
    assert!(cache.negative(key.key(), late.now.tick).is_none());
    // A negative entry drops an older alias, and not a newer one.
    cache.store_negative(key.key(), late, Overview, "unknown");
    assert_eq!(leads_to(&cache, A), Some(contact('1')));
    cache.store_negative(key.key(), cache.begin(), Overview, "unknown");
    assert_eq!(leads_to(&cache, A), None);
}

#[test]
fn learned_alias_ends_with_a_purge_of_its_contact_and_of_its_value() {
    let (cache, _) = cache_that_learns();
    store(&cache, contact('1'), cache.begin(), Overview, A);
    cache.purge(contact('1'));
    assert_eq!(leads_to(&cache, A), None);
    store(&cache, contact('1'), cache.begin(), Entity, A);
    assert_eq!(leads_to(&cache, A), Some(contact('1')));
    cache.purge_alias(of_member(A).key());
    assert_eq!(leads_to(&cache, A), None);
    assert!(cache.record(contact('1')).is_none());
    store(&cache, contact('1'), cache.begin(), Entity, A);
    assert_eq!(leads_to(&cache, A), None);
}

#[test]
fn aliases_are_learned_from_data_of_another_replica_too() {
    let (cache, clock) = cache_that_learns();
    let requested = cache.begin();
    clock.advance(MINUTE / 4);
    let read = cache.begin();
    let provenance = freshness::Provenance {
        requested_at: requested.now.tick,
        is_shared: true,
        ..provenance(read, MINUTE, Overview)
    };
    let parts = parts_of(A, provenance);
    cache.store_shared_parts(contact('1'), parts.clone(), &PartMap::default(), None);
    let alias = cache.alias(of_member(A).key()).expect("an alias");
    assert_eq!(alias.provenance.requested_at, requested.now.tick);
    // What this replica found out since is newer.
    cache.store_negative(of_member(A).key(), read, Overview, "unknown");
    cache.store_shared_parts(contact('1'), parts, &PartMap::default(), None);
    assert_eq!(leads_to(&cache, A), None);
}

#[test]
fn no_alias_is_learned_from_a_profile_too_large_to_be_cached() {
    let (cache, _) = cache_that_learns();
    let large = Profile {
        first_name: Some(noise(2 << 20).into()),
        ..profile(A)
    };
    let data = PartData::Profile(Box::new(large.into()));
    store_part(&cache, contact('1'), cache.begin(), data);
    assert_eq!(leads_to(&cache, A), None);
}
