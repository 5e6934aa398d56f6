//! What the cache keeps and drops.

mod bounds;
mod failures;
mod flights;
mod history;
mod learned;
mod maintenance;
mod purges;
mod records;
mod shared;

use jiff::{Timestamp, civil::date};

use super::{freshness::Freshness, *};
use crate::{
    clock::ManualClock,
    domain::{
        Digester, FieldValue, Identifier, IdentifierKind, IdentifierRules, Lookup, PartMap, Points,
        Profile,
    },
};

const MINUTE: Duration = Duration::from_secs(60);

/// A rendered response of this many bytes.
struct Rendered(usize);

impl Answer for Rendered {
    fn made_ready(&self) {}

    fn bytes(&self) -> usize {
        self.0
    }
}

impl Reason for &'static str {
    fn heap_bytes(&self) -> usize {
        0
    }
}

type TestCache = Cache<Rendered, &'static str>;

fn cache() -> (TestCache, ManualClock) {
    let policy = Policy {
        lifetimes: PartMap::splat(MINUTE),
        history_lifetime: MINUTE,
        stale_while_revalidate: MINUTE,
        stale_if_error: MINUTE,
        stale_if_slow: Duration::from_millis(300),
        negative_lifetime: MINUTE / 2,
        overview_lag: MINUTE,
        overview_parts: PartSet::ALL,
        feed: None,
    };
    let bounds = Bounds {
        max_bytes: 1 << 20,
        longest_flight: MINUTE,
    };
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    (
        Cache::new(policy, bounds, Clock::from(clock.clone())),
        clock,
    )
}

pub(super) fn contact(last: char) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0{last}")).expect("an id")
}

pub(super) fn numbered(number: u32) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c3{number:08x}")).expect("an id")
}

pub(super) fn email(text: &str) -> Lookup {
    let rules = IdentifierRules {
        phone_region: "SE".parse().expect("a country"),
        check_digits: true,
        national_id_country: None,
    };
    let email = Identifier::parse(IdentifierKind::Email, text, &rules, date(2026, 11, 23));
    Lookup::new(
        email.expect("an address"),
        None,
        &Digester::with_key(b"test"),
    )
}

/// Stores a part that an entity endpoint returned.
fn store_part(cache: &TestCache, id: ContactId, start: FetchStart, data: PartData) -> Parts {
    cache.store_parts(id, cache.part_of_entity(start, data), None)
}

/// A profile that shows the key.
fn keyed_profile(key: &str) -> Profile {
    let mut profile = Profile::default();
    profile.identity.aliases.custom_keys[0] = FieldValue::One(key.into());
    profile
}

/// Whether a contact is purged: its profile shows the key, or it was requested by that text.
fn purge_of(key: &str) -> IsPurged {
    let key = key.to_owned();
    Arc::new(move |identity, requested| {
        let by = requested.map(Identifier::expose);
        let shows = identity.aliases.custom_keys[0].readings();
        shows.iter().any(|shown| **shown == *key) || by.as_deref() == Some(&*key)
    })
}

fn points() -> PartData {
    PartData::Points(Points::default().into())
}

/// A profile whose size in bytes hardly shrinks when it is compressed.
fn large_profile(bytes: usize) -> PartData {
    let profile = Profile {
        first_name: Some(noise(bytes).into()),
        ..Profile::default()
    };
    PartData::Profile(Box::new(profile.into()))
}

/// Stores a profile that was requested now.
fn store_profile(cache: &TestCache, id: ContactId) -> FetchStart {
    let start = cache.begin();
    store_part(cache, id, start, PartData::Profile(Box::default()));
    start
}

fn store_alias(cache: &TestCache, alias: &Lookup, id: ContactId) {
    let start = cache.begin();
    assert!(cache.store_alias(alias.key(), id, start, FetchSource::Overview, true));
}

/// Keeps a response of this many bytes that was rendered from the record.
fn keep(cache: &TestCache, record: &Record<Rendered>, bytes: usize) {
    cache.keep_rendered(record, &Arc::new(Rendered(bytes)), |_| false);
}

/// Text that can't be compressed to less than three quarters.
fn noise(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.alphanumeric())
        .take(bytes)
        .collect()
}

fn rendered(cache: &TestCache, id: ContactId) -> Vec<usize> {
    let record = cache.record(id).expect("a record");
    record.rendered().map(|answer| answer.0).collect()
}

#[test]
fn purge_ends_the_aliases_of_the_contact_and_no_others() {
    let (cache, _) = cache();
    let (alva, dora) = (email("alva@example.com"), email("dora@example.com"));
    store_alias(&cache, &alva, contact('1'));
    store_alias(&cache, &dora, contact('2'));
    cache.purge(contact('1'));
    assert!(cache.alias(alva.key()).is_none());
    assert_eq!(
        cache.alias(dora.key()).map(|alias| alias.id),
        Some(contact('2'))
    );
}

#[test]
fn sweep_removes_aliases_of_purged_contacts_and_no_others() {
    let (cache, _) = cache();
    let (alva, dora) = (email("alva@example.com"), email("dora@example.com"));
    store_alias(&cache, &alva, contact('1'));
    store_alias(&cache, &dora, contact('2'));
    assert!(!cache.has_pending_purges());
    cache.purge(contact('1'));
    assert_eq!(cache.counts().aliases, 2);
    assert!(cache.has_pending_purges());
    cache.sweep_pending_purges();
    assert!(!cache.has_pending_purges());
    assert_eq!(cache.counts().aliases, 1);
    assert!(cache.alias(dora.key()).is_some());
}

