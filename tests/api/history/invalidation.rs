//! What invalidates a history, even while a call for it is in flight (P3).

use std::time::Duration;

use engage_bff::domain::{Part, PartSet};
use engage_simulator::{Endpoint, VoucherSeed, fixtures::ALVA};
use reqwest::Method;
use serde_json::{Value, json};

use super::{EACH, PURCHASES, REDEEMED, TRANSACTIONS, alva, app, calls_of, each};
use crate::{
    audit,
    harness::{Answer, TestApp, id, let_requests_arrive, logs},
    operators::operate,
};

const ALL: &str = "pointTransactions,redeemedVouchers,purchases";
const VOUCHER: &str = "8d31c000-2001-4c22-b002-b2d200c00001";

/// Changes every part of the history.
fn change(app: &TestApp) {
    app.engage
        .contact(ALVA.id)
        .points("400")
        .redeem_voucher(VOUCHER)
        .purchases(json!({"purchaseAmountAll": 5}));
}

/// Which parts of an answer show the change.
#[track_caller]
fn changed(answer: &Answer) -> [bool; 3] {
    [
        each(answer, TRANSACTIONS, "amount").contains(&json!(82.5)),
        each(answer, REDEEMED, "id").contains(&json!(VOUCHER)),
        answer.at("/purchases/all/amount") == json!(5),
    ]
}

async fn invalidate(app: &TestApp, parts: PartSet) {
    let done = app.customers.invalidate(id(ALVA.id), parts).await;
    done.expect("there is no shared tier");
}

#[tokio::test]
async fn each_part_is_invalidated_with_points_vouchers_and_profile() {
    for (part, expected) in [
        (Part::Points, [true, false, false]),
        (Part::Vouchers, [false, true, false]),
        (Part::Profile, [false, false, true]),
        (Part::Promotions, [false, false, false]),
    ] {
        let app = app().await;
        app.get(&alva(ALL)).await.assert_ok();
        change(&app);
        assert_eq!(changed(&app.get(&alva(ALL)).await), [false; 3]);
        invalidate(&app, part.into()).await;
        assert_eq!(changed(&app.get(&alva(ALL)).await), expected, "{part:?}");
    }
}

#[tokio::test]
async fn webhooks_invalidate_the_history() {
    let secret = engage_simulator::DEFAULT_WEBHOOK_SECRET;
    for (event, expected) in [
        ("point.balance.updated", [true, false, false]),
        ("loyalty.addPoints", [true, false, false]),
        ("reward.voucher.created", [true, true, false]),
        ("contact.updated", [false, false, true]),
        ("promotion.multichannel.assigned", [false, false, false]),
    ] {
        let app = TestApp::with(|config| config.webhooks.secrets = vec![secret.into()]).await;
        app.get(&alva(ALL)).await.assert_ok();
        change(&app);
        let (headers, body) = app.engage.webhook(event, ALVA.id);
        assert_eq!(app.deliver(headers, body).await.status, 204, "{event}");
        assert_eq!(changed(&app.get(&alva(ALL)).await), expected, "{event}");
    }
}

#[tokio::test]
async fn operators_purges_drop_the_history() {
    let contact = format!("/cache/contacts/{}", ALVA.id);
    let email = json!({"email": ALVA.email, "contactType": "Member"}).to_string();
    for (method, target, body) in [
        (Method::DELETE, &*contact, ""),
        (Method::POST, "/cache/purge", &*email),
        (Method::POST, "/cache/purge", "{\"all\": true}"),
    ] {
        let app = app().await;
        app.get(&alva(ALL)).await.assert_ok();
        change(&app);
        let done = operate(&app, method, target, body).await;
        assert_eq!(done.status, 204, "{target}");
        assert_eq!(changed(&app.get(&alva(ALL)).await), [true; 3], "{target}");
        app.get(&alva(ALL)).await.assert_hit();
    }
}

#[tokio::test]
async fn while_the_cache_is_off_each_request_asks_engage() {
    let app = app().await;
    app.get(&alva(ALL)).await.assert_ok();
    operate(&app, Method::PUT, "/cache/enabled", "false").await;
    app.engage.reset_log();
    for number in 1..=2 {
        let answer = app.get(&alva(ALL)).await;
        answer
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=bypass");
        for (part, endpoint) in EACH {
            let calls = number * calls_of(part);
            assert_eq!(app.engage.calls(endpoint), calls, "{part}");
        }
    }
    change(&app);
    operate(&app, Method::PUT, "/cache/enabled", "true").await;
    assert_eq!(changed(&app.get(&alva(ALL)).await), [true; 3]);
}

