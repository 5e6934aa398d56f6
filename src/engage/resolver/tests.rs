use std::{collections::VecDeque, sync::atomic::AtomicUsize, sync::atomic::Ordering};

use jiff::Timestamp;

use super::*;
use crate::clock::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

/// Completes a look-up.
type Completer = oneshot::Sender<io::Result<Vec<SocketAddr>>>;

/// Look-ups that the test completes.
#[derive(Clone, Default)]
struct ManualLookups {
    running: Arc<Mutex<VecDeque<Completer>>>,
    started: Arc<AtomicUsize>,
}

impl ManualLookups {
    fn resolver(&self) -> (Resolver, ManualClock) {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let lookups = self.clone();
        let look_up = move |name: &str| -> PendingLookup {
            assert_eq!(name, "engage.example.com");
            let (completer, result) = oneshot::channel();
            lookups.started.fetch_add(1, Ordering::Relaxed);
            lookups.running.lock().unwrap().push_back(completer);
            Box::pin(async move { result.await.expect("a result") })
        };
        let resolver = Resolver::over("engage.example.com", clock.clone().into(), look_up);
        (resolver, clock)
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// Completes the running look-up.
    async fn complete(&self, result: io::Result<Vec<SocketAddr>>) {
        run_tasks().await;
        let completer = self.running.lock().unwrap().pop_front();
        completer
            .expect("a running look-up")
            .send(result)
            .expect("a receiver");
        run_tasks().await;
    }
}

/// Runs all tasks until they wait.
async fn run_tasks() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn failure() -> io::Result<Vec<SocketAddr>> {
    Err(io::Error::other("no name server"))
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 0))
}

/// A resolver with known addresses.
async fn resolver_with(
    lookups: &ManualLookups,
    addresses: &[SocketAddr],
) -> (Resolver, ManualClock) {
    let (resolver, clock) = lookups.resolver();
    resolver.start();
    lookups.complete(Ok(addresses.to_vec())).await;
    (resolver, clock)
}

#[tokio::test]
async fn known_addresses_are_used_while_a_look_up_hangs() {
    let lookups = ManualLookups::default();
    let (resolver, clock) = resolver_with(&lookups, &[at(1)]).await;
    clock.advance(9 * SECOND);
    assert_eq!(resolver.addresses().await.expect("known"), [at(1)]);
    run_tasks().await;
    assert_eq!(lookups.started(), 1, "not yet due");
    clock.advance(SECOND);
    // All calls share one look-up.
    for _ in 0..100 {
        assert_eq!(resolver.addresses().await.expect("known"), [at(1)]);
        clock.advance(SECOND);
        run_tasks().await;
    }
    assert_eq!(lookups.started(), 2);
    lookups.complete(Ok(vec![at(2), at(3)])).await;
    assert_eq!(resolver.addresses().await.expect("known"), [at(2), at(3)]);
}

#[tokio::test]
async fn failed_or_empty_look_up_keeps_known_addresses() {
    let lookups = ManualLookups::default();
    let (resolver, clock) = resolver_with(&lookups, &[at(1)]).await;
    for failed in [failure(), Ok(Vec::new())] {
        clock.advance(REFRESH_AFTER);
        resolver.addresses().await.expect("known");
        lookups.complete(failed).await;
        assert_eq!(resolver.addresses().await.expect("known"), [at(1)]);
    }
    assert_eq!(lookups.started(), 3);
}

#[tokio::test]
async fn callers_share_the_first_look_up_for_at_most_two_seconds() {
    let lookups = ManualLookups::default();
    let (resolver, clock) = lookups.resolver();
    let resolve = || {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.addresses().await })
    };
    let pending: Vec<_> = (0..600).map(|_| resolve()).collect();
    run_tasks().await;
    assert_eq!(lookups.started(), 1);
    clock.advance(2 * SECOND);
    for pending in pending {
        pending.await.expect("no panic").expect_err("no address");
    }
    // The look-up still hangs, so the next caller fails at once.
    resolve().await.expect("no panic").expect_err("no address");
    assert_eq!(lookups.started(), 1);
    lookups.complete(Ok(vec![at(1)])).await;
    assert_eq!(resolve().await.expect("no panic").expect("known"), [at(1)]);
    assert_eq!(lookups.started(), 1);
}

#[tokio::test]
async fn without_addresses_each_call_fails_and_the_next_looks_up_again() {
    let lookups = ManualLookups::default();
    let (resolver, _clock) = lookups.resolver();
    for round in 1..4 {
        let pending = tokio::spawn({
            let resolver = resolver.clone();
            async move { resolver.addresses().await }
        });
        lookups.complete(failure()).await;
        pending.await.expect("no panic").expect_err("a failure");
        assert_eq!(lookups.started(), round);
    }
}

#[tokio::test]
async fn refused_connection_causes_another_look_up() {
    let lookups = ManualLookups::default();
    let (resolver, clock) = resolver_with(&lookups, &[at(1)]).await;
    clock.advance(SECOND);
    for (looked_up, has_other_addresses) in [
        (Ok(vec![at(1)]), false),
        (failure(), false),
        (Ok(vec![at(2)]), true),
    ] {
        let pending = tokio::spawn({
            let resolver = resolver.clone();
            async move { resolver.has_other_addresses(&[at(1)], false).await }
        });
        lookups.complete(looked_up).await;
        assert_eq!(pending.await.expect("no panic"), has_other_addresses);
        clock.advance(SECOND);
    }
    assert_eq!(resolver.addresses().await.expect("known"), [at(2)]);
    // A call that used the old address tries the new one without a look-up.
    let started = lookups.started();
    assert!(resolver.has_other_addresses(&[at(1)], false).await);
    assert_eq!(lookups.started(), started);
}

#[tokio::test]
async fn failed_connections_do_not_cause_endless_look_ups() {
    let lookups = ManualLookups::default();
    let (resolver, clock) = resolver_with(&lookups, &[at(1)]).await;
    for _ in 0..100 {
        assert!(!resolver.has_other_addresses(&[at(1)], false).await);
    }
    assert_eq!(lookups.started(), 1, "the last look-up is recent");
    clock.advance(SECOND);
    let pending = tokio::spawn({
        let resolver = resolver.clone();
        async move { resolver.has_other_addresses(&[at(1)], false).await }
    });
    run_tasks().await;
    // The name server hangs as well: one call waits for it, for two seconds.
    clock.advance(2 * SECOND);
    assert!(!pending.await.expect("no panic"));
    assert!(!resolver.has_other_addresses(&[at(1)], false).await);
    assert_eq!(lookups.started(), 2);
}

#[tokio::test]
async fn address_that_times_out_is_tried_last() {
    let lookups = ManualLookups::default();
    let (resolver, _clock) = resolver_with(&lookups, &[at(1), at(2), at(3)]).await;
    let used = resolver.addresses().await.expect("known");
    // Two concurrent calls rotate the list once.
    assert!(resolver.has_other_addresses(&used, true).await);
    assert!(resolver.has_other_addresses(&used, true).await);
    let turned = resolver.addresses().await.expect("known");
    assert_eq!(turned, [at(2), at(3), at(1)]);
    // If all of them refuse, the order does not matter.
    assert!(!resolver.has_other_addresses(&used, false).await);
}

#[tokio::test]
async fn system_resolver_resolves_localhost_and_rejects_other_text() {
    let resolver = Resolver::new("localhost", Clock::system());
    let addresses = resolver.addresses().await.expect("localhost");
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    // Not a host name.
    let resolver = Resolver::new("not a name", Clock::system());
    resolver.addresses().await.expect_err("not a name");
}
