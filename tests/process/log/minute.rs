//! The acceptance run, two minutes long: 500 requests per second, half of them hits, while the log is read and then
//! while it is not.
//!
//! ```sh
//! cargo nextest run --test process --run-ignored only --no-capture minute
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use engage_bff::clock::Clock;
use tokio::runtime::Runtime;

use super::{Reading, TILL, assert_answers, cause_event, count, dropped, lookup, sum};
use crate::{
    caller::Caller,
    harness::{Engage, Service, Started, status},
};

const MINUTE: Duration = Duration::from_secs(60);
const REQUESTS_PER_SECOND: u32 = 500;
/// One request in this many logs an event; the others are hits.
const REQUESTS_PER_EVENT: u32 = 2;
const DROPPED: &str = "log events dropped";

/// The sorted latencies of the hits among one minute's requests, sent over one connection at `REQUESTS_PER_SECOND` requests per
/// second.
fn play(clock: &Clock, runtime: &Runtime, caller: &mut Caller) -> Vec<Duration> {
    let begin = clock.tick();
    let mut hits = Vec::new();
    for turn in 0..REQUESTS_PER_SECOND * 60 {
        let due = begin + Duration::from_secs(1) / REQUESTS_PER_SECOND * turn;
        runtime.block_on(clock.sleep_until(due));
        if turn % REQUESTS_PER_EVENT == 0 {
            cause_event(
                caller,
                "a-request-id-that-is-as-long-as-it-may-be-so-that-lines-are-long",
            );
            continue;
        }
        let asked = clock.tick();
        assert_eq!(caller.get(&lookup(), &[TILL]).status, 200);
        hits.push(clock.tick().since(asked));
    }
    let took = clock.tick().since(begin);
    assert!(
        took < MINUTE * 2,
        "the machine is too slow for this: {took:?}"
    );
    hits.sort_unstable();
    hits
}

/// The latency at a quantile, which is given in thousandths.
fn quantile(sorted: &[Duration], of_thousand: usize) -> Duration {
    sorted[(sorted.len() - 1) * of_thousand / 1000]
}

#[test]
#[ignore = "two minutes"]
fn unread_log_barely_slows_hits_and_counts_lost_events() {
    let engage = Engage::start();
    let service = Service::new()
        .engage(&engage)
        // The contact stays cached all the time.
        .env("BFF_CACHE__PROFILE_LIFETIME", "1h")
        .env("BFF_CACHE__VOUCHERS_LIFETIME", "1h")
        .env("BFF_CACHE__PROMOTIONS_LIFETIME", "1h")
        .env("BFF_CACHE__POINTS_LIFETIME", "1h")
        .start();
    let (clock, runtime) = (Clock::system(), Runtime::new().expect("a runtime"));
    let mut till = Caller::to(service.data);
    assert_eq!(till.get(&lookup(), &[TILL]).status, 200);
    let events = 1 + u64::from(2 * REQUESTS_PER_SECOND * 60 / REQUESTS_PER_EVENT);

    let Started {
        file,
        process,
        mut log,
        data,
        operations: at,
        before,
        serving,
    } = service;
    let is_read = Arc::new(AtomicBool::new(true));
    let reader = thread::spawn({
        let is_read = Arc::clone(&is_read);
        move || {
            let mut lines = 0;
            while is_read.load(Ordering::Relaxed) {
                lines += u64::from(log.next().expect("a line").is_ok());
            }
            (log, lines)
        }
    });
    let reading = play(&clock, &runtime, &mut till);
    is_read.store(false, Ordering::Relaxed);
    let stalled = play(&clock, &runtime, &mut till);
    let (log, lines) = reader.join().expect("the reader");
    let service = Started {
        file,
        process,
        log,
        data,
        operations: at,
        before,
        serving,
    };
    assert_answers(&service);
    let lost = dropped(&mut Caller::to(service.operations), "events");
    for (name, hits) in [("read", &reading), ("not read", &stalled)] {
        let [half, p99, p999] = [500, 990, 999].map(|share| quantile(hits, share));
        eprintln!(
            "log {name}: {} hits, p50 {half:?}, p99 {p99:?}, p99.9 {p999:?}",
            hits.len()
        );
    }
    eprintln!("{lost} of {events} events dropped");
    let [before, during] = [&reading, &stalled].map(|hits| quantile(hits, 990));
    assert!(
        during < before * 3 + Duration::from_millis(5),
        "{before:?}, {during:?}"
    );

    service.signal("TERM");
    let began = clock.tick();
    let Started { process, log, .. } = service;
    let log = Reading::on(log);
    let status = status(process);
    eprintln!("ended {:?} after SIGTERM", clock.tick().since(began));
    assert!(status.success(), "{status}");
    let rest = log.rest();
    // Events that the shutdown logs may be dropped as well.
    let reported = sum(&rest, DROPPED, "dropped");
    assert!((lost..lost + 4).contains(&reported), "{lost}, {reported}");
    assert_eq!(lines + count(&rest, "answered") as u64 + lost, events);
}
