//! The control API.

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO},
};
use serde_json::json;

use crate::harness::{Engage, send};

#[tokio::test]
async fn contacts_are_listed_created_edited_moved_and_deleted() {
    let engage = Engage::start().await;
    let listed = engage
        .control("GET", "/contacts?offset=0&count=2", "")
        .await
        .ok();
    assert_eq!(listed["ids"], json!([ALVA.id, BO.id]));
    assert_eq!(listed["totalCount"], 25);
    let body = r#"{"contactType":"Contact","attributes":{"email":"new@example.com"}}"#;
    let created = engage.control("POST", "/contacts", body).await.ok();
    let path = format!("/contacts/{}", created["id"].as_str().expect("an id"));
    let edits = r#"[{"points":"120.50"},{"pointsOf":[2,"3"]},{"attribute":["shoeSize",41]},
        {"addVoucher":{"amount":"100.00","id":"33330000-0000-4000-8000-000000000001"}},
        {"redeemVoucher":"33330000-0000-4000-8000-000000000001"},
        {"addPromotion":{"name":"N","redemptionChannels":[{"type":"ECOM","valueType":"MONEY","value":{"amount":9.90,"currency":"SEK"}}]}},
        {"preferences":{"acceptsSms":true}},{"contactType":"Member"}]"#;
    engage.control("POST", &path, edits).await.ok();
    let data = engage.control("GET", &path, "").await;
    assert_eq!(data.ok()["meta"]["contactType"], "Member");
    for exact in [
        r#""balance":120.50"#,
        r#""amount":100.00"#,
        r#""amount":9.90"#,
        r#""shoeSize":41"#,
    ] {
        assert!(data.body.contains(exact), "{exact} in {}", data.body);
    }
    let moved = format!(r#"{{"from":"{}","to":"{}"}}"#, ALVA.id, BO.id);
    engage.control("POST", "/move-email", &moved).await.ok();
    let bo = engage.simulator.snapshot(BO.id).expect("Bo");
    assert_eq!(bo["attributes"]["email"], ALVA.email);
    engage.control("DELETE", &path, "").await.ok();
    assert_eq!(engage.control("GET", &path, "").await.status, 404);
    let event = r#"{"id":3,"name":"Event"}"#;
    engage
        .control("POST", "/point-definitions", event)
        .await
        .ok();
    let definitions = "/api/v3/point-accounts/definitions";
    assert_eq!(engage.get(definitions, &[]).await.ok()[2]["name"], "Event");
    let path = "/point-definitions/3";
    engage.control("DELETE", path, "").await.ok();
    assert_eq!(engage.control("DELETE", path, "").await.status, 404);
}

