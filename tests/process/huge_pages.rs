//! When the process may use transparent huge pages.

use std::fs;

use engage_bff::clock::Clock;
use engage_simulator::Simulator;

use crate::{
    caller::Caller,
    harness::{PATIENCE, Service, Started},
};

/// More contacts than half of the smallest cache has room for.
const CONTACTS: usize = 2000;
const KEY: [(&str, &str); 1] = [("X-Api-Key", "test-till-key")];

/// A service with the smallest cache, and its Engage.
async fn started(environment: &[(&str, &str)]) -> (Started, Simulator) {
    let builder = Simulator::builder().seed(7).contacts(CONTACTS);
    let builder = builder.api_key("test-engage-key").rate_limit(None);
    let engage = builder.start().await.expect("the simulator starts");
    let service = Service::new()
        .asks(&engage)
        .env("BFF_ENGAGE__REQUESTS_PER_SECOND", "1000000.0")
        .env("BFF_ENGAGE__BURST", "1000000")
        .env("BFF_CACHE__MAX_SIZE", "1MiB");
    let service = environment
        .iter()
        .fold(service, |service, (name, value)| service.env(name, value));
    (service.start(), engage)
}

/// Whether the kernel may give the service huge pages.
fn are_on(service: &Started) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).expect("a status");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("THP_enabled:"));
    line.expect("Linux 5.0 or later").trim() == "1"
}

/// Sends requests until huge pages are on, or off.
fn ask_until(service: &Started, on: bool, mut next: impl FnMut() -> String) {
    let clock = Clock::system();
    let start = clock.tick();
    let mut caller = Caller::to(service.data);
    while are_on(service) != on {
        let answer = caller.get(&next(), &KEY);
        assert!(answer.status < 500, "{}", answer.body);
        assert!(
            clock.tick().since(start) < PATIENCE,
            "huge pages are never {on}"
        );
    }
}

/// Look-ups of the first contacts by phone, again and again. Some have no phone.
fn look_ups(contacts: usize) -> impl FnMut() -> String {
    let mut indices = (0..contacts).cycle();
    move || {
        let index = indices.next().expect("it never ends");
        // The simulator's numbers.
        let number = (index * 7919 + 1_000_003) % 10_000_000;
        format!("/customer?mobilePhone=%2B4670{number:07}&contactType=Member")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_pages_are_used_while_the_cache_fills_up_to_its_half() {
    let (service, _engage) = started(&[]).await;
    assert!(!are_on(&service));
    // More than a hundredth of the cache, and less than half.
    ask_until(&service, true, look_ups(10));
    ask_until(&service, false, look_ups(CONTACTS));
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_pages_that_the_environment_switched_off_stay_off() {
    let (service, _engage) = started(&[("MIMALLOC_ALLOW_THP", "0")]).await;
    let mut caller = Caller::to(service.data);
    let mut next = look_ups(CONTACTS / 10);
    for _ in 0..CONTACTS / 10 {
        assert!(!are_on(&service));
        assert!(caller.get(&next(), &KEY).status < 500);
    }
}
