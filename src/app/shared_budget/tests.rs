use std::sync::Mutex;

use jiff::Timestamp;

use super::*;
use crate::{
    clock::{ManualClock, Tick},
    domain::Priority,
    engage::{AdmissionRequest, Error, Group},
};

/// A tier that grants the requested tokens while `works` is true, and fails otherwise.
#[derive(Clone)]
struct Tier {
    clock: Clock,
    works: Arc<Mutex<bool>>,
    requests: Arc<Mutex<Vec<shared_tier::TokenLeaseRequest>>>,
}

impl TokenSource for Tier {
    async fn lease(
        &self,
        request: shared_tier::TokenLeaseRequest,
    ) -> Result<TokenLease, Unavailable> {
        self.requests.lock().expect("lock").push(request);
        let now = self.clock.tick();
        let works = *self.works.lock().expect("lock");
        let lease = TokenLease {
            tokens: request.wanted,
            until: now + Duration::from_millis(100),
            next: now,
            paused_until: None,
            replicas: 2,
        };
        works.then_some(lease).ok_or(Unavailable)
    }

    async fn pause(&self, _: Duration) {}
}

struct Bench {
    manual: ManualClock,
    admission: Admission,
    tier: Tier,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn new() -> Self {
        Self::with_rate(50.0)
    }

    fn with_rate(requests_per_second: f64) -> Self {
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::from(manual.clone());
        let limits = CallLimits {
            requests_per_second,
            burst: 10,
            max_concurrency: 32,
            slow_after: Duration::from_secs(5),
        };
        let admission = Admission::with_shared_budget(limits, 2, Arc::default(), clock.clone());
        let tier = Tier {
            clock: clock.clone(),
            works: Arc::new(Mutex::new(true)),
            requests: Arc::default(),
        };
        let task = tokio::spawn(run(admission.clone(), tier.clone(), clock));
        Self {
            manual,
            admission,
            tier,
            task,
        }
    }

    fn requests(&self) -> Vec<shared_tier::TokenLeaseRequest> {
        self.tier.requests.lock().expect("lock").clone()
    }

    fn set_works(&self, works: bool) {
        *self.tier.works.lock().expect("lock") = works;
    }

    async fn call(&self) -> Result<(), Error> {
        call(&self.admission).await
    }

    fn is_shared(&self) -> bool {
        let budget = self.admission.snapshot().shared_budget;
        budget.expect("shared").is_shared
    }

    /// Makes a call every 50 ms for a time, four fifths of this replica's share, while the tier works in the
    /// milliseconds for which `works` is true. Returns how long each call waited.
    async fn waits(&self, long: Duration, works: impl Fn(u64) -> bool) -> Vec<Duration> {
        let millis = u64::try_from(long.as_millis()).expect("short");
        let arrivals: Vec<_> = (0..millis).step_by(50).collect();
        self.waits_of(&arrivals, works).await
    }

    /// The same with calls at these milliseconds, in order.
    async fn waits_of(&self, arrivals: &[u64], works: impl Fn(u64) -> bool) -> Vec<Duration> {
        let clock = Clock::from(self.manual.clone());
        let step = Duration::from_millis(5);
        let mut calls = Vec::new();
        let last = arrivals.last().expect("calls");
        // Leaves time for the calls that are still waiting at the end.
        for at in (0..last + 2000).step_by(5) {
            self.set_works(works(at));
            if arrivals.contains(&at) {
                let (admission, clock) = (self.admission.clone(), clock.clone());
                calls.push(tokio::spawn(async move {
                    let since = clock.tick();
                    call(&admission).await.map(|()| clock.tick().since(since))
                }));
            }
            run_until_idle().await;
            self.manual.advance(step);
        }
        let mut waits = Vec::new();
        for call in calls {
            waits.push(call.await.expect("no panic").expect("admitted"));
        }
        waits
    }
}

