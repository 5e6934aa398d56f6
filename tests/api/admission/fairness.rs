//! Fair shares: whatever one caller does, the others are answered (P7).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use engage_bff::config::{Client, Config};
use engage_simulator::{Endpoint, Fault, people::ALVA};
use reqwest::RequestBuilder;
use serde_json::json;

use super::{ids, of, queued};
use crate::{
    harness::{Answer, READER, SHOP, TILL, TestApp, arrive},
    issuer::Issuer,
    tokens::{claims, with_config},
};

/// The clients of a load, besides the shoppers.
const CLIENTS: usize = 10;
const SHOPPERS: usize = 100;
/// How time passes: as it does between two calls of the budget.
const STEP: Duration = Duration::from_millis(20);
/// As long as it takes all shoppers to ask once.
const STEPS: usize = 1200;
/// Each other client asks four times a second, which is less than its share: an eleventh of fifty.
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
    let shop = shop.expect("it is configured").clone();
    config.auth.clients = (0..CLIENTS)
        .map(|number| {
            let sum = digest(&SHA256, key(number).as_bytes());
            let hex = sum.as_ref().iter().map(|byte| format!("{byte:02x}"));
            Client {
                id: format!("client-{number}"),
                key_sha256: vec![hex.collect()],
                ..shop.clone()
            }
        })
        .collect();
}

/// Lets everything happen that happens at this moment. All of it runs on the test's one thread, and each turn polls
/// the sockets once.
async fn settle() {
    for _ in 0..80 {
        tokio::task::yield_now().await;
    }
}

/// How many of whose requests were answered, and not refused.
#[derive(Clone, Default)]
struct Answered(Arc<Mutex<HashMap<String, usize>>>);

impl Answered {
    fn send(&self, caller: &str, request: RequestBuilder) {
        let (answered, caller) = (Arc::clone(&self.0), caller.to_owned());
        tokio::spawn(async move {
            let status = Answer::of(request).await.status;
            if [200, 404].contains(&status) {
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

/// What the greedy one does; client 0 where it is a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greed {
    Absent,
    /// A shopper that may ask fresh, with two tabs of everything.
    Tabs,
    /// Seventy times a second the points of one contact, fresh.
    FreshPoints,
    /// Seventy contacts a second that are not held.
    Misses,
    /// Seventy a second of different contacts, fresh.
    FreshContacts,
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

    /// A contact that nobody asked for yet.
    fn newcomer(&mut self) -> String {
        self.unknown += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.unknown)
    }

    fn ask(&self, client: usize, query: &str) {
        let request = self.app.customer(&key(client), query);
        self.answered.send(&format!("client-{client}"), request);
    }

    fn ask_as_shopper(&self, shopper: &str, contact: &str, query: &str) {
        let scope = "customer:read:self customer:fresh";
        let token = self
            .issuer
            .sign(&claims(json!({"contactId": contact, "scope": scope})));
        let request = self.app.request(&format!("/customer/me?{query}"));
        self.answered.send(shopper, request.bearer_auth(token));
    }

    fn be_greedy(&mut self, greed: Greed, step: usize) {
        // Seven requests in five steps are seventy a second.
        for request in step * 7 / 5..(step + 1) * 7 / 5 {
            match greed {
                Greed::Absent => {}
                Greed::Tabs => self.ask_as_shopper("greedy", ALVA.id, "fresh=all"),
                Greed::FreshPoints => {
                    self.ask(
                        0,
                        &format!("contactId={}&parts=points&fresh=points", ALVA.id),
                    );
                }
                Greed::Misses => {
                    let newcomer = self.newcomer();
                    self.ask(0, &of(&newcomer));
                }
                Greed::FreshContacts => {
                    let ids = ids(&self.app);
                    let id = &ids[request % ids.len()];
                    self.ask(0, &format!("contactId={id}&parts=points&fresh=points"));
                }
            }
        }
    }

    /// Half a minute of it. Returns what each of the others got.
    async fn run(mut self, greed: Greed) -> HashMap<String, usize> {
        let mut asked = 0;
        for step in 0..STEPS {
            self.be_greedy(greed, step);
            for client in 1..CLIENTS {
                if (step + client).is_multiple_of(STEPS_PER_ASK) {
                    let newcomer = self.newcomer();
                    self.ask(client, &of(&newcomer));
                }
            }
            if step.is_multiple_of(STEPS / SHOPPERS) {
                let newcomer = self.newcomer();
                self.ask_as_shopper("shoppers", &newcomer, "parts=none");
                asked += 1;
            }
            settle().await;
            self.app.advance(STEP);
            settle().await;
        }
        assert_eq!(asked, SHOPPERS);
        for _ in 0..150 {
            self.app.advance(STEP);
            settle().await;
        }
        let greedy = self.answered.of("greedy") + self.answered.of("client-0");
        let calls = self.app.engage.total_calls();
        println!("{greed:?}: {calls} calls, {greedy} answers for the greedy one");
        assert_eq!(greedy == 0, greed == Greed::Absent, "it has a share too");
        let others = (1..CLIENTS).map(|client| format!("client-{client}"));
        others
            .chain(["shoppers".to_owned()])
            .map(|other| (other.clone(), self.answered.of(&other)))
            .collect()
    }
}

/// Next to a greedy one each of the others gets nine tenths of what it gets without, which is all that it asks for.
async fn others_get_their_share_next_to(greed: Greed) {
    let load = Load::new().await;
    let answered = load.run(greed).await;
    let least = if greed == Greed::Absent { 10 } else { 9 };
    for (other, answered) in answered {
        let asked = if other == "shoppers" {
            SHOPPERS
        } else {
            STEPS / STEPS_PER_ASK
        };
        assert!(
            answered * 10 >= asked * least,
            "{greed:?}: {other}: {answered} of {asked}"
        );
    }
}

#[tokio::test]
async fn without_a_greedy_one_everything_is_answered() {
    others_get_their_share_next_to(Greed::Absent).await;
}

#[tokio::test]
async fn a_shopper_with_two_tabs_of_fresh_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::Tabs).await;
}

#[tokio::test]
async fn a_client_with_seventy_fresh_points_a_second_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::FreshPoints).await;
}

