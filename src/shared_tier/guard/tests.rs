use std::future::{pending, ready};

use jiff::Timestamp;

use super::*;
use crate::shared_tier::protocol::BackendError;
use crate::{
    clock::ManualClock,
    shared_tier::{epoch::Keys, protocol::StreamLimits},
};

const TIMEOUT: Duration = Duration::from_millis(50);

struct Bench {
    clock: ManualClock,
    metrics: Arc<Metrics>,
    guard: Guard,
}

fn bench() -> Bench {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let metrics = Arc::new(Metrics::default());
    let guard = Guard::new(Clock::from(clock.clone()), Arc::clone(&metrics));
    Bench {
        clock,
        metrics,
        guard,
    }
}

fn epoch() -> Arc<Epoch> {
    let offer = Keys::of(&[1]).offer(StreamLimits { keep: TIMEOUT });
    offer.expect("a key").1
}

impl Bench {
    /// A link of a session that works.
    fn connect(&self) -> Link {
        let session = self.guard.begin();
        self.guard.opened(session, &epoch());
        assert!(self.guard.link(Operation::Fetch).is_err());
        self.guard.caught_up(session);
        self.guard.link(Operation::Fetch).expect("connected")
    }

    async fn call(&self, link: &Link, result: Result<(), BackendError>) -> Result<(), Fault> {
        let deadline = self.guard.clock.tick() + TIMEOUT;
        let reply = Box::pin(ready(result));
        self.guard
            .call(link, Operation::Fetch, deadline, reply)
            .await
    }
}

#[tokio::test]
async fn late_failure_of_a_session_does_not_end_the_next() {
    let bench = bench();
    let old = bench.connect();
    let new = bench.connect();
    for error in [BackendError::Unreachable, BackendError::Epoch] {
        assert!(bench.call(&old, Err(error)).await.is_err());
        assert!(bench.guard.link(Operation::Fetch).is_ok());
    }
    let error = bench.call(&new, Err(BackendError::Unreachable)).await;
    assert_eq!(error, Err(Fault::Unreachable));
    assert!(bench.guard.link(Operation::Fetch).is_err());
    // What a failed session reports afterwards changes nothing.
    bench.guard.caught_up(new.session);
    bench.guard.opened(new.session, &epoch());
    assert!(bench.guard.link(Operation::Fetch).is_err());
    let skipped = bench.metrics.operations(Operation::Fetch, "unavailable");
    assert_eq!(skipped, 4);
}

#[tokio::test]
async fn reply_that_comes_in_time_is_used_and_a_later_one_is_not() {
    let bench = bench();
    let link = bench.connect();
    let deadline = bench.guard.clock.tick() + TIMEOUT;
    bench.clock.advance(TIMEOUT);
    // The reply and the deadline are both due: the reply is used.
    let reply = Box::pin(ready(Ok(7)));
    let result = bench
        .guard
        .call(&link, Operation::Fetch, deadline, reply)
        .await;
    assert_eq!(result, Ok(7));
    let reply: Reply<'_, u32> = Box::pin(pending());
    let result = bench
        .guard
        .call(&link, Operation::Fetch, deadline, reply)
        .await;
    assert_eq!(result, Err(Fault::Timeout));
    assert_eq!(bench.guard.status().state, "timeout");
    assert_eq!(bench.metrics.operations(Operation::Fetch, "timeout"), 1);
}

#[tokio::test]
async fn full_server_and_ended_epoch_do_not_end_the_session() {
    let bench = bench();
    let link = bench.connect();
    assert_eq!(
        bench.call(&link, Err(BackendError::Full)).await,
        Err(Fault::Full)
    );
    assert!(bench.guard.link(Operation::Fetch).is_ok());
    let ended = bench.call(&link, Err(BackendError::Epoch)).await;
    assert_eq!(ended, Err(Fault::Epoch));
    assert!(bench.guard.link(Operation::Fetch).is_err());
    assert_eq!(bench.guard.status().state, "changing epoch");
    let next = epoch();
    bench.guard.replace(&link, &next);
    let link = bench.guard.link(Operation::Fetch).expect("connected");
    assert_eq!(link.epoch.id, next.id);
    // Of two tasks that open the next epoch, the second changes nothing.
    let late = Link {
        epoch: epoch(),
        session: link.session,
    };
    bench.guard.replace(&late, &epoch());
    bench.guard.epoch_ended(&late);
    assert_eq!(bench.guard.latest_epoch(), Some(next.id));
    assert!(bench.guard.link(Operation::Fetch).is_ok());
}

#[tokio::test]
async fn round_trips_are_averaged() {
    let bench = bench();
    let link = bench.connect();
    assert_eq!(bench.guard.status().round_trips, None);
    bench.call(&link, Ok(())).await.expect("a reply");
    let deadline = bench.guard.clock.tick() + TIMEOUT;
    let clock = bench.clock.clone();
    let reply = Box::pin(async move {
        clock.advance(Duration::from_millis(8));
        Ok(())
    });
    let call = bench.guard.call(&link, Operation::Fetch, deadline, reply);
    call.await.expect("a reply");
    let expected = (Duration::from_millis(8), Duration::from_millis(1));
    assert_eq!(bench.guard.status().round_trips, Some(expected));
}
