use super::*;
use crate::cache::{feed::Delivery, fence::Fences};

fn policy() -> Policy {
    Policy {
        lifetimes: PartMap::splat(Duration::from_secs(60)),
        history_lifetime: Duration::from_secs(60),
        stale_while_revalidate: Duration::from_secs(30),
        stale_if_error: Duration::from_secs(3600),
        stale_if_slow: Duration::from_millis(300),
        negative_lifetime: Duration::from_secs(30),
        overview_lag: Duration::from_secs(600),
        overview_parts: PartSet::ALL,
        feed: None,
    }
}

fn at(second: u64) -> Tick {
    Tick::default() + Duration::from_secs(second)
}

/// What this replica requested at that second; an entity endpoint returned nothing like it before.
fn requested(sequence: Sequence, second: u64, source: FetchSource) -> Provenance {
    Provenance {
        sequence,
        requested_at: at(second),
        as_of: Timestamp::UNIX_EPOCH,
        lifetime: Duration::from_secs(60),
        source,
        differed_at: (source == FetchSource::Entity).then_some(at(second)),
        is_shared: false,
    }
}

/// A policy with a feed that has not received a delivery.
fn policy_with_feed() -> Policy {
    let silence = Some(Duration::from_secs(10_000));
    let feed = Feed::new(silence, false, Duration::from_secs(20));
    Policy {
        feed: Some(feed.into()),
        ..policy()
    }
}

#[test]
fn data_passes_its_windows_in_order() {
    let provenance = requested(Sequence::default(), 0, FetchSource::Overview);
    for (second, expected, ttl) in [
        (0, Freshness::Fresh, 60),
        (59, Freshness::Fresh, 1),
        (60, Freshness::Stale, 0),
        (89, Freshness::Stale, -29),
        (90, Freshness::Expired, -30),
        (3659, Freshness::Expired, -3599),
        (3660, Freshness::Dead, -3600),
    ] {
        let actual = provenance.freshness(at(second), &policy());
        assert_eq!(actual, expected, "{second} s");
        let actual = provenance.ttl_seconds(at(second), &policy());
        assert_eq!(actual, ttl, "{second} s");
    }
}

#[test]
fn after_a_feed_gap_an_overview_is_trusted_once_its_lag_has_passed() {
    let policy = policy_with_feed();
    let feed = policy.feed.as_deref().expect("a feed");
    feed.note(at(1000), Delivery::Received);
    for (source, second, ttl) in [
        (FetchSource::Entity, 1000, 20),
        (FetchSource::Entity, 1001, 60),
        (FetchSource::Overview, 1001, 20),
        (FetchSource::Overview, 1600, 20),
        (FetchSource::Overview, 1601, 60),
    ] {
        let provenance = requested(Sequence::default(), second, source);
        let actual = provenance.ttl_seconds(at(second), &policy);
        assert_eq!(actual, ttl, "{source:?} at {second} s");
    }
}

#[test]
fn data_in_doubt_is_used_for_the_fallback_and_its_stale_window() {
    let now = at(5000);
    let longest = policy_with_feed().longest_use(FetchSource::Entity, now);
    assert_eq!(longest, Some(Duration::from_secs(20 + 30)));
    assert_eq!(policy().longest_use(FetchSource::Entity, now), None);
}

#[test]
fn later_data_supersedes_and_an_overview_only_after_its_lag() {
    let fences = Fences::new(Duration::ZERO, Duration::ZERO, 16);
    let requested = |second, source| requested(fences.sequence(), second, source);
    let lag = Duration::from_secs(600);
    let early = requested(0, FetchSource::Overview);
    let entity = requested(0, FetchSource::Entity);
    let within = requested(599, FetchSource::Overview);
    let after = requested(600, FetchSource::Overview);
    for (newer, older) in [
        (&entity, &early),
        (&within, &early),
        (&entity, &within),
        (&after, &entity),
        (&after, &within),
    ] {
        assert!(newer.supersedes(older, lag), "{newer:?} {older:?}");
        assert!(!older.supersedes(newer, lag), "{older:?} {newer:?}");
    }
    assert!(!entity.supersedes(&entity, lag));
    // Without a lag the order of the requests decides.
    assert!(within.supersedes(&entity, Duration::ZERO));
    assert!(!early.supersedes(&entity, Duration::ZERO));
    // Data that an entity endpoint only repeats does not keep the overview out for longer.
    let first = requested(0, FetchSource::Entity);
    let repeated = Provenance {
        differed_at: first.differed_at,
        ..requested(500, FetchSource::Entity)
    };
    let within = requested(599, FetchSource::Overview);
    let after = requested(600, FetchSource::Overview);
    for (overview, takes_over) in [(&early, false), (&within, false), (&after, true)] {
        assert_eq!(overview.supersedes(&repeated, lag), takes_over);
        assert_eq!(repeated.supersedes(overview, lag), !takes_over);
    }
}

#[test]
fn data_of_another_replica_competes_by_the_time_of_its_request() {
    let fences = Fences::new(Duration::ZERO, Duration::ZERO, 16);
    let requested = |second: u64, is_shared| Provenance {
        is_shared,
        ..requested(fences.sequence(), second, FetchSource::Entity)
    };
    let own = requested(10, false);
    let of_the_same_moment = requested(10, false);
    assert!(of_the_same_moment.is_later_than(&own));
    // Each was read after the own request began.
    for (second, is_later, is_earlier) in [(9, false, true), (10, false, false), (11, true, false)]
    {
        let shared = requested(second, true);
        assert_eq!(shared.is_later_than(&own), is_later, "{second} s");
        assert_eq!(own.is_later_than(&shared), is_earlier, "{second} s");
    }
    // This replica's own request began after the shared data was read.
    let shared = requested(10, true);
    assert!(requested(10, false).is_later_than(&shared));
    assert!(!requested(9, false).is_later_than(&shared));
    assert!(requested(11, true).is_later_than(&requested(10, true)));
    assert!(!requested(10, true).is_later_than(&requested(10, true)));
}

#[test]
fn jitter_only_shortens_and_by_a_tenth_at_most() {
    let whole = Duration::from_secs(100);
    for _ in 0..1000 {
        let lifetime = Policy::jittered(whole);
        assert!(lifetime <= whole && lifetime >= whole.mul_f64(0.9));
    }
}