#[test]
fn sweep_keeps_an_alias_stored_after_the_purge() {
    let (cache, _) = cache();
    let alva = email("alva@example.com");
    store_alias(&cache, &alva, contact('1'));
    cache.purge(contact('1'));
    store_alias(&cache, &alva, contact('1'));
    cache.sweep_pending_purges();
    assert!(cache.alias(alva.key()).is_some());
}

#[test]
fn later_call_about_an_alias_outlasts_an_earlier_one() {
    let (cache, _) = cache();
    let alias = email("alva@example.com");
    let leads_to = || cache.alias(alias.key()).map(|alias| alias.id);
    let early = cache.begin();
    store_alias(&cache, &alias, contact('2'));
    assert!(cache.store_alias(
        alias.key(),
        contact('1'),
        early,
        FetchSource::Overview,
        true
    ));
    assert_eq!(leads_to(), Some(contact('2')));
    cache.store_negative(alias.key(), early, FetchSource::Overview, "unknown");
    assert_eq!(leads_to(), Some(contact('2')));
    cache.store_negative(alias.key(), cache.begin(), FetchSource::Overview, "unknown");
    assert_eq!(leads_to(), None);
}

#[test]
fn stored_alias_ends_its_negative_entry_unless_overtaken() {
    let (cache, _) = cache();
    let alias = email("alva@example.com");
    let refusal = || cache.negative(alias.key(), cache.clock.tick());
    let early = cache.begin();
    cache.drop_alias(alias.key());
    cache.store_negative(alias.key(), cache.begin(), FetchSource::Overview, "unknown");
    assert!(!cache.store_alias(alias.key(), contact('1'), early, FetchSource::Entity, true));
    assert_eq!(refusal(), Some("unknown"));
    let start = cache.begin();
    assert!(cache.store_alias(alias.key(), contact('1'), start, FetchSource::Entity, true));
    assert_eq!(refusal(), None);
}

#[test]
fn confirmed_alias_lives_as_long_as_a_profile() {
    let (cache, _) = cache();
    let alias = email("alva@example.com");
    let held = || cache.alias(alias.key()).expect("an alias");
    let start = cache.begin();
    let freshness_at = |age: Duration| held().freshness(start.now.tick + age, &cache.policy);
    assert!(cache.store_alias(
        alias.key(),
        contact('1'),
        start,
        FetchSource::Overview,
        false
    ));
    assert_eq!(freshness_at(MINUTE / 4), Freshness::Fresh);
    assert_eq!(freshness_at(MINUTE / 2), Freshness::Dead);
    cache.confirm_alias(alias.key(), &held(), true);
    assert_eq!(freshness_at(MINUTE / 2), Freshness::Fresh);
    assert_eq!(freshness_at(MINUTE), Freshness::Stale);
    cache.confirm_alias(alias.key(), &held(), false);
    assert_eq!(freshness_at(MINUTE / 2), Freshness::Dead);
}

#[test]
fn profile_noted_with_an_alias_lasts_until_the_alias_is_stored_again() {
    let (cache, _) = cache();
    let alias = email("alva@example.com");
    let held = || cache.alias(alias.key()).expect("an alias");
    store_alias(&cache, &alias, contact('1'));
    let profile = store_profile(&cache, contact('1')).sequence;
    let first = held();
    assert_ne!(first.seen_in, profile);
    cache.note_seen(alias.key(), &first, profile);
    assert_eq!(held().seen_in, profile);
    store_alias(&cache, &alias, contact('2'));
    assert_ne!(held().seen_in, profile);
    cache.note_seen(alias.key(), &first, profile);
    assert_ne!(held().seen_in, profile);
}

#[test]
fn missing_contact_is_dropped_unless_a_later_call_found_it() {
    let (cache, _) = cache();
    let id = contact('1');
    let before = cache.begin();
    store_profile(&cache, id);
    cache.drop_record(id, before);
    assert!(cache.record(id).is_some());
    let after = cache.begin();
    cache.drop_record(id, after);
    assert!(cache.record(id).is_none());
}

#[test]
fn counts_cover_records_aliases_and_negatives() {
    let (cache, _) = cache();
    store_profile(&cache, contact('1'));
    store_profile(&cache, contact('2'));
    store_alias(&cache, &email("alva@example.com"), contact('1'));
    let unknown = email("unknown@example.com");
    cache.store_negative(
        unknown.key(),
        cache.begin(),
        FetchSource::Overview,
        "unknown",
    );
    let counts = cache.counts();
    assert_eq!(
        (counts.records, counts.aliases, counts.negatives),
        (2, 1, 1)
    );
}

#[test]
fn purge_of_everything_leaves_nothing_in_memory() {
    let (cache, _) = cache();
    let (alva, unknown) = (email("alva@example.com"), email("unknown@example.com"));
    store_profile(&cache, contact('1'));
    store_alias(&cache, &alva, contact('1'));
    let start = cache.begin();
    cache.store_negative(unknown.key(), start, FetchSource::Overview, "unknown");
    cache.note_failure(&CallKey::Overview(contact('1')), start, None, "slow");
    let full = cache.counts();
    assert_eq!(
        (full.records, full.aliases, full.negatives, full.failures),
        (1, 1, 1, 1)
    );
    cache.purge_everything();
    let left = cache.counts();
    assert_eq!(
        (left.records, left.aliases, left.negatives, left.failures),
        (0, 0, 0, 0)
    );
}

#[test]
fn debug_output_of_compressed_parts_shows_no_data() {
    let (cache, _) = cache();
    let profile = Profile {
        first_name: Some("Alva".into()),
        ..Profile::default()
    };
    let data = PartData::Profile(Box::new(profile.into()));
    store_part(&cache, contact('1'), cache.begin(), data);
    let record = cache.record(contact('1')).expect("a record");
    let shown = format!("{record:?}", record = record.compressed());
    assert_eq!(shown, "Compressed(…)");
}
