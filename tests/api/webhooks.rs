//! Engage's webhooks: verification, the effect of each event, and what a delivery never does.

mod contacts;
mod feed;
mod gaps;
mod interleavings;
mod refusals;
mod unauthenticated;

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET, Endpoint,
    fixtures::{ALVA, BO},
    sign,
};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::harness::{Answer, OVERVIEW_HAS_POINTS, START, TestApp};

const LAG: Duration = Duration::from_secs(600);
const KEY: &str = "0123456789abcdef0123456789abcdef";
/// A query by an e-mail address that no contact has at first.
const UNKNOWN: &str = "email=unknown@example.com";

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

/// Accepts webhooks signed with the simulator's secret.
fn with_secret(config: &mut Config) {
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
}

/// Headers of a body signed this many seconds after the start.
fn signed(secret: &str, id: &str, second: i64, body: &str) -> HeaderMap {
    let start: Timestamp = START.parse().expect("a time");
    let at = start.as_second() + second;
    let signature = sign(secret, id, at, body).expect("a secret");
    headers([
        ("svix-id", id),
        ("svix-timestamp", &at.to_string()),
        ("svix-signature", &signature),
    ])
}

fn headers<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let pairs = pairs.into_iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a header's name");
        (name, value.parse().expect("a header's value"))
    });
    pairs.collect()
}

/// Delivers the simulator's webhook for the event.
async fn deliver(app: &TestApp, event: &str, contact: &str) -> Answer {
    let (headers, body) = app.engage.webhook(event, contact);
    app.deliver(headers, body).await
}

#[track_caller]
fn assert_accepted(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (204, ""));
}

/// The number of deliveries in the metrics.
async fn count(app: &TestApp, event: &str, outcome: &str) -> Option<u64> {
    let metrics = app.operations("/metrics").await;
    let name = format!("engage_bff_webhooks_total{{event=\"{event}\",outcome=\"{outcome}\"}} ");
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(&name));
    line.map(|count| count.parse().expect("a number"))
}

/// The upstream calls after an event if everything was cached before.
fn refills(event: &str) -> Vec<Endpoint> {
    let mut refills = match event {
        "contact.created" => vec![],
        "contact.updated"
        | "contact.acceptsEmail.changed"
        | "contact.acceptsSms.changed"
        | "contact.acceptsPostal.changed"
        | "contact.consent.changed" => vec![Endpoint::Contact],
        "point.balance.updated" | "loyalty.addPoints" => vec![Endpoint::PointAccounts],
        "reward.voucher.created" => vec![Endpoint::Vouchers, Endpoint::PointAccounts],
        "promotion.multichannel.assigned" => vec![Endpoint::Promotions],
        _ => vec![
            Endpoint::Contact,
            Endpoint::Promotions,
            Endpoint::Vouchers,
            Endpoint::PointAccounts,
        ],
    };
    refills.sort_by_key(|endpoint| format!("{endpoint:?}"));
    refills
}

const EVENTS: [&str; 11] = [
    "contact.created",
    "contact.updated",
    "contact.acceptsEmail.changed",
    "contact.acceptsSms.changed",
    "contact.acceptsPostal.changed",
    "contact.consent.changed",
    "point.balance.updated",
    "loyalty.addPoints",
    "reward.voucher.created",
    "promotion.multichannel.assigned",
    "something.new.happened",
];

#[tokio::test]
async fn each_event_invalidates_only_its_parts() {
    for event in EVENTS {
        let app = TestApp::with(with_secret).await;
        app.get(&by_email()).await.assert_ok();
        app.get(&by_email()).await.assert_hit();
        app.engage.reset_log();
        assert_accepted(&deliver(&app, event, ALVA.id).await);
        // A webhook costs no calls: most contacts are not read again.
        assert_eq!(app.engage.total_calls(), 0, "{event}");
        app.get(&by_email()).await.assert_ok();
        let mut called: Vec<Endpoint> = app.engage.log().iter().map(|call| call.endpoint).collect();
        called.sort_by_key(|endpoint| format!("{endpoint:?}"));
        assert_eq!(called, refills(event), "{event}");
        app.get(&by_email()).await.assert_hit();
        let label = if event.starts_with("something") {
            "(other)"
        } else {
            event
        };
        assert_eq!(count(&app, label, "taken").await, Some(1), "{event}");
    }
}

