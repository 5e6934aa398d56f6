use std::{collections::VecDeque, sync::atomic::AtomicUsize, sync::atomic::Ordering};

use jiff::Timestamp;

use super::*;
use crate::clock::ManualClock;

const SECOND: Duration = Duration::from_secs(1);

/// What ends a look-up.
type Ends = oneshot::Sender<io::Result<Vec<SocketAddr>>>;

/// Look-ups that end when the test says so, and how.
#[derive(Clone, Default)]
struct Names {
    under_way: Arc<Mutex<VecDeque<Ends>>>,
    begun: Arc<AtomicUsize>,
}

impl Names {
    fn resolver(&self) -> (Resolver, ManualClock) {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let names = self.clone();
        let look_up = move |name: &str| -> LookingUp {
            assert_eq!(name, "engage.example.com");
            let (ends, answer) = oneshot::channel();
            names.begun.fetch_add(1, Ordering::Relaxed);
            names.under_way.lock().unwrap().push_back(ends);
            Box::pin(async move { answer.await.expect("it ends") })
        };
        let resolver = Resolver::over("engage.example.com", clock.clone().into(), look_up);
        (resolver, clock)
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Ends the look-up under way.
    async fn end(&self, looked_up: io::Result<Vec<SocketAddr>>) {
        settle().await;
        let ends = self.under_way.lock().unwrap().pop_front();
        ends.expect("one is under way")
            .send(looked_up)
            .expect("it is waited for");
        settle().await;
    }
}

/// Lets all tasks of the test's thread go on as far as they can.
async fn settle() {
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

/// One that knows that address already, by a look-up of its start.
async fn knowing(names: &Names, addresses: &[SocketAddr]) -> (Resolver, ManualClock) {
    let (resolver, clock) = names.resolver();
    resolver.begin();
    names.end(Ok(addresses.to_vec())).await;
    (resolver, clock)
}

#[tokio::test]
async fn what_is_known_is_used_at_once_while_a_look_up_hangs() {
    let names = Names::default();
    let (resolver, clock) = knowing(&names, &[at(1)]).await;
    clock.advance(9 * SECOND);
    assert_eq!(resolver.addresses().await.expect("known"), [at(1)]);
    settle().await;
    assert_eq!(names.begun(), 1, "it is young enough");
    clock.advance(SECOND);
    // However long it hangs and however often it is asked, there is one look-up.
    for _ in 0..100 {
        assert_eq!(resolver.addresses().await.expect("known"), [at(1)]);
        clock.advance(SECOND);
        settle().await;
    }
    assert_eq!(names.begun(), 2);
    names.end(Ok(vec![at(2), at(3)])).await;
    assert_eq!(resolver.addresses().await.expect("known"), [at(2), at(3)]);
}

#[tokio::test]
async fn a_look_up_that_fails_or_is_empty_takes_away_nothing_that_is_known() {
    let names = Names::default();
    let (resolver, clock) = knowing(&names, &[at(1)]).await;
    for failed in [failure(), Ok(Vec::new())] {
        clock.advance(RENEW_AFTER);
        resolver.addresses().await.expect("known");
        names.end(failed).await;
        assert_eq!(resolver.addresses().await.expect("known"), [at(1)]);
    }
    assert_eq!(names.begun(), 3);
}

#[tokio::test]
async fn callers_share_the_first_look_up_and_wait_for_it_two_seconds_at_most() {
    let names = Names::default();
    let (resolver, clock) = names.resolver();
    let ask = || {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.addresses().await })
    };
    let asked: Vec<_> = (0..600).map(|_| ask()).collect();
    settle().await;
    assert_eq!(names.begun(), 1);
    clock.advance(2 * SECOND);
    for asked in asked {
        asked
            .await
            .expect("no panic")
            .expect_err("nothing is known");
    }
    // It hangs on: whoever comes now need not find that out again.
    ask()
        .await
        .expect("no panic")
        .expect_err("nothing is known");
    assert_eq!(names.begun(), 1);
    names.end(Ok(vec![at(1)])).await;
    assert_eq!(ask().await.expect("no panic").expect("known"), [at(1)]);
    assert_eq!(names.begun(), 1);
}

#[tokio::test]
async fn where_nothing_is_known_each_failure_is_told_and_the_next_call_looks_again() {
    let names = Names::default();
    let (resolver, _clock) = names.resolver();
    for round in 1..4 {
        let asked = tokio::spawn({
            let resolver = resolver.clone();
            async move { resolver.addresses().await }
        });
        names.end(failure()).await;
        asked.await.expect("no panic").expect_err("it failed");
        assert_eq!(names.begun(), round);
    }
}

#[tokio::test]
async fn an_address_that_refuses_is_looked_up_again_before_it_is_given_up() {
    let names = Names::default();
    let (resolver, clock) = knowing(&names, &[at(1)]).await;
    clock.advance(SECOND);
    for (looked_up, leads_elsewhere) in [
        (Ok(vec![at(1)]), false),
        (failure(), false),
        (Ok(vec![at(2)]), true),
    ] {
        let asked = tokio::spawn({
            let resolver = resolver.clone();
            async move { resolver.leads_elsewhere(&[at(1)], false).await }
        });
        names.end(looked_up).await;
        assert_eq!(asked.await.expect("no panic"), leads_elsewhere);
        clock.advance(SECOND);
    }
    assert_eq!(resolver.addresses().await.expect("known"), [at(2)]);
    // Who used the old one tries the new one without a look-up.
    let begun = names.begun();
    assert!(resolver.leads_elsewhere(&[at(1)], false).await);
    assert_eq!(names.begun(), begun);
}

#[tokio::test]
async fn connections_that_fail_do_not_look_up_without_end() {
    let names = Names::default();
    let (resolver, clock) = knowing(&names, &[at(1)]).await;
    for _ in 0..100 {
        assert!(!resolver.leads_elsewhere(&[at(1)], false).await);
    }
    assert_eq!(names.begun(), 1, "it was looked up just now");
    clock.advance(SECOND);
    let asked = tokio::spawn({
        let resolver = resolver.clone();
        async move { resolver.leads_elsewhere(&[at(1)], false).await }
    });
    settle().await;
    // The name server hangs as well: that is waited for two seconds, and once.
    clock.advance(2 * SECOND);
    assert!(!asked.await.expect("no panic"));
    assert!(!resolver.leads_elsewhere(&[at(1)], false).await);
    assert_eq!(names.begun(), 2);
}

#[tokio::test]
async fn of_several_addresses_one_that_does_not_answer_is_tried_last() {
    let names = Names::default();
    let (resolver, _clock) = knowing(&names, &[at(1), at(2), at(3)]).await;
    let used = resolver.addresses().await.expect("known");
    // Two calls at the same time move it once.
    assert!(resolver.leads_elsewhere(&used, true).await);
    assert!(resolver.leads_elsewhere(&used, true).await);
    let turned = resolver.addresses().await.expect("known");
    assert_eq!(turned, [at(2), at(3), at(1)]);
    // Where all of them refuse, another order helps nobody.
    assert!(!resolver.leads_elsewhere(&used, false).await);
}

#[tokio::test]
async fn the_system_resolves_what_it_knows_and_says_what_it_does_not() {
    let resolver = Resolver::new("localhost", Clock::system());
    let addresses = resolver.addresses().await.expect("everybody knows it");
    assert!(addresses.iter().all(|address| address.ip().is_loopback()));
    // No name: it is not even asked for.
    let resolver = Resolver::new("not a name", Clock::system());
    resolver.addresses().await.expect_err("it is no name");
}
