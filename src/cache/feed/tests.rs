//! The feed with each source, and with both.

use super::{
    Delivery::{Missed, Received},
    *,
};

const SILENCE: Duration = Duration::from_secs(100);
const FALLBACK: Duration = Duration::from_secs(60);

fn webhooks() -> Feed {
    Feed::new(Some(SILENCE), false, FALLBACK)
}

fn at(second: u64) -> Tick {
    Tick::default() + Duration::from_secs(second)
}

#[test]
fn only_data_fetched_while_the_feed_works_is_trusted() {
    let feed = webhooks();
    assert_eq!(feed.status(at(0)), FeedStatus::Unknown);
    assert_eq!(feed.longest_lifetime(at(0), at(0)), FALLBACK);
    feed.note(at(10), Received);
    assert_eq!(feed.longest_lifetime(at(10), at(11)), FALLBACK);
    assert_eq!(feed.longest_lifetime(at(11), at(11)), Duration::MAX);
    feed.note(at(50), Received);
    // A delivery in time prolongs the period that began with the first.
    assert_eq!(feed.longest_lifetime(at(11), at(149)), Duration::MAX);
    assert_eq!(feed.status(at(149)), FeedStatus::Working);
    assert_eq!(feed.status(at(150)), FeedStatus::Silent);
    assert_eq!(feed.longest_lifetime(at(149), at(150)), FALLBACK);
}

#[test]
fn data_fetched_before_a_gap_is_not_trusted_after_it() {
    let feed = webhooks();
    feed.note(at(0), Received);
    assert_eq!(feed.status(at(199)), FeedStatus::Silent);
    feed.note(at(200), Received);
    for (true_at, longest) in [(50, FALLBACK), (200, FALLBACK), (201, Duration::MAX)] {
        assert_eq!(feed.longest_lifetime(at(true_at), at(201)), longest);
    }
    assert_eq!(feed.working_since(at(201)), Some(at(200)));
}

#[test]
fn one_unreadable_delivery_changes_nothing() {
    let feed = webhooks();
    feed.note(at(0), Received);
    for second in [5, 6] {
        feed.note(at(second), Missed("sealed"));
        assert_eq!(feed.status(at(second)), FeedStatus::Working);
        assert_eq!(feed.longest_lifetime(at(1), at(second)), Duration::MAX);
    }
}

#[test]
fn after_a_failure_only_data_fetched_later_is_trusted() {
    let feed = webhooks();
    feed.note(at(0), Received);
    for _ in 0..3 {
        feed.note(at(5), Missed("sealed"));
    }
    assert_eq!(feed.status(at(6)), FeedStatus::Failing);
    assert_eq!(feed.longest_lifetime(at(1), at(6)), FALLBACK);
    // No readable delivery since.
    assert_eq!(feed.status(at(1000)), FeedStatus::Failing);
    feed.note(at(1001), Received);
    assert_eq!(feed.status(at(1002)), FeedStatus::Working);
    assert_eq!(feed.longest_lifetime(at(1001), at(1002)), FALLBACK);
    assert_eq!(feed.longest_lifetime(at(1002), at(1002)), Duration::MAX);
    assert_eq!(feed.last_received(), Some(at(1001)));
}

#[test]
fn partly_read_feed_fails_until_the_rate_falls() {
    let feed = webhooks();
    (0..20).for_each(|_| feed.note(at(0), Received));
    (0..3).for_each(|_| {
        feed.note(at(1), Missed("unaddressed"));
        feed.note(at(1), Received);
    });
    assert_eq!(feed.status(at(2)), FeedStatus::Failing);
    assert_eq!(feed.longest_lifetime(at(1), at(2)), FALLBACK);
    // It does not recover at a rate at which one more missed delivery would make it fail again.
    (0..10).for_each(|_| feed.note(at(2), Received));
    assert_eq!(feed.status(at(2)), FeedStatus::Failing);
    (0..25).for_each(|_| feed.note(at(2), Received));
    assert_eq!(feed.status(at(3)), FeedStatus::Working);
    assert_eq!(feed.longest_lifetime(at(1), at(3)), FALLBACK);
    assert_eq!(feed.longest_lifetime(at(3), at(3)), Duration::MAX);
}