#[tokio::test]
async fn contact_events_drop_negative_entries() {
    for (event, found) in [
        ("contact.created", true),
        ("contact.updated", true),
        ("contact.acceptsEmail.changed", true),
        ("contact.consent.changed", true),
        ("contact.deleted", true),
        ("point.balance.updated", false),
        ("loyalty.addPoints", false),
        ("reward.voucher.created", false),
        ("promotion.multichannel.assigned", false),
    ] {
        let app = TestApp::with(with_secret).await;
        app.get(UNKNOWN)
            .await
            .assert_problem(404, "ContactNotFound");
        let body = json!({"email": "unknown@example.com"});
        let id = app.engage.create(body, "Member");
        app.get(UNKNOWN)
            .await
            .assert_problem(404, "ContactNotFound");
        // The contact of the event does not matter: of a new contact Engage sends only the id.
        let contact = if event == "contact.created" {
            &id
        } else {
            ALVA.id
        };
        assert_accepted(&deliver(&app, event, contact).await);
        let answer = app.get(UNKNOWN).await;
        assert_eq!(answer.status == 200, found, "{event}");
    }
}

#[tokio::test]
async fn deleted_contact_is_404_at_once_despite_overview_lag() {
    let app = TestApp::with(with_secret).await;
    app.engage.set_overview_lag(LAG);
    let by_id = format!("contactId={}", ALVA.id);
    app.get(&by_email()).await.assert_ok();
    app.get(&by_id).await.assert_ok();
    app.advance(Duration::from_secs(1));
    app.engage.contact(ALVA.id).delete();
    app.get(&by_email()).await.assert_hit();
    assert_accepted(&deliver(&app, "contact.deleted", ALVA.id).await);
    for _ in 0..3 {
        for query in [&by_id, &by_email()] {
            app.get(query).await.assert_problem(404, "ContactNotFound");
        }
        app.advance(Duration::from_secs(100));
    }
}

#[tokio::test]
async fn payload_values_are_never_used() {
    let app = TestApp::with(with_secret).await;
    app.get(&by_email()).await.assert_ok();
    let body = json!({
        "eventId": "1", "eventType": "point.balance.updated", "isEncrypted": false, "tenant": "t",
        "payload": {
            "contactId": ALVA.id, "balance": 999_999.5, "accountId": 123, "definitionId": 1,
        },
    });
    let body = body.to_string();
    let headers = signed(DEFAULT_WEBHOOK_SECRET, "msg_1", 0, &body);
    assert_accepted(&app.deliver(headers, body).await);
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/points/balance"), json!(317.5));
}

#[tokio::test]
async fn signature_covers_the_byte_order_mark_which_is_skipped() {
    let app = TestApp::with(with_secret).await;
    let body = json!({
        "eventId": "1", "eventType": "contact.updated", "isEncrypted": false, "tenant": "t",
        "payload": { "contactId": ALVA.id },
    });
    let marked = format!("\u{feff}{body}");
    let headers = signed(DEFAULT_WEBHOOK_SECRET, "msg_1", 0, &marked);
    assert_accepted(&app.deliver(headers, marked.clone()).await);
    let unmarked = signed(DEFAULT_WEBHOOK_SECRET, "msg_2", 0, &body.to_string());
    assert_eq!(app.deliver(unmarked, marked).await.status, 401);
}

#[tokio::test]
async fn contact_id_is_found_in_every_spelling_of_key_and_value() {
    for (index, payload) in [
        json!({"contactId": ALVA.id}),
        json!({"ContactId": ALVA.id}),
        json!({"CONTACTID": ALVA.id.to_uppercase()}),
        json!({"contactid": ALVA.id}),
        json!({"contactId": null, "ContactId": ALVA.id}),
    ]
    .into_iter()
    .enumerate()
    {
        let app = TestApp::with(with_secret).await;
        app.get(&by_email()).await.assert_ok();
        let body =
            json!({"id": "1", "eventType": "promotion.multichannel.assigned", "payload": payload});
        let body = body.to_string();
        let headers = signed(DEFAULT_WEBHOOK_SECRET, "msg_1", 0, &body);
        assert_accepted(&app.deliver(headers, body).await);
        app.engage.reset_log();
        app.get(&by_email()).await.assert_ok();
        assert_eq!(app.engage.calls(Endpoint::Promotions), 1, "{index}");
    }
}

