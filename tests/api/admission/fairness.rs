//! Fair shares: a greedy caller does not starve the others (P7).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use engage_bff::config::{ClientConfig, Config, Scope};
use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use super::{ids, of, queued};
use crate::{
    harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive},
    issuer::Issuer,
    tokens::{claims, with_config},
};

/// The clients of a load test, next to the shoppers.
const CLIENTS: usize = 10;
const SHOPPERS: usize = 100;
/// One step is the interval between two calls of the budget.
const STEP: Duration = Duration::from_millis(20);
/// The number of steps in which every shopper sends one request.
const STEPS: usize = 1200;
/// Each other client sends one request in 13 steps, 3.8 a second, which is less than its share: an eleventh of fifty.
const STEPS_PER_ASK: usize = 13;

fn key(client: usize) -> String {
    format!("test-key-of-client-{client}")
}

fn ten_clients(config: &mut Config) {
    config.engage.requests_per_second = 50.0;
    config.engage.burst = 10;
    config.engage.max_concurrency = 32;
    // Thousands of requests.
    "warn".clone_into(&mut config.telemetry.log);
    let shop = config
        .auth
        .clients
        .iter()
        .find(|client| client.id == "shop");
    let mut shop = shop.expect("it is configured").clone();
    shop.scopes.push(Scope::Batch);
    config.auth.clients = (0..CLIENTS)
        .map(|number| {
            let sum = digest(&SHA256, key(number).as_bytes());
            let hex = sum.as_ref().iter().map(|byte| format!("{byte:02x}"));
            ClientConfig {
                id: format!("client-{number}"),
                key_sha256: vec![hex.collect()],
                ..shop.clone()
            }
        })
        .collect();
}

/// Runs everything that is ready now. All tasks share the test's thread, and each turn polls the sockets once.
async fn run_ready_tasks() {
    for _ in 0..80 {
        tokio::task::yield_now().await;
    }
}

/// The number of served requests by caller.
#[derive(Clone, Default)]
struct Answered(Arc<Mutex<HashMap<String, usize>>>);

impl Answered {
    fn send(&self, caller: &str, request: RequestBuilder) {
        let (answered, caller) = (Arc::clone(&self.0), caller.to_owned());
        tokio::spawn(async move {
            let status = Answer::of(request).await.status;
            if [200, 202, 404].contains(&status) {
                let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
                *answered.entry(caller).or_default() += 1;
            }
        });
    }

    fn of(&self, caller: &str) -> usize {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(caller).copied().unwrap_or_default()
    }
}

/// The behaviour of the greedy caller: client 0, or a shopper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greed {
    Absent,
    /// One shopper's requests with every part fresh, seventy a second.
    FreshShopper,
    /// Fresh points of one contact, seventy times a second.
    FreshPoints,
    /// Seventy uncached contacts a second.
    Misses,
    /// Fresh parts of seventy different contacts a second.
    FreshContacts,
    /// Batches of a hundred uncached contacts, 3.5 a second, of which the service admits two at once.
    Batches,
    /// Prefetches of seventy uncached contacts a second.
    Prefetches,
}

struct Load {
    app: TestApp,
    issuer: Issuer,
    answered: Answered,
    unknown: u32,
}

impl Load {
    async fn new() -> Self {
        let issuer = Issuer::new();
        let app = with_config(&issuer, ten_clients).await;
        Self {
            app,
            issuer,
            answered: Answered::default(),
            unknown: 0,
        }
    }