async fn call(admission: &Admission) -> Result<(), Error> {
    let request = AdmissionRequest::of_service("till", Priority::Miss);
    let admitted = admission.admit(Group::Overview, request);
    admitted.await.map(drop)
}

/// Lets the tasks run until they wait.
async fn run_until_idle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn call_is_admitted_with_leased_tokens_while_the_clock_stands() {
    let bench = Bench::new();
    run_until_idle().await;
    assert!(bench.is_shared());
    bench.call().await.expect("admitted");
    let requests = bench.requests();
    assert!(requests.iter().any(|request| request.wanted > 0));
    run_until_idle().await;
    // The clock stands still, so an idle loop sends no request.
    let before = bench.requests().len();
    run_until_idle().await;
    assert_eq!(bench.requests().len(), before);
    let budget = bench.admission.snapshot().shared_budget.expect("shared");
    assert_eq!((budget.tokens.used, budget.replicas), (1, 2));
}

#[tokio::test]
async fn call_waits_for_the_replicas_share_when_the_tier_fails() {
    let bench = Bench::new();
    run_until_idle().await;
    bench.set_works(false);
    bench.manual.advance(Duration::from_millis(200));
    run_until_idle().await;
    assert!(!bench.is_shared());
    // The failed request lent the share for 200 ms. It begins to fill 100 ms later, with a token every 40 ms.
    let call = bench.call();
    tokio::pin!(call);
    for wait in [0, 330] {
        bench.manual.advance(Duration::from_millis(wait));
        tokio::select! {
            biased;
            decision = &mut call => panic!("decided within the loan: {decision:?}"),
            () = run_until_idle() => {}
        }
    }
    bench.manual.advance(Duration::from_millis(25));
    call.await.expect("admitted");
    bench.set_works(true);
    // The replica uses its own share for a second from its start, which was 55 ms ago.
    for (wait, is_shared) in [(840, false), (110, true)] {
        bench.manual.advance(Duration::from_millis(wait));
        run_until_idle().await;
        assert_eq!(bench.is_shared(), is_shared);
    }
}

#[tokio::test]
async fn replica_that_ends_gives_its_share_to_the_others() {
    let bench = Bench::new();
    run_until_idle().await;
    bench.call().await.expect("admitted");
    run_until_idle().await;
    bench.task.abort();
    leave(&bench.admission, &bench.tier).await;
    let requests = bench.requests();
    let last = requests.last().expect("a request");
    assert_eq!((last.wanted, last.held), (0, 0));
    assert!(last.returned > 0);
    assert_eq!(last.lent_until, Tick::END);
}

#[tokio::test]
async fn calls_wait_once_when_the_tier_fails() {
    let bench = Bench::new();
    let waits = bench.waits(Duration::from_secs(5), |at| at < 1000).await;
    let longest = waits.iter().max().expect("calls");
    assert!(*longest <= Duration::from_millis(350), "{waits:?}");
    let late: Vec<_> = waits[60..].iter().filter(|wait| !wait.is_zero()).collect();
    assert_eq!(late, Vec::<&Duration>::new());
}

#[tokio::test]
async fn no_call_is_refused_while_the_tier_fails_again_and_again() {
    for (works, fails) in [(50, 60), (150, 150), (500, 200), (600, 400), (2000, 100)] {
        let bench = Bench::new();
        let works_at = |at| at % (works + fails) < works;
        let waits = bench.waits(Duration::from_secs(10), works_at).await;
        let longest = waits.iter().max().expect("calls");
        println!("works {works} ms, fails {fails} ms: {longest:?} at most");
        assert!(*longest <= Duration::from_millis(350), "{waits:?}");
    }
}

#[tokio::test]
async fn call_is_not_refused_while_a_slow_share_comes_back() {
    // A token of the replica's own share takes a second, the longest that a call usually waits.
    let bench = Bench::with_rate(2.0);
    let waits = bench.waits_of(&[500], |at| at < 400).await;
    let wait = waits[0].as_millis();
    assert!((1000..=1300).contains(&wait), "{wait} ms");
}