#[tokio::test]
async fn delivery_without_a_contact_is_accepted_and_counted_without_effect() {
    let app = TestApp::with(with_secret).await;
    app.get(&by_email()).await.assert_ok();
    for (index, body) in [
        json!({"eventType": "loyalty.addPoints", "payload": {"amount": 1}}),
        json!({"eventType": "something.new", "payload": {"contactId": 12}}),
        json!({"eventType": "something.new", "payload": {"contactId": "unknown"}}),
        json!({"eventType": "something.new", "payload": "text"}),
        json!({"eventType": ["?"], "payload": [ALVA.id]}),
        json!({}),
    ]
    .into_iter()
    .enumerate()
    {
        let body = body.to_string();
        let id = format!("msg_{index}");
        let headers = signed(DEFAULT_WEBHOOK_SECRET, &id, 0, &body);
        assert_accepted(&app.deliver(headers, body).await);
    }
    app.get(&by_email()).await.assert_hit();
    assert_eq!(
        count(&app, "loyalty.addPoints", "unaddressed").await,
        Some(1)
    );
    assert_eq!(count(&app, "(other)", "unaddressed").await, Some(5));
}

/// Recorded bodies and headers: exact bytes, signed at one time.
#[tokio::test]
async fn recorded_deliveries_are_verified_byte_for_byte() {
    let signing: Value =
        serde_json::from_str(include_str!("../fixtures/webhooks/signing.json")).expect("JSON");
    let secret = signing["secret"].as_str().expect("text");
    let at = signing["svixTimestamp"].as_i64().expect("a number");
    let app = TestApp::with(|config| config.webhooks.secrets = vec![secret.into()]).await;
    app.jump_wall(Timestamp::from_second(at).expect("a time"));
    let deliveries = signing["deliveries"].as_array().expect("a list");
    assert_eq!(deliveries.len(), 16);
    for delivery in deliveries {
        let name = delivery["name"].as_str().expect("text");
        let file = |kind: &str| {
            let path = format!(
                "{}/tests/fixtures/webhooks/{name}.{kind}.json",
                env!("CARGO_MANIFEST_DIR")
            );
            std::fs::read_to_string(path)
        };
        let recorded: Value =
            serde_json::from_str(&file("headers").expect("a file")).expect("JSON");
        let pairs = recorded.as_object().expect("an object").iter();
        let headers =
            headers(pairs.map(|(name, value)| (name.as_str(), value.as_str().expect("text"))));
        let answer = app.deliver(headers, file("body").expect("a file")).await;
        match name {
            "tampered" => {
                answer.assert_problem(401, "Unauthorized");
            }
            "point.balance.updated-encrypted" => {
                answer.assert_problem(503, "WebhookUnreadable");
            }
            _ => assert_accepted(&answer),
        }
    }
}

#[tokio::test]
async fn both_secrets_are_accepted_during_a_rotation() {
    const NEW: &str = "whsec_bmV3LXNlY3JldC1vZi10ZXN0cw==";
    let app = TestApp::with(|config| {
        config.webhooks.secrets = vec![NEW.into(), DEFAULT_WEBHOOK_SECRET.into()];
    })
    .await;
    let body =
        json!({"eventType": "contact.updated", "payload": {"contactId": ALVA.id}}).to_string();
    for (id, secret) in [("msg_1", NEW), ("msg_2", DEFAULT_WEBHOOK_SECRET)] {
        let headers = signed(secret, id, 0, &body);
        assert_accepted(&app.deliver(headers, body.clone()).await);
    }
    // Svix signs with both secrets, and a signature of an unknown version may be present.
    let mut both = signed("whsec_b3RoZXI=", "msg_3", 0, &body);
    let other = both["svix-signature"].to_str().expect("text").to_owned();
    let right = signed(NEW, "msg_3", 0, &body);
    let right = right["svix-signature"].to_str().expect("text");
    let all = format!("v1a,AAAA {other} {right}");
    both.insert("svix-signature", all.parse().expect("a value"));
    assert_accepted(&app.deliver(both, body).await);
}

