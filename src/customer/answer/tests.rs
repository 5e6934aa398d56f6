//! How long a rendered answer is kept, and in which form it leaves.

use engage::Error;

use super::*;
use crate::{
    cache::{Bounds, FetchStart, PartData, freshness::Policy},
    clock::{Clock, ManualClock},
    customer::{CacheStatus, Verdict},
    domain::{AnswerPath, ContactId, Part, PartMap, Readable, Voucher},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const SHAPE: Shape = Shape {
    view: View::Full,
    channel: None,
    asked: PartSet::of(&[Part::Profile, Part::Vouchers]),
    expiring_within: DAY,
};

/// A cache that holds one customer, and the hands to ask it.
struct Kept {
    cache: Cache<Rendered, Error>,
    clock: ManualClock,
    rules: Rules,
    id: ContactId,
}

impl Kept {
    /// Somebody with a voucher that lapses so much later.
    fn with_voucher(lapses_after: Duration) -> Self {
        Self::with_vouchers(lapses_after, &[])
    }

    /// The same, of whose vouchers some were left out.
    fn with_vouchers(lapses_after: Duration, left_out: &[AnswerPath]) -> Self {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let policy = Policy {
            lifetimes: PartMap::splat(MINUTE),
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
            expires_on: Some(Timestamp::UNIX_EPOCH + lapses_after),
            redeemed: false,
        };
        let start: FetchStart = kept.cache.begin();
        for data in [
            PartData::Profile(Box::default()),
            PartData::Vouchers(Readable {
                data: vec![voucher],
                left_out: left_out.to_vec(),
            }),
        ] {
            kept.cache.store_part(id, start, data);
        }
        kept
    }

    fn found(&self) -> Found {
        Found {
            record: self.cache.record(self.id).expect("a record"),
            shown: SHAPE.asked,
            degraded: PartSet::EMPTY,
            verdict: Verdict {
                status: CacheStatus::Hit,
                ttl: 0,
                age: Duration::ZERO,
                stored: false,
                collapsed: false,
                stands_in: None,
            },
        }
    }

    fn now(&self) -> Now {
        Clock::from(self.clock.clone()).now()
    }

    fn render(&self, found: &Found, shape: &Shape) -> Arc<Rendered> {
        rendered(&self.cache, &self.rules, found, shape, self.now()).expect("nothing is damaged")
    }

    fn ask(&self) -> Arc<Rendered> {
        self.render(&self.found(), &SHAPE)
    }
}

#[test]
fn an_answer_is_rendered_once_and_kept() {
    let kept = Kept::with_voucher(30 * DAY);
    let first = kept.ask();
    assert!(Arc::ptr_eq(&first, &kept.ask()));
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
    assert!(Arc::ptr_eq(&first, &kept.ask()));
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
    // Neither are they answered with what is kept of complete ones.
    let whole = kept.ask();
    for found in [degraded, partial] {
        assert!(!Arc::ptr_eq(&whole, &kept.render(&found, &SHAPE)));
    }
}

#[test]
fn an_answer_holds_until_a_date_passes_that_it_tells() {
    let kept = Kept::with_voucher(MINUTE);
    let first = kept.ask();
    kept.clock
        .advance(MINUTE.saturating_sub(Duration::from_millis(1)));
    assert!(Arc::ptr_eq(&first, &kept.ask()));
    kept.clock.advance(Duration::from_millis(1));
    let later = kept.ask();
    assert_ne!(first.body, later.body);
    assert_eq!(kept.found().record.rendered().count(), 1);
}

#[test]
fn an_answer_does_not_hold_for_a_wall_clock_that_was_set_back() {
    let kept = Kept::with_voucher(30 * DAY);
    let first = kept.ask();
    kept.clock.jump_wall(Timestamp::UNIX_EPOCH - MINUTE);
    assert!(!Arc::ptr_eq(&first, &kept.ask()));
}

#[test]
fn an_answer_as_incomplete_as_its_record_is_kept() {
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
async fn only_an_answer_that_is_kept_is_compressed() {
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

fn of_body(length: usize) -> Rendered {
    Rendered {
        shape: SHAPE,
        body: Bytes::from("x".repeat(length)),
        etag: ETag::of(b""),
        gzip: OnceLock::new(),
        gzip_is_due: AtomicBool::new(true),
        made_at: Timestamp::UNIX_EPOCH,
        changes_at: Timestamp::MAX,
    }
}

#[tokio::test]
async fn answers_of_one_kibibyte_and_more_are_compressed_beside_the_request_and_once() {
    for (length, is_compressed) in [(10, false), (1023, false), (1024, true), (5000, true)] {
        let answer = Arc::new(of_body(length));
        assert_eq!(answer.is_compressible(), is_compressed, "{length}");
        assert!(answer.gzip().is_none(), "{length}");
        // The one task there is runs now.
        tokio::task::yield_now().await;
        let Some(gzip) = answer.gzip() else {
            assert!(!is_compressed, "{length}");
            continue;
        };
        assert!(is_compressed && gzip.len() < 100, "{length}");
        assert_eq!(
            answer.gzip().map(|again| again.as_ptr()),
            Some(gzip.as_ptr())
        );
    }
}

#[tokio::test]
async fn what_was_read_from_what_is_packed_is_compressed_once_it_is_kept_for_the_next() {
    let packed = postcard::to_allocvec(&of_body(5000)).expect("written");
    let answer: Arc<Rendered> = Arc::new(postcard::from_bytes(&packed).expect("read"));
    let asked = async || {
        let gzip = answer.gzip().is_some();
        tokio::task::yield_now().await;
        gzip
    };
    assert_eq!([asked().await, asked().await], [false, false]);
    answer.made_ready();
    assert_eq!([asked().await, asked().await], [false, true]);
}

#[test]
fn an_answer_weighs_both_its_forms() {
    let expected = size_of::<Rendered>() + 3000 + 1000;
    assert_eq!(of_body(3000).bytes(), expected);
}

#[test]
fn the_national_id_is_listed_by_name_alone() {
    let lists = |name: &str| Attributes::new(&[name.to_owned()]).list_national_id();
    assert!(lists("socialSecurityNumber"));
    assert!(!lists("*"));
    assert!(!lists("firstName"));
}
