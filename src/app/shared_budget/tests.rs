use std::sync::Mutex;

use jiff::Timestamp;
use tokio::sync::watch;

use super::*;
use crate::{
    clock::{ManualClock, Tick},
    domain::{Flow, Priority, Requester, Requesters},
    engage::{AdmissionRequest, Error, Group, NO_SUBJECT},
};

/// A tier that grants what is wanted, or fails.
#[derive(Clone)]
struct Tier {
    clock: Clock,
    works: Arc<Mutex<bool>>,
    requests: Arc<Mutex<Vec<shared_tier::TokenRequest>>>,
}

impl TokenSource for Tier {
    async fn lease(&self, request: shared_tier::TokenRequest) -> Result<TokenLease, Unavailable> {
        self.requests.lock().expect("lock").push(request);
        let now = self.clock.tick();
        let works = *self.works.lock().expect("lock");
        let lease = TokenLease {
            tokens: request.wanted,
            until: now + Duration::from_millis(200),
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
        let manual = ManualClock::new(Timestamp::UNIX_EPOCH);
        let clock = Clock::from(manual.clone());
        let limits = CallLimits {
            requests_per_second: 50.0,
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

    fn requests(&self) -> Vec<shared_tier::TokenRequest> {
        self.tier.requests.lock().expect("lock").clone()
    }

    fn set_works(&self, works: bool) {
        *self.tier.works.lock().expect("lock") = works;
    }

    async fn call(&self) -> Result<(), Error> {
        let requester = Requester {
            flow: Flow {
                client: "till".into(),
                shopper: None,
            },
            priority: Priority::Miss,
        };
        let (_sender, requesters) = watch::channel(Requesters::from(requester));
        let request = AdmissionRequest {
            requesters,
            subject: NO_SUBJECT,
        };
        let admitted = self.admission.admit(Group::Overview, request);
        admitted.await.map(drop)
    }

    fn is_shared(&self) -> bool {
        let budget = self.admission.snapshot().shared_budget;
        budget.expect("shared").is_shared
    }
}

/// Lets the tasks run until they wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn call_is_admitted_with_leased_tokens_while_the_clock_stands() {
    let bench = Bench::new();
    settle().await;
    assert!(bench.is_shared());
    bench.call().await.expect("admitted");
    let requests = bench.requests();
    assert!(requests.iter().any(|request| request.wanted > 0));
    settle().await;
    // The clock stands, so an idle loop makes no request.
    let before = bench.requests().len();
    settle().await;
    assert_eq!(bench.requests().len(), before);
    let budget = bench.admission.snapshot().shared_budget.expect("shared");
    assert_eq!((budget.tokens.used, budget.replicas), (1, 2));
}

#[tokio::test]
async fn call_waits_for_the_own_share_when_the_tier_fails() {
    let bench = Bench::new();
    settle().await;
    bench.set_works(false);
    bench.manual.advance(Duration::from_millis(200));
    settle().await;
    assert!(!bench.is_shared());
    // The failed request lent the share for 400 ms; 200 ms later it begins to fill: a token each 40 ms.
    let call = bench.call();
    tokio::pin!(call);
    for wait in [0, 630] {
        bench.manual.advance(Duration::from_millis(wait));
        tokio::select! {
            biased;
            decision = &mut call => panic!("decided within the loan: {decision:?}"),
            () = settle() => {}
        }
    }
    bench.manual.advance(Duration::from_millis(25));
    call.await.expect("admitted");
    bench.set_works(true);
    bench.manual.advance(Duration::from_millis(200));
    settle().await;
    assert!(bench.is_shared());
}

#[tokio::test]
async fn replica_that_ends_gives_its_share_to_the_others() {
    let bench = Bench::new();
    settle().await;
    bench.call().await.expect("admitted");
    settle().await;
    bench.task.abort();
    leave(&bench.admission, &bench.tier).await;
    let requests = bench.requests();
    let last = requests.last().expect("a request");
    assert_eq!((last.wanted, last.held), (0, 0));
    assert!(last.returned > 0);
    assert_eq!(last.lent_until, Tick::END);
}