#[tokio::test]
async fn standard_webhooks_header_names_are_accepted() {
    let app = TestApp::with(with_secret).await;
    let body =
        json!({"eventType": "contact.updated", "payload": {"contactId": ALVA.id}}).to_string();
    let svix = signed(DEFAULT_WEBHOOK_SECRET, "msg_1", 0, &body);
    let text = |name: &str| svix[name].to_str().expect("text");
    let standard = headers([
        ("webhook-id", text("svix-id")),
        ("webhook-timestamp", text("svix-timestamp")),
        ("webhook-signature", text("svix-signature")),
    ]);
    assert_accepted(&app.deliver(standard, body).await);
}

#[tokio::test]
async fn late_repeated_and_reordered_deliveries_never_restore_old_data() {
    let app = TestApp::with(with_secret).await;
    app.engage.set_overview_lag(LAG);
    app.send_webhooks();
    app.get(&by_email()).await.assert_ok();
    for balance in ["1", "22.5", "333"] {
        app.advance(Duration::from_secs(1));
        let alva = app.engage.contact(ALVA.id).points(balance);
        drop(alva.attribute("firstName", json!(format!("Alva {balance}"))));
        app.engage.webhooks_settled().await;
    }
    let assert_current = |answer: &Answer| {
        answer.assert_ok();
        assert_eq!(answer.at("/points/balance"), json!(333));
        assert_eq!(answer.at("/profile/firstName"), "Alva 333");
        assert_eq!(answer.at("/degraded"), json!([]));
    };
    assert_current(&app.get(&by_email()).await);
    for hours in [0, 1, 10, 17] {
        app.advance(Duration::from_secs(hours * 3600));
        app.engage.resend_webhooks(hours % 2 == 1);
        app.engage.webhooks_settled().await;
        assert_current(&app.get(&by_email()).await);
    }
    let deliveries = app.engage.deliveries();
    assert!(
        deliveries
            .iter()
            .all(|delivery| delivery.status == Some(204))
    );
}

#[tokio::test]
async fn repeated_message_is_accepted_without_effect() {
    let app = TestApp::with(with_secret).await;
    let (headers, body) = app.engage.webhook("point.balance.updated", ALVA.id);
    assert_accepted(&app.deliver(headers.clone(), body.clone()).await);
    app.get(&by_email()).await.assert_ok();
    app.get(&by_email()).await.assert_hit();
    assert_accepted(&app.deliver(headers, body).await);
    app.get(&by_email()).await.assert_hit();
    assert_eq!(count(&app, "point.balance.updated", "taken").await, Some(1));
    assert_eq!(
        count(&app, "point.balance.updated", "repeated").await,
        Some(1)
    );
}

#[tokio::test]
async fn encrypted_payloads_are_decrypted_with_the_key() {
    let app = TestApp::with(|config| {
        with_secret(config);
        config.webhooks.encryption_key = Some(KEY.into());
    })
    .await;
    app.get(&by_email()).await.assert_ok();
    app.engage.encrypt_webhooks(Some(KEY));
    app.engage.reset_log();
    assert_accepted(&deliver(&app, "promotion.multichannel.assigned", ALVA.id).await);
    app.get(&by_email()).await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::Promotions), 1);
    assert_eq!(app.engage.total_calls(), 1);
    // An unencrypted payload is still accepted.
    app.engage.encrypt_webhooks(None);
    assert_accepted(&deliver(&app, "point.balance.updated", ALVA.id).await);
    app.get(&by_email()).await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
    assert!(!OVERVIEW_HAS_POINTS || app.overview_calls() == 0);
}

#[tokio::test]
async fn email_of_a_deleted_contact_resolves_to_its_next_owner() {
    let app = TestApp::with(with_secret).await;
    let by_name = format!("email={}&contactType=Contact&parts=none", BO.email);
    app.get(&by_email()).await.assert_ok();
    app.get(&by_name).await.assert_ok();
    for person in [ALVA, BO] {
        app.engage.contact(person.id).delete();
        assert_accepted(&deliver(&app, "contact.deleted", person.id).await);
    }
    let id = app.engage.create(json!({"email": BO.email}), "Contact");
    let answer = app.get(&by_name).await;
    assert_eq!(answer.assert_ok().at("/contactId"), id.as_str());
    app.advance(Duration::from_secs(2));
    app.operations("/metrics").await.assert_ok();
    let answer = app.get(&by_name).await;
    assert_eq!(answer.assert_ok().at("/contactId"), id.as_str());
}