#[test]
fn failed_feed_is_judged_by_its_last_delivery_once_the_window_is_empty() {
    let long = Duration::from_secs(10_000);
    for (silence, then) in [(long, FeedStatus::Working), (SILENCE, FeedStatus::Silent)] {
        let feed = Feed::new(Some(silence), false, FALLBACK);
        (0..3).for_each(|_| feed.note(at(1), Missed("sealed")));
        feed.note(at(1), Received);
        assert_eq!(feed.status(at(2)), FeedStatus::Failing);
        assert_eq!(feed.working_since(at(299)), None);
        assert_eq!(feed.status(at(301)), then);
        let since = (then == FeedStatus::Working).then_some(at(301));
        assert_eq!(feed.working_since(at(301)), since);
    }
}

fn millis(millis: u64) -> Tick {
    Tick::default() + Duration::from_millis(millis)
}

#[test]
fn stream_alone_is_trusted_while_it_is_caught_up() {
    let feed = Feed::new(None, true, FALLBACK);
    assert!(!feed.has_webhooks());
    assert_eq!(feed.longest_lifetime(at(0), at(0)), FALLBACK);
    feed.note_caught_up(at(10));
    // Whatever its age: nothing was missed.
    for true_at in [0, 5, 10, 11] {
        assert_eq!(
            feed.longest_lifetime(at(true_at), millis(11_999)),
            Duration::MAX
        );
        assert_eq!(feed.longest_lifetime(at(true_at), at(12)), FALLBACK);
    }
    feed.note_caught_up(at(20));
    assert_eq!(feed.longest_lifetime(at(0), at(21)), Duration::MAX);
    // An earlier moment, noted late, takes nothing back.
    feed.note_caught_up(at(19));
    assert_eq!(feed.longest_lifetime(at(0), millis(21_999)), Duration::MAX);
    feed.note_gap();
    assert_eq!(feed.longest_lifetime(at(21), at(21)), FALLBACK);
    feed.note_caught_up(at(21));
    assert_eq!(feed.longest_lifetime(at(21), at(22)), Duration::MAX);
}

#[test]
fn with_both_sources_data_is_trusted_while_both_work() {
    let feed = Feed::new(Some(SILENCE), true, FALLBACK);
    feed.note_caught_up(at(9));
    assert_eq!(feed.longest_lifetime(at(9), at(10)), FALLBACK);
    feed.note(at(10), Received);
    assert_eq!(feed.longest_lifetime(at(10), millis(10_500)), FALLBACK);
    assert_eq!(feed.longest_lifetime(at(11), millis(10_500)), Duration::MAX);
    // The stream is interrupted and then read on: what was trusted before is trusted again.
    assert_eq!(feed.longest_lifetime(at(11), at(50)), FALLBACK);
    assert_eq!(feed.status(at(50)), FeedStatus::Working);
    assert_eq!(feed.working_since(at(50)), Some(at(10)));
    feed.note_caught_up(at(50));
    assert_eq!(feed.longest_lifetime(at(11), at(51)), Duration::MAX);
    // Silent webhooks, while the stream works.
    feed.note_caught_up(at(110));
    assert_eq!(feed.longest_lifetime(at(11), at(110)), FALLBACK);
    feed.note(at(111), Received);
    feed.note_caught_up(at(111));
    assert_eq!(feed.longest_lifetime(at(111), at(112)), FALLBACK);
    assert_eq!(feed.longest_lifetime(at(112), at(112)), Duration::MAX);
}

#[test]
fn source_that_is_not_configured_is_ignored() {
    let feed = Feed::new(None, true, FALLBACK);
    feed.note_caught_up(at(1));
    feed.note(at(1), Received);
    (0..5).for_each(|_| feed.note(at(1), Missed("sealed")));
    assert_eq!(feed.longest_lifetime(at(0), at(2)), Duration::MAX);
    let feed = webhooks();
    feed.note(at(1), Received);
    feed.note_gap();
    feed.note_caught_up(at(1));
    assert_eq!(feed.longest_lifetime(at(2), at(50)), Duration::MAX);
}

#[test]
fn stream_is_trusted_for_a_while_after_everything_was_applied() {
    let fallback = Duration::from_secs(20);
    let feed = Feed::new(None, true, fallback);
    assert_eq!(feed.fallback(), fallback);
    let applied = Tick::default() + Duration::from_secs(1000);
    assert!(feed.distrusts_stream(applied));
    assert_eq!(feed.trusted_age(applied), Duration::ZERO);
    feed.note_caught_up(applied);
    let end = applied + STREAM_PATIENCE;
    for (now, is_trusted) in [
        (applied, true),
        (end - Duration::from_nanos(1), true),
        (end, false),
    ] {
        assert_eq!(feed.distrusts_stream(now), !is_trusted);
        let age = if is_trusted {
            now.since(Tick::default())
        } else {
            Duration::ZERO
        };
        assert_eq!(feed.trusted_age(now), age);
    }
}
