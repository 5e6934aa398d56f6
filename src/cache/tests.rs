//! What the cache keeps and drops, without anybody asking over HTTP.

mod purges;
mod upkeep;

use std::sync::atomic::AtomicUsize;

use jiff::{Timestamp, civil::date};

use super::{
    flight::{FlightError, FlightHandle, Flights, Joined, Pace},
    freshness::Freshness,
    *,
};
use crate::{
    clock::{ManualClock, Tick},
    domain::{
        Audiences, Digester, Flow, Identifier, IdentifierKind, IdentifierRules, Lookup, PartMap,
        Points, Priority, Profile, Promotions, Requester, Vouchers,
    },
};

const MINUTE: Duration = Duration::from_secs(60);

/// A rendered answer of so many bytes.
#[derive(Serialize, serde::Deserialize)]
struct Rendered(usize);

impl Weigh for Rendered {
    fn bytes(&self) -> usize {
        self.0
    }
}

impl Answer for Rendered {
    fn made_ready(&self) {}
}

type Pantry = Cache<Rendered, &'static str>;

fn pantry() -> (Pantry, ManualClock) {
    let policy = Policy {
        lifetimes: PartMap::splat(MINUTE),
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

fn contact(last: char) -> ContactId {
    ContactId::parse(&format!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0{last}")).expect("an id")
}

fn email(text: &str) -> Lookup {
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

/// Stores a profile that was asked for now.
fn store_profile(pantry: &Pantry, id: ContactId) -> FetchStart {
    let start = pantry.begin();
    pantry.store_part(id, start, PartData::Profile(Box::default()));
    start
}

fn learn(pantry: &Pantry, alias: &Lookup, id: ContactId) {
    let start = pantry.begin();
    assert!(pantry.store_alias(alias.key(), id, start, FetchSource::Overview, true));
}

/// Keeps an answer of so many bytes that was rendered from the record.
fn keep(pantry: &Pantry, record: &Arc<Record<Rendered>>, bytes: usize) {
    let parts = record.parts().expect("parts");
    pantry.keep_rendered(record, &parts, &Arc::new(Rendered(bytes)), |_| false);
}

fn rendered(pantry: &Pantry, id: ContactId) -> Vec<usize> {
    let record = pantry.record(id).expect("a record");
    record.rendered().map(|answer| answer.0).collect()
}

#[test]
fn a_rendered_answer_is_kept_with_the_record_that_it_was_rendered_from_and_with_no_other() {
    let (pantry, _) = pantry();
    let id = contact('1');
    store_profile(&pantry, id);
    let old = pantry.record(id).expect("a record");
    keep(&pantry, &old, 1);
    assert_eq!(rendered(&pantry, id), [1]);
    store_profile(&pantry, id);
    assert!(rendered(&pantry, id).is_empty());
    keep(&pantry, &old, 2);
    assert!(rendered(&pantry, id).is_empty());
}

#[test]
fn a_rendered_answer_takes_the_place_of_its_like_or_of_the_oldest() {
    let (pantry, _) = pantry();
    let id = contact('1');
    store_profile(&pantry, id);
    let keep = |size, replaced| {
        let record = pantry.record(id).expect("a record");
        let parts = pantry.parts_of(&record).expect("parts");
        let answer = Arc::new(Rendered(size));
        pantry.keep_rendered(&record, &parts, &answer, |kept| kept.0 == replaced);
    };
    for size in 1..=8 {
        keep(size, 0);
    }
    assert_eq!(rendered(&pantry, id), [1, 2, 3, 4, 5, 6, 7, 8]);
    keep(9, 4);
    assert_eq!(rendered(&pantry, id), [1, 2, 3, 5, 6, 7, 8, 9]);
    keep(10, 0);
    assert_eq!(rendered(&pantry, id), [2, 3, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn an_answer_that_would_make_its_record_too_heavy_is_not_kept() {
    let (pantry, _) = pantry();
    let id = contact('1');
    store_profile(&pantry, id);
    let keep = |size| {
        let record = pantry.record(id).expect("a record");
        let parts = pantry.parts_of(&record).expect("parts");
        pantry.keep_rendered(&record, &parts, &Arc::new(Rendered(size)), |_| false);
    };
    keep(1000);
    keep(1 << 20);
    assert_eq!(rendered(&pantry, id), [1000]);
}

#[test]
fn parts_too_heavy_to_be_held_leave_nothing_of_the_old_record() {
    let (pantry, _) = pantry();
    let id = contact('1');
    store_profile(&pantry, id);
    let profile = Profile {
        first_name: Some("x".repeat(1 << 20).into()),
        ..Profile::default()
    };
    let start = pantry.begin();
    let data = PartData::Profile(Box::new(profile.into()));
    let taken = pantry.store_part(id, start, data);
    assert!(taken.profile.is_some());
    assert!(pantry.record(id).is_none());
}

#[test]
fn a_record_weighs_its_parts_and_its_rendered_answers() {
    let (pantry, _) = pantry();
    let id = contact('1');
    let overview = Overview {
        id,
        profile: Profile::default().into(),
        audiences: Some(Audiences::default().into()),
        promotions: Some(Promotions::default().into()),
        vouchers: Some(Vouchers::default().into()),
        points: Some(Points::default().into()),
    };
    let lookup = Lookup::by_id(id);
    pantry.store_overview(&lookup, pantry.begin(), overview);
    let parts = Profile::default().bytes()
        + Audiences::default().bytes()
        + Promotions::default().bytes()
        + Vouchers::default().bytes()
        + Points::default().bytes();
    let slot = Store::<ContactId, Held<Rendered>>::SLOT_BYTES;
    let expected = (slot + size_of::<Record<Rendered>>() + parts) as u64;
    assert_eq!(pantry.counts().record_bytes, expected);
    let record = pantry.record(id).expect("a record");
    keep(&pantry, &record, 1000);
    assert_eq!(pantry.counts().record_bytes, expected + 1000);
}

#[test]
fn a_purge_drops_the_names_that_led_to_the_contact_and_no_others() {
    let (pantry, _) = pantry();
    let (alva, dora) = (email("alva@example.com"), email("dora@example.com"));
    learn(&pantry, &alva, contact('1'));
    learn(&pantry, &dora, contact('2'));
    pantry.purge(contact('1'));
    assert!(pantry.alias(alva.key()).is_none());
    assert_eq!(
        pantry.alias(dora.key()).map(|alias| alias.id),
        Some(contact('2'))
    );
}

#[test]
fn the_names_of_who_was_purged_are_swept_out_and_no_others() {
    let (pantry, _) = pantry();
    let (alva, dora) = (email("alva@example.com"), email("dora@example.com"));
    learn(&pantry, &alva, contact('1'));
    learn(&pantry, &dora, contact('2'));
    pantry.purge(contact('1'));
    assert_eq!(pantry.counts().aliases, 2);
    pantry.sweep_pending_purges();
    assert_eq!(pantry.counts().aliases, 1);
    assert!(pantry.alias(dora.key()).is_some());
}

#[test]
fn a_name_that_was_learnt_after_the_purge_is_not_swept_out() {
    let (pantry, _) = pantry();
    let alva = email("alva@example.com");
    learn(&pantry, &alva, contact('1'));
    pantry.purge(contact('1'));
    learn(&pantry, &alva, contact('1'));
    pantry.sweep_pending_purges();
    assert!(pantry.alias(alva.key()).is_some());
}

#[test]
fn what_a_later_call_said_of_a_name_stands_against_an_earlier_one() {
    let (pantry, _) = pantry();
    let alias = email("alva@example.com");
    let leads_to = || pantry.alias(alias.key()).map(|alias| alias.id);
    let early = pantry.begin();
    learn(&pantry, &alias, contact('2'));
    assert!(pantry.store_alias(
        alias.key(),
        contact('1'),
        early,
        FetchSource::Overview,
        true
    ));
    assert_eq!(leads_to(), Some(contact('2')));
    pantry.store_negative(alias.key(), early, FetchSource::Overview, "nobody");
    assert_eq!(leads_to(), Some(contact('2')));
    pantry.store_negative(alias.key(), pantry.begin(), FetchSource::Overview, "nobody");
    assert_eq!(leads_to(), None);
}

#[test]
fn a_name_that_was_learnt_ends_its_negative_answer_and_one_overtaken_does_not() {
    let (pantry, clock) = pantry();
    let alias = email("alva@example.com");
    let refusal = || pantry.negative(alias.key(), Clock::from(clock.clone()).now().tick);
    let early = pantry.begin();
    pantry.drop_alias(alias.key());
    pantry.store_negative(alias.key(), pantry.begin(), FetchSource::Overview, "nobody");
    assert!(!pantry.store_alias(alias.key(), contact('1'), early, FetchSource::Entity, true));
    assert_eq!(refusal(), Some("nobody"));
    let start = pantry.begin();
    assert!(pantry.store_alias(alias.key(), contact('1'), start, FetchSource::Entity, true));
    assert_eq!(refusal(), None);
}

#[test]
fn a_name_serves_longer_once_the_contact_is_seen_to_bear_it_and_no_longer_otherwise() {
    let (pantry, _) = pantry();
    let alias = email("alva@example.com");
    let held = || pantry.alias(alias.key()).expect("a alias");
    let freshness_at = |age: Duration| held().freshness(Tick::default() + age, &pantry.policy);
    let start = pantry.begin();
    assert!(pantry.store_alias(
        alias.key(),
        contact('1'),
        start,
        FetchSource::Overview,
        false
    ));
    assert_eq!(freshness_at(MINUTE / 4), Freshness::Fresh);
    assert_eq!(freshness_at(MINUTE / 2), Freshness::Dead);
    pantry.confirm_alias(alias.key(), &held(), true);
    assert_eq!(freshness_at(MINUTE / 2), Freshness::Fresh);
    assert_eq!(freshness_at(MINUTE), Freshness::Stale);
    pantry.confirm_alias(alias.key(), &held(), false);
    assert_eq!(freshness_at(MINUTE / 2), Freshness::Dead);
}

#[test]
fn what_was_seen_of_a_name_holds_until_it_is_learnt_anew() {
    let (pantry, _) = pantry();
    let alias = email("alva@example.com");
    let held = || pantry.alias(alias.key()).expect("a alias");
    learn(&pantry, &alias, contact('1'));
    let profile = store_profile(&pantry, contact('1')).sequence;
    let first = held();
    assert_ne!(first.seen_in, profile);
    pantry.note_seen(alias.key(), &first, profile);
    assert_eq!(held().seen_in, profile);
    learn(&pantry, &alias, contact('2'));
    assert_ne!(held().seen_in, profile);
    pantry.note_seen(alias.key(), &first, profile);
    assert_ne!(held().seen_in, profile);
}

#[test]
fn who_is_told_to_be_gone_is_dropped_unless_a_later_call_told_them() {
    let (pantry, _) = pantry();
    let id = contact('1');
    let before = pantry.begin();
    store_profile(&pantry, id);
    pantry.drop_record(id, before.sequence);
    assert!(pantry.record(id).is_some());
    let after = pantry.begin();
    pantry.drop_record(id, after.sequence);
    assert!(pantry.record(id).is_none());
}

#[test]
fn counts_tell_what_is_held() {
    let (pantry, _) = pantry();
    store_profile(&pantry, contact('1'));
    store_profile(&pantry, contact('2'));
    learn(&pantry, &email("alva@example.com"), contact('1'));
    let nobody = email("nobody@example.com");
    pantry.store_negative(
        nobody.key(),
        pantry.begin(),
        FetchSource::Overview,
        "nobody",
    );
    let counts = pantry.counts();
    assert_eq!(
        (counts.records, counts.aliases, counts.negatives),
        (2, 1, 1)
    );
}

const PACE: Pace = Pace {
    in_a_row: 5,
    spacing: Duration::from_millis(50),
};

fn claim() -> Requester {
    Requester {
        flow: Flow::from("shop"),
        priority: Priority::Fresh,
    }
}

#[tokio::test]
async fn fresh_callers_of_one_key_share_a_call_in_fifty_milliseconds() {
    let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
    let clock = Clock::from(manual.clone());
    let fences = Arc::new(Fences::new(MINUTE, MINUTE, 16));
    let flights: Flights<u8, usize> = Flights::new(clock.clone(), MINUTE, PACE, 100);
    let start = Arc::new(AtomicUsize::new(0));
    let join = |not_before| {
        let (fences, start, clock) = (Arc::clone(&fences), Arc::clone(&start), clock.clone());
        let seat = flights.join(7, not_before, claim(), move |flight| async move {
            flight.begin(fences.sequence(), clock.tick());
            start.fetch_add(1, Ordering::SeqCst) + 1
        });
        seat.expect("a seat")
    };
    for number in 1..=5 {
        assert_eq!(join(fences.latest()).outcome().await, Ok(number));
    }
    for number in 6..10 {
        let seats: Vec<_> = (0..20).map(|_| join(fences.latest())).collect();
        let joined = |seat: &&FlightHandle<usize>| seat.joined == Joined::Collapsed;
        assert_eq!(seats.iter().filter(joined).count(), 19);
        manual.advance(Duration::from_millis(49));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(start.load(Ordering::SeqCst), number - 1, "too soon");
        manual.advance(Duration::from_millis(1));
        for seat in seats {
            assert_eq!(seat.outcome().await, Ok(number));
        }
    }
    // A caller whom the last call would have done is not held up.
    let plain = join(Sequence::default());
    assert_eq!(plain.joined, Joined::Started);
    assert_eq!(plain.outcome().await, Ok(10));
}

#[tokio::test]
async fn a_call_that_panics_is_lost_to_who_waits_and_makes_room_for_the_next() {
    let clock = Clock::from(ManualClock::new(Timestamp::UNIX_EPOCH));
    let flights: Flights<u8, u8> = Flights::new(clock, MINUTE, PACE, 1);
    let lost = flights.join(7, Sequence::default(), claim(), |_| async {
        panic!("on purpose")
    });
    let outcome = lost.expect("a seat").outcome().await;
    assert_eq!(outcome, Err(FlightError::Lost));
    let next = flights
        .join(7, Sequence::default(), claim(), |_| async { 1 })
        .expect("a seat");
    assert_eq!(next.joined, Joined::Started);
    assert_eq!(next.outcome().await, Ok(1));
    assert_eq!(flights.in_flight(), 0);
}