#[tokio::test]
async fn settings_faults_latency_and_time_are_controlled() {
    let engage = Engage::start().await;
    let settings = r#"{"customKey":"externalId","voucherKey":"bonusChecks","wrapPointAccounts":true,
        "pageCap":1,"rateLimit":0,"overviewLagMs":60000,"forbid":false}"#;
    engage.control("POST", "/settings", settings).await.ok();
    let query = [("customKey", ALVA.external_id), ("contactType", "Member")];
    let overview = engage.overview(&query).await.ok();
    assert!(overview["bonusChecks"].is_array());
    let fault = r#"{"endpoint":"overview","fault":{"tooMany":{"retryAfter":"3"}},"times":1}"#;
    engage.control("POST", "/faults", fault).await.ok();
    assert_eq!(engage.overview(&query).await.status, 429);
    for fault in [
        r#""hang""#,
        r#"{"status":[503,"busy"]}"#,
        r#"{"delay":1}"#,
        r#"{"body":"{}"}"#,
        r#"{"raw":"HTTP/1.1 204 No Content\r\n\r\n"}"#,
    ] {
        let body = format!(r#"{{"endpoint":"all","fault":{fault}}}"#);
        engage.control("POST", "/faults", &body).await.ok();
    }
    engage.control("DELETE", "/faults", "").await.ok();
    let latency = r#"{"endpoint":"all","medianMs":1,"sigma":0.1}"#;
    engage.control("POST", "/latency", latency).await.ok();
    engage.overview(&query).await.ok();
    let time = engage
        .control("POST", "/clock", r#"{"advanceMs":60000}"#)
        .await
        .ok();
    assert_eq!(time["now"], "2026-11-23T12:01:00Z");
    let facts = engage.control("GET", "/settings", "").await.ok();
    assert_eq!(
        (&facts["calls"], &facts["contacts"]),
        (&json!(3), &json!(25))
    );
}

#[tokio::test]
async fn holds_and_records_are_controlled() {
    let engage = Engage::start().await;
    let hold = engage
        .control("POST", "/holds", r#"{"endpoint":"overview"}"#)
        .await
        .ok();
    let ask = || {
        let request = engage.request("/api/v3/contactoverview", &[("contactId", ALVA.id)]);
        tokio::spawn(send(request))
    };
    let (one, two) = (ask(), ask());
    engage.simulator.wait_for_calls(Endpoint::Overview, 2).await;
    let calls = engage.control("GET", "/calls", "").await.ok();
    assert_eq!(
        (&calls["inFlight"], &calls["counts"]["overview"]),
        (&json!(2), &json!(2))
    );
    let path = format!("/holds/{}", hold["hold"]);
    engage
        .control("POST", &format!("{path}/release-one"), "")
        .await
        .ok();
    engage.control("DELETE", &path, "").await.ok();
    for caller in [one, two] {
        caller
            .await
            .expect("the caller ran")
            .expect("an answer")
            .ok();
    }
    let log = engage.control("GET", "/calls/log?count=1", "").await.ok();
    assert_eq!(log.as_array().map(Vec::len), Some(1));
    assert_eq!(log[0]["status"], 200);
    engage.control("DELETE", "/calls", "").await.ok();
    assert_eq!(engage.simulator.total_calls(), 0);
}

#[tokio::test]
async fn webhooks_are_controlled() {
    let engage = Engage::start().await;
    let target = format!(
        r#"{{"url":"{}/hooks","secret":"whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X"}}"#,
        engage.simulator.base_url()
    );
    engage.control("POST", "/webhooks", &target).await.ok();
    let event = format!(r#"{{"event":"contact.updated","contactId":"{}"}}"#, ALVA.id);
    engage.control("POST", "/webhooks/send", &event).await.ok();
    engage.simulator.webhooks_settled().await;
    let sent = engage.control("GET", "/webhooks/deliveries", "").await.ok();
    assert_eq!(
        (&sent[0]["event"], &sent[0]["status"]),
        (&json!("contact.updated"), &json!(404))
    );
    let backwards = r#"{"backwards":true}"#;
    engage
        .control("POST", "/webhooks/resend", backwards)
        .await
        .ok();
    engage.simulator.webhooks_settled().await;
    engage.control("DELETE", "/webhooks", "").await.ok();
    engage.simulator.contact(ALVA.id).points("1");
    engage.simulator.webhooks_settled().await;
    let deliveries = engage.simulator.deliveries();
    assert_eq!(deliveries.len(), 2);
    assert_eq!(deliveries[0].id, deliveries[1].id);
}

#[tokio::test]
async fn invalid_requests_are_refused_with_a_message() {
    let engage = Engage::start().await;
    let alva = format!("/contacts/{}", ALVA.id);
    for (path, body) in [
        (alva.as_str(), r#"[{"points":"12,5"}]"#),
        (alva.as_str(), r#"[{"redeemVoucher":"none"}]"#),
        (alva.as_str(), r#"[{"fly":"high"}]"#),
        ("/contacts", r#"{"attributes":[]}"#),
        ("/settings", r#"{"colour":"red"}"#),
        ("/faults", r#"{"endpoint":"nowhere","fault":"hang"}"#),
        ("/latency", r#"{"endpoint":"all","medianMs":3}"#),
        (
            "/webhooks",
            r#"{"url":"http://127.0.0.1:1","secret":"whsec_"}"#,
        ),
        (
            "/webhooks",
            r#"{"url":"http://127.0.0.1:1","secret":"whsec_c2VjcmV0","encryptionKey":"short"}"#,
        ),
        ("/move-email", r#"{"from":"a","to":"b"}"#),
    ] {
        let answer = engage.control("POST", path, body).await;
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(engage.control("GET", "/nowhere", "").await.status, 404);
}