#[tokio::test]
async fn a_client_with_a_flood_of_misses_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::Misses).await;
}

#[tokio::test]
async fn a_client_with_a_flood_of_fresh_contacts_takes_no_share_of_others() {
    others_get_their_share_next_to(Greed::FreshContacts).await;
}

#[tokio::test]
async fn all_of_another_clients_misses_are_answered_next_to_a_greedy_one() {
    for greed in [
        Greed::Tabs,
        Greed::FreshPoints,
        Greed::Misses,
        Greed::FreshContacts,
    ] {
        let mut load = Load::new().await;
        for step in 0..200 {
            load.be_greedy(greed, step);
            if step.is_multiple_of(8) && step < 24 * 8 {
                let newcomer = load.newcomer();
                load.ask(1, &of(&newcomer));
            }
            settle().await;
            load.app.advance(STEP);
            settle().await;
        }
        assert_eq!(load.answered.of("client-1"), 24, "{greed:?}");
    }
}

#[tokio::test]
async fn a_newcomer_finds_a_slot_though_another_clients_calls_all_hang() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 8).await;
    let ids = ids(&app);
    app.engage.fault_times(Endpoint::Overview, Fault::Hang, 6);
    let greedy: Vec<_> = ids[..20]
        .iter()
        .map(|id| app.ask_as(TILL, &of(id)))
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
async fn who_shares_a_greedy_clients_call_does_not_wait_for_its_turns() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 1).await;
    let ids = ids(&app);
    let hold = app.engage.hold(Endpoint::All);
    let mut asked = vec![app.ask_as(TILL, &of(&ids[0]))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    for (waiting, id) in ids[1..10].iter().enumerate() {
        asked.push(app.ask_as(TILL, &of(id)));
        queued(&app, waiting + 1).await;
    }
    let other = app.ask_as(READER, &of(&ids[9]));
    arrive().await;
    for calls in 2..=3 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    hold.release();
    other.await.expect("an answer").assert_ok();
    assert_eq!(app.engage.log()[2].parameter("contactId"), Some(&*ids[9]));
    for asked in asked {
        asked.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn what_one_contact_is_asked_fresh_is_shared_and_begins_after_each_came() {
    let app = TestApp::with(ten_clients).await;
    let fresh = format!("contactId={}&parts=points&fresh=points", ALVA.id);
    app.get_as(&key(0), &fresh).await.assert_ok();
    app.engage.reset_log();
    for balance in 1..=4 {
        app.engage.contact(ALVA.id).points(&balance.to_string());
        let answer = app.get_as(&key(0), &fresh).await;
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(balance));
    }
    // The allowance is spent: who comes within fifty milliseconds shares the next call.
    let mut asked = Vec::new();
    for balance in 5..=30 {
        app.engage.contact(ALVA.id).points(&balance.to_string());
        asked.push(app.ask_as(&key(0), &fresh));
        arrive().await;
        app.advance(Duration::from_millis(1));
    }
    assert_eq!(app.engage.total_calls(), 4);
    app.advance(Duration::from_millis(24));
    for asked in asked {
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(30));
    }
    assert_eq!(app.engage.total_calls(), 5);
    // Who does not ask fresh does not wait for it.
    app.get_as(&key(0), &format!("contactId={}&parts=points", ALVA.id))
        .await
        .assert_ok()
        .assert_hit();
}