    /// A contact id that was not requested before.
    fn uncached(&mut self) -> String {
        self.unknown += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.unknown)
    }

    fn get(&self, client: usize, query: &str) {
        let request = self.app.customer(&key(client), query);
        self.answered.send(&format!("client-{client}"), request);
    }

    fn get_as_shopper(&self, shopper: &str, contact: &str, query: &str) {
        let scope = "customer:read:self customer:fresh";
        let token = self
            .issuer
            .sign(&claims(json!({"contactId": contact, "scope": scope})));
        let request = self.app.request(&format!("/customer/me?{query}"));
        self.answered.send(shopper, request.bearer_auth(token));
    }

    fn send_greedy(&mut self, greed: Greed, step: usize) {
        // Seven requests in five steps are seventy a second.
        for request in step * 7 / 5..(step + 1) * 7 / 5 {
            match greed {
                Greed::FreshShopper => self.get_as_shopper("greedy", ALVA.id, "fresh=all"),
                Greed::FreshPoints => {
                    self.get(
                        0,
                        &format!("contactId={}&parts=points&fresh=points", ALVA.id),
                    );
                }
                Greed::Misses => {
                    let uncached = self.uncached();
                    self.get(0, &of(&uncached));
                }
                Greed::FreshContacts => {
                    let ids = ids(&self.app);
                    let id = &ids[request % ids.len()];
                    self.get(0, &format!("contactId={id}&parts=points&fresh=points"));
                }
                Greed::Batches if request.is_multiple_of(20) => {
                    let lookups: Vec<_> = (0..100)
                        .map(|_| json!({"contactId": self.uncached()}))
                        .collect();
                    self.post("/customer/batch", &json!({"lookups": lookups}));
                }
                Greed::Absent | Greed::Batches => {}
                Greed::Prefetches => {
                    let uncached = self.uncached();
                    self.post("/customer/prefetch", &json!({"contactId": uncached}));
                }
            }
        }
    }

    /// Sends a request of the greedy client.
    fn post(&self, path: &str, body: &Value) {
        let request = self.app.post_to(path, &key(0));
        self.answered
            .send("client-0", request.body(body.to_string()));
    }

    /// Runs 24 seconds of load, then waits three seconds. Returns the number of served requests of each caller that is
    /// not greedy.
    async fn run(mut self, greed: Greed) -> HashMap<String, usize> {
        let mut sent = 0;
        for step in 0..STEPS {
            self.send_greedy(greed, step);
            for client in 1..CLIENTS {
                if (step + client).is_multiple_of(STEPS_PER_ASK) {
                    let uncached = self.uncached();
                    self.get(client, &of(&uncached));
                }
            }
            if step.is_multiple_of(STEPS / SHOPPERS) {
                let uncached = self.uncached();
                self.get_as_shopper("shoppers", &uncached, "parts=none");
                sent += 1;
            }
            run_ready_tasks().await;
            self.app.advance(STEP);
            run_ready_tasks().await;
        }
        assert_eq!(sent, SHOPPERS);
        for _ in 0..150 {
            self.app.advance(STEP);
            run_ready_tasks().await;
        }
        let greedy = self.answered.of("greedy") + self.answered.of("client-0");
        let calls = self.app.engage.total_calls();
        println!("{greed:?}: {calls} calls, {greedy} answers for the greedy caller");
        assert_eq!(
            greedy == 0,
            greed == Greed::Absent,
            "the greedy caller has a share too"
        );
        let others = (1..CLIENTS).map(|client| format!("client-{client}"));
        others
            .chain(["shoppers".to_owned()])
            .map(|other| (other.clone(), self.answered.of(&other)))
            .collect()
    }
}

/// While a greedy caller sends requests, at least nine tenths of each other caller's requests are served; without a
/// greedy caller, all of them.
async fn others_get_their_share_next_to(greed: Greed) {
    let load = Load::new().await;
    let answered = load.run(greed).await;
    let least = if greed == Greed::Absent { 10 } else { 9 };
    for (other, answered) in answered {
        let sent = if other == "shoppers" {
            SHOPPERS
        } else {
            STEPS / STEPS_PER_ASK
        };
        assert!(
            answered * 10 >= sent * least,
            "{greed:?}: {other}: {answered} of {sent}"
        );
    }
}

#[tokio::test]
async fn every_request_is_answered_without_a_greedy_caller() {
    others_get_their_share_next_to(Greed::Absent).await;
}

#[tokio::test]
async fn shopper_requesting_all_parts_fresh_leaves_others_their_share() {
    others_get_their_share_next_to(Greed::FreshShopper).await;
}

