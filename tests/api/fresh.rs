//! `fresh=`: current parts from their entity endpoints, and what later requests get (P4, the refill rule).

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault, VoucherSeed,
    fixtures::{ALVA, BO},
};
use serde_json::json;

use crate::harness::{Answer, READER, SHOP, TestApp, let_requests_arrive};

const NEW_VOUCHER: &str = "8d31c000-2009-4c22-b002-b2d200c00009";
const NEW_PROMOTION: &str = "7c20b000-1009-4b11-a001-b2d100b00009";

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

/// Changes every part of Alva that can be requested fresh.
fn change_everything(app: &TestApp) {
    app.engage
        .contact(ALVA.id)
        .points("742.25")
        .add_voucher(VoucherSeed::worth("75", "SEK").id(NEW_VOUCHER))
        .add_promotion(json!({"id": NEW_PROMOTION, "name": "New"}))
        .attribute("firstName", json!("Alvina"));
}

fn contains(answer: &Answer, list: &str, id: &str) -> bool {
    let list = answer.at(list);
    let list = list.as_array().expect("a list");
    list.iter().any(|item| item["id"] == id)
}

fn shows_new(answer: &Answer) -> [bool; 4] {
    [
        answer.at("/points/balance") == json!(742.25),
        contains(answer, "/vouchers", NEW_VOUCHER),
        contains(answer, "/promotions", NEW_PROMOTION),
        answer.at("/profile/firstName") == "Alvina",
    ]
}

#[tokio::test]
async fn fresh_part_replaces_the_cached_one_for_all_later_requests() {
    for (part, index) in [
        ("points", 0),
        ("vouchers", 1),
        ("promotions", 2),
        ("profile", 3),
    ] {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(Duration::from_secs(600));
        app.get(&alva()).await.assert_ok();
        change_everything(&app);
        let before = app.get(&alva()).await;
        before.assert_hit();
        assert_eq!(shows_new(&before), [false; 4]);
        let calls = app.engage.total_calls();

        let fresh = app.get(&format!("{}&fresh={part}", alva())).await;
        fresh
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=request; stored");
        assert_eq!(fresh.header("age"), "0");
        let mut expected = [false; 4];
        expected[index] = true;
        assert_eq!(shows_new(&fresh), expected, "{part}");
        assert_eq!(app.engage.total_calls(), calls + 1, "{part}");
        assert_eq!(app.overview_calls(), 1);

        let plain = app.get(&alva()).await;
        plain.assert_hit();
        assert_eq!(shows_new(&plain), expected, "{part}");
        assert_eq!(app.engage.total_calls(), calls + 1, "{part}");
    }
}

#[tokio::test]
async fn fresh_all_calls_four_entity_endpoints_concurrently_and_no_overview() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(Duration::from_secs(600));
    app.get(&alva()).await.assert_ok();
    change_everything(&app);
    app.engage.reset_log();
    let hold = app.engage.hold(Endpoint::All);
    let fresh = app.spawn_get(&format!("{}&fresh=all", alva()));
    app.engage.wait_for_calls(Endpoint::All, 4).await;
    assert_eq!(app.engage.in_flight(), 4);
    hold.release();
    let fresh = fresh.await.expect("an answer");
    assert_eq!(shows_new(fresh.assert_ok()), [true; 4]);
    for endpoint in [
        Endpoint::Contact,
        Endpoint::Promotions,
        Endpoint::Vouchers,
        Endpoint::PointAccounts,
    ] {
        assert_eq!(app.engage.calls(endpoint), 1, "{endpoint:?}");
    }
    assert_eq!(app.overview_calls(), 0);
}

#[tokio::test]
async fn fresh_all_covers_only_the_requested_parts() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=vouchers", alva());
    app.get(&query).await.assert_ok();
    app.engage.reset_log();
    app.get(&format!("{query}&fresh=all")).await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 1);
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    assert_eq!(app.engage.total_calls(), 2);
    app.get(&format!("{query}&fresh=points"))
        .await
        .assert_problem(400, "InvalidParameter");
}

/// The overview is called first, concurrently with the resolution of an identifier that is no contact id.
async fn cold_and_fresh(query: &str, resolutions: usize) {
    let app = TestApp::spawn().await;
    let first = app.engage.hold(Endpoint::All);
    let pending = app.spawn_get(&format!("{query}&fresh=all"));
    app.engage
        .wait_for_calls(Endpoint::All, 1 + resolutions)
        .await;
    let_requests_arrive().await;
    assert_eq!(app.overview_calls(), 1, "the overview is called first");
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), resolutions);
    assert_eq!(app.engage.total_calls(), 1 + resolutions);
    let entities = app.engage.hold(Endpoint::All);
    first.release();
    app.engage
        .wait_for_calls(Endpoint::All, 5 + resolutions)
        .await;
    assert_eq!(app.engage.in_flight(), 4);
    entities.release();
    let answer = pending.await.expect("an answer");
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=request; stored");
    assert_eq!(answer.at("/contactId"), ALVA.id);
    assert_eq!(answer.at("/degraded"), json!([]));
    assert_eq!(app.engage.total_calls(), 5 + resolutions);
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn cold_fresh_request_by_email_resolves_it_alongside_the_overview() {
    cold_and_fresh(&format!("email={}", ALVA.email), 1).await;
}

