//! Items that come back: a redeemed voucher that has not expired may become available again, without an event. And a
//! contact's type may change while no identifier moves.

use std::time::Duration;

use engage_bff::config::Config;
use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET,
    fixtures::{ALVA, CIM},
};
use serde_json::{Value, json};

use super::{LAG, VOUCHER, alvas_email, assert_taken, by_email, report};
use crate::harness::TestApp;

/// The ids of Alva's vouchers in the response, and whether `VOUCHER` is listed under `expiringSoon`.
async fn vouchers(app: &TestApp) -> (Vec<Value>, bool) {
    let answer = app
        .get(&format!("{}&expiringWithin=365d", by_email()))
        .await;
    assert_eq!(answer.assert_ok().at("/degraded"), json!([]));
    let vouchers = answer.at("/vouchers");
    let ids = vouchers.as_array().expect("a list").iter();
    let soon = answer.at("/expiringSoon");
    let mut soon = soon.as_array().expect("a list").iter();
    let expires = soon.any(|item| item["id"] == VOUCHER);
    (ids.map(|voucher| voucher["id"].clone()).collect(), expires)
}

#[tokio::test]
async fn redeemed_voucher_goes_and_a_reactivated_one_comes_back() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let voucher = json!(VOUCHER);
    let (all, _) = vouchers(&app).await;
    assert!(all.contains(&voucher) && all.len() == 2, "{all:?}");
    for _ in 0..3 {
        app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
        let body = json!({"contactId": ALVA.id, "parts": ["vouchers"]});
        assert_taken(&report(&app, body).await);
        let (left, expires) = vouchers(&app).await;
        assert!(!left.contains(&voucher) && !expires, "{left:?}");
        app.engage.contact(ALVA.id).reactivate_voucher(VOUCHER);
        assert_taken(&report(&app, alvas_email()).await);
        let (back, expires) = vouchers(&app).await;
        assert_eq!((&back, expires), (&all, true));
    }
}

#[tokio::test]
async fn reactivated_voucher_comes_back_without_a_report_too() {
    let app = TestApp::spawn().await;
    app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    let (left, _) = vouchers(&app).await;
    assert_eq!(left.len(), 1);
    app.engage.contact(ALVA.id).reactivate_voucher(VOUCHER);
    let (left, _) = vouchers(&app).await;
    assert_eq!(left.len(), 1, "cached");
    let fresh = app.get(&format!("{}&fresh=vouchers", by_email())).await;
    let back = fresh.assert_ok().at("/vouchers");
    assert_eq!(back.as_array().map(Vec::len), Some(2));
    assert_eq!(vouchers(&app).await.0.len(), 2);
}

/// Look-ups of Cim by e-mail address, phone number and contact id, without the contact type.
fn lookups() -> [Value; 3] {
    [
        json!({"email": CIM.email}),
        json!({"mobilePhone": CIM.phone}),
        json!({"contactId": CIM.id}),
    ]
}

fn typed(lookup: &Value, contact_type: &str) -> Value {
    let mut body = lookup.clone();
    body["contactType"] = json!(contact_type);
    body
}

/// Cim becomes a `Gold` contact after look-ups with these contact types; no identifier moves.
async fn change_type(app: &TestApp, lookup: &Value, cached: &[&str]) {
    // A tenant knows a contact type before any contact has it; the simulator learns it from a first contact.
    app.engage.create(json!({}), "Gold");
    for contact_type in cached {
        app.lookup(typed(lookup, contact_type)).await;
    }
    app.engage.contact(CIM.id).contact_type("Gold");
}

async fn assert_former(app: &TestApp, lookup: &Value) {
    let former = app.lookup(typed(lookup, "Member")).await;
    former.assert_problem(404, "ContactNotFound");
}

async fn assert_found(app: &TestApp, lookup: &Value) {
    let found = app.lookup(typed(lookup, "Gold")).await;
    assert_eq!(found.assert_ok().at("/contactId"), CIM.id, "{lookup}");
    assert_eq!(found.at("/contactType"), "Gold");
}

fn with_secret(config: &mut Config) {
    config.webhooks.secrets = vec![DEFAULT_WEBHOOK_SECRET.into()];
}

async fn deliver_update(app: &TestApp) {
    let (headers, body) = app.engage.webhook("contact.updated", CIM.id);
    assert_eq!(app.deliver(headers, body).await.status, 204);
}

#[tokio::test]
async fn contact_is_found_only_by_its_new_type_after_a_webhook() {
    for cached in [&[][..], &["Member"], &["Gold"], &["Member", "Gold"]] {
        for lookup in lookups() {
            let app = TestApp::with(with_secret).await;
            change_type(&app, &lookup, cached).await;
            deliver_update(&app).await;
            for _ in 0..2 {
                assert_former(&app, &lookup).await;
                assert_found(&app, &lookup).await;
            }
        }
    }
}

#[tokio::test]
async fn cached_contact_is_not_found_by_its_former_type_during_the_lag() {
    for lookup in lookups() {
        let app = TestApp::with(with_secret).await;
        app.engage.set_overview_lag(LAG);
        change_type(&app, &lookup, &["Member"]).await;
        deliver_update(&app).await;
        for _ in 0..3 {
            assert_former(&app, &lookup).await;
            app.advance(Duration::from_secs(70));
        }
        app.advance(LAG);
        assert_found(&app, &lookup).await;
    }
}

#[tokio::test]
async fn reported_type_is_found_during_the_lag() {
    for cached in [&[][..], &["Member", "Gold"]] {
        // Engage resolves a contact id with a type only through its overview.
        for lookup in &lookups()[..2] {
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            change_type(&app, lookup, cached).await;
            for contact_type in ["Member", "Gold"] {
                assert_taken(&report(&app, typed(lookup, contact_type)).await);
            }
            for _ in 0..2 {
                assert_former(&app, lookup).await;
                assert_found(&app, lookup).await;
            }
        }
    }
}