#[tokio::test]
async fn seventy_fresh_points_requests_a_second_take_no_share_of_others() {
    others_get_their_share_next_to(Greed::FreshPoints).await;
}

#[tokio::test]
async fn flood_of_misses_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::Misses).await;
}

#[tokio::test]
async fn flood_of_fresh_contacts_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::FreshContacts).await;
}

#[tokio::test]
async fn repeated_batches_of_a_hundred_take_no_share_of_others() {
    others_get_their_share_next_to(Greed::Batches).await;
}

#[tokio::test]
async fn flood_of_prefetches_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::Prefetches).await;
}

#[tokio::test]
async fn every_miss_of_a_client_is_answered_next_to_a_greedy_one() {
    for greed in [
        Greed::FreshShopper,
        Greed::FreshPoints,
        Greed::Misses,
        Greed::FreshContacts,
        Greed::Batches,
        Greed::Prefetches,
    ] {
        let mut load = Load::new().await;
        for step in 0..200 {
            load.send_greedy(greed, step);
            if step.is_multiple_of(8) && step < 24 * 8 {
                let uncached = load.uncached();
                load.get(1, &of(&uncached));
            }
            run_ready_tasks().await;
            load.app.advance(STEP);
            run_ready_tasks().await;
        }
        assert_eq!(load.answered.of("client-1"), 24, "{greed:?}");
    }
}

#[tokio::test]
async fn client_gets_a_slot_while_all_calls_of_another_hang() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 8).await;
    let ids = ids(&app);
    app.engage.fault_times(Endpoint::Overview, Fault::Hang, 6);
    let greedy: Vec<_> = ids[..20]
        .iter()
        .map(|id| app.spawn_get_as(TILL, &of(id)))
        .collect();
    app.engage.wait_for_calls(Endpoint::All, 6).await;
    queued(&app, 14).await;
    for (key, id) in [(SHOP, &ids[20]), (READER, &ids[21]), (SHOP, &ids[22])] {
        app.get_as(key, &of(id)).await.assert_ok();
    }
    assert_eq!(app.engage.total_calls(), 9);
    drop(greedy);
}

#[tokio::test]
async fn request_joining_a_greedy_clients_queued_call_moves_it_up() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 1).await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let mut sent = vec![app.spawn_get_as(TILL, &of(&ids[0]))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    for (waiting, id) in ids[1..10].iter().enumerate() {
        sent.push(app.spawn_get_as(TILL, &of(id)));
        queued(&app, waiting + 1).await;
    }
    let other = app.spawn_get_as(READER, &of(&ids[9]));
    let_requests_arrive().await;
    for calls in 2..=3 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    hold.release();
    other.await.expect("an answer").assert_ok();
    assert_eq!(app.engage.log()[2].parameter("contactId"), Some(&*ids[9]));
    for sent in sent {
        sent.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn fresh_requests_for_one_contact_share_a_call_started_after_them() {
    let app = TestApp::with(ten_clients).await;
    let fresh = format!("contactId={}&parts=points&fresh=points", ALVA.id);
    app.get_as(&key(0), &fresh).await.assert_ok();
    app.engage.reset_log();
    for balance in 1..=4 {
        app.engage.contact(ALVA.id).points(&balance.to_string());
        let answer = app.get_as(&key(0), &fresh).await;
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(balance));
    }
    // The allowance is used up: requests within fifty milliseconds share the next call.
    let mut sent = Vec::new();
    for balance in 5..=30 {
        app.engage.contact(ALVA.id).points(&balance.to_string());
        sent.push(app.spawn_get_as(&key(0), &fresh));
        let_requests_arrive().await;
        app.advance(Duration::from_millis(1));
    }
    assert_eq!(app.engage.total_calls(), 4);
    app.advance(Duration::from_millis(24));
    for sent in sent {
        let answer = sent.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(30));
    }
    assert_eq!(app.engage.total_calls(), 5);
    // A request without `fresh` makes no call: the points are cached.
    app.get_as(&key(0), &format!("contactId={}&parts=points", ALVA.id))
        .await
        .assert_ok()
        .assert_hit();
}