#[tokio::test]
async fn history_in_flight_is_discarded_by_an_invalidation() {
    for (part, endpoint) in EACH {
        let app = app().await;
        let hold = app.engage.hold(endpoint);
        let waiting = app.spawn_get(&alva(part));
        app.engage.wait_for_calls(endpoint, 1).await;
        change(&app);
        invalidate(&app, PartSet::ALL).await;
        let later = app.spawn_get(&alva(part));
        let_requests_arrive().await;
        hold.release();
        let is_new = |answer: &Answer| match part {
            TRANSACTIONS => each(answer, TRANSACTIONS, "amount").contains(&json!(82.5)),
            REDEEMED => each(answer, REDEEMED, "id").contains(&json!(VOUCHER)),
            _ => answer.at("/purchases/all/amount") == json!(5),
        };
        for answer in [waiting, later] {
            let answer = answer.await.expect("an answer");
            assert!(is_new(&answer), "{part}");
        }
        let cached = app.get(&alva(part)).await;
        cached.assert_hit();
        assert!(is_new(&cached), "{part}");
        assert_eq!(app.engage.calls(endpoint), 2 * calls_of(part), "{part}");
    }
}

#[tokio::test]
async fn invalidation_during_a_call_for_history_reaches_the_other_parts() {
    let app = app().await;
    app.get(&alva("points,vouchers")).await.assert_ok();
    let hold = app.engage.hold(Endpoint::Purchases);
    let waiting = app.spawn_get(&alva(&format!("points,vouchers,{PURCHASES}")));
    app.engage.wait_for_calls(Endpoint::Purchases, 1).await;
    app.engage
        .contact(ALVA.id)
        .points("400")
        .attribute("firstName", json!("Alvina"))
        .add_voucher(VoucherSeed::worth("1", "SEK").number("77"));
    invalidate(&app, PartSet::ALL).await;
    hold.release();
    let answer = waiting.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/points/balance"), json!(400));
    assert_eq!(answer.at("/profile/firstName"), "Alvina");
    assert_eq!(answer.at("/vouchers/2/code"), "77");
    assert!(answer.at("/purchases").is_object());
    assert_eq!(answer.at("/degraded"), json!([]));
}

#[tokio::test]
async fn moved_address_is_not_answered_with_the_former_owners_history() {
    let app = audit::spawn().await;
    app.get(&alva("none")).await.assert_ok();
    let query = format!("email={}&parts={PURCHASES}", ALVA.email);
    app.get(&query).await.assert_ok();
    invalidate(&app, Part::Profile.into()).await;
    let hold = app.engage.hold(Endpoint::Purchases);
    let waiting = app.spawn_get(&query);
    app.engage.wait_for_calls(Endpoint::Purchases, 2).await;
    let new_owner = engage_simulator::fixtures::DORA.id;
    app.engage.move_email(ALVA.id, new_owner);
    for contact in [ALVA.id, new_owner] {
        let done = app.customers.invalidate(id(contact), PartSet::ALL).await;
        done.expect("there is no shared tier");
    }
    hold.release();
    let answer = waiting.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/contactId"), new_owner);
    let logs = logs();
    let audited = logs
        .lines()
        .rfind(|line| line.contains("full view requested"));
    let is_named = |line: &str| line.contains(&audit::digest(new_owner));
    assert!(audited.is_some_and(is_named), "{audited:?}");
    assert_eq!(answer.at("/purchases"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([]));
}

#[tokio::test]
async fn deleted_contacts_history_does_not_come_back() {
    let app = app().await;
    let hold = app.engage.hold(Endpoint::Purchases);
    let waiting = app.spawn_get(&alva(PURCHASES));
    app.engage.wait_for_calls(Endpoint::Purchases, 1).await;
    app.engage.contact(ALVA.id).delete();
    app.customers
        .purge(id(ALVA.id))
        .await
        .expect("there is no shared tier");
    hold.release();
    let answer = waiting.await.expect("an answer");
    answer.assert_problem(404, "ContactNotFound");
    app.advance(Duration::from_secs(1));
    let answer = app.get(&alva(PURCHASES)).await;
    answer.assert_problem(404, "ContactNotFound");
}
