//! When a request counts as failed, and when the share is lent again.

use std::time::Duration;

use super::{
    super::{Demand, SharedBudget, TokenGrant, TokenRequest},
    BURST, RATE,
};
use crate::clock::Tick;

const WAITING: Demand = Demand {
    waiting: 3,
    is_ahead: true,
    paused_until: None,
};

/// A budget, and the time.
struct Scenario {
    budget: SharedBudget,
    now: Tick,
}

impl Scenario {
    /// One that has lent its share.
    fn new() -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a small number"
        )]
        let budget = SharedBudget::new(RATE, BURST as u32, 3, Tick::default());
        let mut scenario = Self {
            budget,
            now: Tick::default(),
        };
        scenario.exchange(0, 1);
        scenario.exchange(4, 1);
        assert!(scenario.is_shared());
        scenario
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Waits until a request is due, and makes it.
    fn request(&mut self) -> TokenRequest {
        self.now = self.now.max(self.budget.request_due(WAITING, self.now));
        self.budget.request(WAITING, self.now)
    }

    /// A request that is granted this many tokens, after this many milliseconds.
    fn exchange(&mut self, tokens: u32, millis: u64) -> TokenRequest {
        let request = self.request();
        let until = self.now + Duration::from_millis(100);
        self.pass(millis);
        let grant = TokenGrant {
            tokens,
            until,
            next: self.now,
            paused_until: None,
            replicas: 3,
        };
        self.budget.granted(grant, self.now);
        request
    }

    fn is_shared(&self) -> bool {
        self.budget.snapshot(self.now).is_shared
    }

    /// Lets one request fail and answers the following ones. Returns the time until the share is lent again.
    fn fail_and_lend_again(&mut self) -> Duration {
        self.request();
        let failed_at = self.now;
        self.pass(50);
        self.budget.failed(self.now);
        while !self.is_shared() {
            let request = self.exchange(0, 1);
            assert!(request.wanted == 0 || self.is_shared());
        }
        self.now.since(failed_at)
    }
}

#[test]
fn starting_replica_makes_no_call_before_a_reply_or_the_time_limit() {
    let at = |millis| Tick::default() + Duration::from_millis(millis);
    let starts = || SharedBudget::new(50.0, 10, 1, Tick::default());
    let mut alone = starts();
    alone.request(WAITING, at(0));
    alone.failed(at(50));
    assert!(!alone.take(at(900)));
    assert!(alone.take(at(920)) && !alone.take(at(920)));
    let mut joins = starts();
    joins.request(WAITING, at(700));
    let grant = TokenGrant {
        tokens: 0,
        until: at(800),
        next: at(700),
        paused_until: None,
        replicas: 5,
    };
    joins.granted(grant, at(700));
    // Its share of five replicas, which was empty at 700 ms.
    assert!(!joins.take(at(790)));
    assert!(joins.take(at(800)) && !joins.take(at(800)));
}

#[test]
fn tier_whose_tokens_lapse_on_their_way_is_not_used() {
    let mut scenario = Scenario::new();
    for _ in 0..20 {
        scenario.exchange(4, 99);
        assert!(scenario.is_shared());
    }
    let from = scenario.now;
    while scenario.is_shared() {
        scenario.exchange(4, 100);
    }
    let time = scenario.now.since(from).as_millis();
    assert!((320..=600).contains(&time), "{time} ms");
    // Calls continue within the own share, and it is not lent again to a tier that is as slow as before.
    scenario.pass(1000);
    assert!(scenario.budget.take(scenario.now));
    for _ in 0..200 {
        scenario.exchange(4, 100);
        assert!(!scenario.is_shared());
    }
    assert!(scenario.budget.take(scenario.now));
    scenario.exchange(0, 99);
    scenario.exchange(4, 1);
    assert!(scenario.is_shared());
}

#[test]
fn each_early_failure_doubles_the_time_until_the_share_is_lent_again() {
    let mut scenario = Scenario::new();
    // 300 ms until the share is the replica's own, then the time within it.
    let tenths = |scenario: &mut Scenario| scenario.fail_and_lend_again().as_millis() / 100;
    let times = [(); 6].map(|()| tenths(&mut scenario));
    assert_eq!(times, [13, 23, 43, 83, 103, 103]);
    for _ in 0..200 {
        scenario.exchange(1, 50);
    }
    assert_eq!(tenths(&mut scenario), 13);
}

#[test]
fn calls_without_any_token_wait_for_the_own_share() {
    let mut scenario = Scenario::new();
    let from = scenario.now;
    // A token of the own share takes 60 ms.
    while scenario.is_shared() {
        scenario.exchange(0, 1);
    }
    let time = scenario.now.since(from).as_millis();
    // The four tokens that are held are given back first, after about 70 ms.
    assert!((320..=400).contains(&time), "{time} ms");
    // If a token is granted now and then, calls wait for the next one.
    let mut scenario = Scenario::new();
    for number in 0..2000 {
        scenario.exchange(u32::from(number % 20 == 0), 5);
        assert!(scenario.is_shared());
        scenario.budget.take(scenario.now);
    }
}