#[tokio::test]
async fn cold_fresh_request_by_contact_id_calls_the_overview_then_the_entities() {
    cold_and_fresh(&alva(), 0).await;
}

#[tokio::test]
async fn cold_fresh_request_for_an_unknown_contact_costs_two_calls() {
    let app = TestApp::spawn().await;
    app.get("email=unknown@example.com&fresh=all")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn failed_fresh_part_is_null_and_degraded_not_stale() {
    for (part, endpoint) in [
        ("points", Endpoint::PointAccounts),
        ("vouchers", Endpoint::Vouchers),
        ("promotions", Endpoint::Promotions),
    ] {
        let app = TestApp::spawn().await;
        let before = app.get(&alva()).await;
        app.engage
            .fault(endpoint, Fault::Status(500, json!({"message": "busy"})));
        let fresh = app.get(&format!("{}&fresh={part}", alva())).await;
        fresh.assert_ok();
        assert_eq!(fresh.at(&format!("/{part}")), json!(null));
        assert_eq!(fresh.at(&format!("/freshness/{part}")), json!(null));
        assert_eq!(fresh.at("/degraded"), json!([part]));
        assert_eq!(fresh.at("/profile"), before.at("/profile"));
        assert!(
            fresh
                .header("cache-status")
                .starts_with("engage-bff; fwd=request")
        );
        // A request without `fresh` gets the complete cached record.
        let plain = app.get(&alva()).await;
        plain.assert_ok().assert_hit();
        assert_eq!(plain.json(), before.json());
    }
}

#[tokio::test]
async fn hanging_fresh_part_is_null_at_the_request_timeout() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&alva()).await.assert_ok();
    app.engage.fault(Endpoint::Vouchers, Fault::Hang);
    app.engage.contact(ALVA.id).points("742.25");
    let fresh = app.spawn_get(&format!("{}&fresh=points,vouchers", alva()));
    app.engage.wait_for_calls(Endpoint::Vouchers, 1).await;
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    let_requests_arrive().await;
    app.advance(Duration::from_millis(2500));
    let fresh = fresh.await.expect("an answer");
    assert_eq!(fresh.assert_ok().at("/vouchers"), json!(null));
    assert_eq!(fresh.at("/points/balance"), json!(742.25));
    assert_eq!(fresh.at("/degraded"), json!(["vouchers"]));
}

#[tokio::test]
async fn failed_fresh_profile_returns_the_error_despite_a_cached_record() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    for (fault, status, code) in [
        (Fault::Status(500, json!("busy")), 502, "UpstreamFailed"),
        (Fault::ResetBeforeBody, 502, "UpstreamFailed"),
        (Fault::TruncatedJson, 502, "UpstreamInvalid"),
        (
            Fault::Status(401, json!({"message": "no"})),
            502,
            "UpstreamUnauthorized",
        ),
        (
            Fault::WrongContact(BO.id.to_owned()),
            502,
            "IdentityMismatch",
        ),
    ] {
        app.engage.fault(Endpoint::Contact, fault);
        app.get(&format!("{}&fresh=profile", alva()))
            .await
            .assert_problem(status, code);
    }
    app.get(&alva()).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn hanging_fresh_profile_is_504_at_the_request_timeout() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.engage.fault(Endpoint::Contact, Fault::Hang);
    let fresh = app.spawn_get(&format!("{}&fresh=profile", alva()));
    app.engage.wait_for_calls(Endpoint::Contact, 1).await;
    app.advance(Duration::from_millis(2500));
    let fresh = fresh.await.expect("an answer");
    fresh.assert_problem(504, "UpstreamTimeout");
}

#[tokio::test]
async fn fresh_is_403_without_the_scope_and_served_with_it() {
    let app = TestApp::spawn().await;
    let query = format!("{}&fresh=points", alva());
    app.get_as(READER, &query)
        .await
        .assert_problem(403, "Forbidden");
    assert_eq!(app.engage.total_calls(), 0);
    app.get_as(SHOP, &query).await.assert_ok();
}

#[tokio::test]
async fn fresh_call_fills_the_cache_after_its_caller_disconnects() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let query = format!("{}&parts=points", alva());
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).points("742.25");
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let caller = app.spawn_get(&format!("{query}&fresh=points"));
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    caller.abort();
    let_requests_arrive().await;
    hold.release();
    let is_new = |answer: &Answer| answer.at("/points/balance") == json!(742.25);
    app.get_until(&query, is_new).await.assert_hit();
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
}
