//! How long a rendered response is kept.

use engage::Error;
use jiff::Timestamp;

use super::*;
use crate::{
    cache::{Bounds, FetchStart, PartData, freshness::Policy},
    clock::{Clock, ManualClock},
    customer::{
        answer::COMPRESSED_ABOVE,
        view::{Attributes, View},
    },
    domain::{AnswerPath, ContactId, Part, PartMap, Partial, Voucher},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const SHAPE: Shape = Shape {
    view: View::Full,
    channel: None,
    requested: PartSet::of(&[Part::Profile, Part::Vouchers]),
    expiring_within: DAY,
};

/// A cache with one customer, and what is needed to render the response.
struct Kept {
    cache: Cache<Rendered, Error>,
    clock: ManualClock,
    rules: Rules,
    id: ContactId,
}

impl Kept {
    /// A customer with a voucher that expires after this time.
    fn with_voucher(expires_after: Duration) -> Self {
        Self::with_vouchers(expires_after, &[])
    }

    /// The same, with some vouchers left out.
    fn with_vouchers(expires_after: Duration, left_out: &[AnswerPath]) -> Self {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let policy = Policy {
            lifetimes: PartMap::splat(MINUTE),
            history_lifetime: MINUTE,
            stale_while_revalidate: MINUTE,
            stale_if_error: DAY,
            stale_if_slow: Duration::from_millis(300),
            negative_lifetime: MINUTE,
            overview_lag: MINUTE,
            overview_parts: PartSet::ALL,
            feed: None,
        };
        let bounds = Bounds {
            max_bytes: 1 << 20,
            longest_flight: MINUTE,
        };
        let id = ContactId::parse("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01").expect("an id");
        let kept = Self {
            cache: Cache::new(policy, bounds, Clock::from(clock.clone())),
            clock,
            rules: Rules {
                storefront: Attributes::new(&[]),
                full: Attributes::new(&["*".to_owned()]),
                expiring_within: DAY,
                default_point_definition: None,
                phone_region: phonenumber::country::SE,
            },
            id,
        };
        let voucher = Voucher {
            id: "1".into(),
            code: None,
            name: Some("x".repeat(2 * COMPRESSED_ABOVE).into()),
            value: None,
            local_values: Vec::new(),
            expires_on: Some(Timestamp::UNIX_EPOCH + expires_after),
            redeemed: false,
        };
        let start: FetchStart = kept.cache.begin();
        for data in [
            PartData::Profile(Box::default()),
            PartData::Vouchers(Partial {
                data: vec![voucher],
                left_out: left_out.to_vec(),
            }),
        ] {
            let parts = kept.cache.part_of_entity(start, data);
            kept.cache.store_parts(id, parts, None);
        }
        kept
    }

    fn found(&self) -> Found {
        Found {
            record: self.cache.record(self.id).expect("a record"),
            shown: SHAPE.requested,
            degraded: PartSet::EMPTY,
            verdict: Verdict {
                status: CacheStatus::Hit,
                ttl: 0,
                age: Duration::ZERO,
                stored: false,
                collapsed: false,
                stands_in: None,
            },
            reasons: None,
            outcomes: PartMap::default(),
        }
    }

    fn now(&self) -> Now {
        Clock::from(self.clock.clone()).now()
    }

    fn render(&self, found: &Found, shape: &Shape) -> Arc<Rendered> {
        found
            .render(&self.cache, &self.rules, shape, self.now())
            .expect("nothing is damaged")
    }

    fn answer(&self) -> Arc<Rendered> {
        self.render(&self.found(), &SHAPE)
    }
}

#[test]
fn answer_is_rendered_once_and_kept() {
    let kept = Kept::with_voucher(30 * DAY);
    let first = kept.answer();
    assert!(Arc::ptr_eq(&first, &kept.answer()));
    assert_eq!(kept.found().record.rendered().count(), 1);
    let storefront = Shape {
        view: View::Storefront,
        ..SHAPE
    };
    let other = kept.render(&kept.found(), &storefront);
    assert!(!Arc::ptr_eq(&first, &other));
    assert!(Arc::ptr_eq(
        &other,
        &kept.render(&kept.found(), &storefront)
    ));
    assert!(Arc::ptr_eq(&first, &kept.answer()));
    assert_eq!(kept.found().record.rendered().count(), 2);
}

#[test]
fn only_complete_answers_with_the_default_window_are_kept() {
    let kept = Kept::with_voucher(30 * DAY);
    let wide = Shape {
        expiring_within: 2 * DAY,
        ..SHAPE
    };
    kept.render(&kept.found(), &wide);
    let degraded = Found {
        degraded: Part::Vouchers.into(),
        ..kept.found()
    };
    kept.render(&degraded, &SHAPE);
    let partial = Found {
        shown: Part::Profile.into(),
        ..kept.found()
    };
    kept.render(&partial, &SHAPE);
    assert_eq!(kept.found().record.rendered().count(), 0);
    // A kept complete response is not served instead, either.
    let whole = kept.answer();
    for found in [degraded, partial] {
        assert!(!Arc::ptr_eq(&whole, &kept.render(&found, &SHAPE)));
    }
}

#[test]
fn answer_is_kept_until_a_date_in_it_passes() {
    let kept = Kept::with_voucher(MINUTE);
    let first = kept.answer();
    kept.clock
        .advance(MINUTE.saturating_sub(Duration::from_millis(1)));
    assert!(Arc::ptr_eq(&first, &kept.answer()));
    kept.clock.advance(Duration::from_millis(1));
    let later = kept.answer();
    assert_ne!(first.body, later.body);
    assert_eq!(kept.found().record.rendered().count(), 1);
}

#[test]
fn answer_is_rendered_again_after_the_wall_clock_was_set_back() {
    let kept = Kept::with_voucher(30 * DAY);
    let first = kept.answer();
    kept.clock.jump_wall(Timestamp::UNIX_EPOCH - MINUTE);
    assert!(!Arc::ptr_eq(&first, &kept.answer()));
}

#[test]
fn answer_as_incomplete_as_its_record_is_kept() {
    let kept = Kept::with_vouchers(30 * DAY, &["vouchers[].id"]);
    let incomplete = || Found {
        degraded: Part::Vouchers.into(),
        ..kept.found()
    };
    let first = kept.render(&incomplete(), &SHAPE);
    assert!(Arc::ptr_eq(&first, &kept.render(&incomplete(), &SHAPE)));
    assert_eq!(kept.found().record.rendered().count(), 1);
    for degraded in [
        PartSet::EMPTY,
        PartSet::of(&[Part::Profile, Part::Vouchers]),
    ] {
        let other = Found {
            degraded,
            ..kept.found()
        };
        assert!(!Arc::ptr_eq(&first, &kept.render(&other, &SHAPE)));
    }
}

#[tokio::test]
async fn only_a_kept_answer_is_compressed() {
    let kept = Kept::with_voucher(30 * DAY);
    let wide = Shape {
        expiring_within: 2 * DAY,
        ..SHAPE
    };
    for (shape, is_compressed) in [(SHAPE, true), (wide, false)] {
        let answer = kept.render(&kept.found(), &shape);
        for _ in 0..2 {
            answer.gzip();
            tokio::task::yield_now().await;
        }
        assert_eq!(answer.gzip().is_some(), is_compressed);
    }
}
