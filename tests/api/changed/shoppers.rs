//! Reports by shoppers, each about itself only. Any other report is answered with the same 404 and has no effect.

use engage_bff::config::Scope;
use engage_simulator::fixtures::{ALVA, BO, CIM};
use http::header::AUTHORIZATION;
use reqwest::Method;
use serde_json::{Value, json};

use super::{VOUCHER, assert_taken, by_email, called, request, send};
use crate::{
    harness::{Answer, READER, TILL, TestApp},
    issuer::Issuer,
    tokens::{claims, with_config},
};

const SCOPES: &str = "customer:read:self customer:changed";

async fn report(app: &TestApp, token: &str, key: Option<&str>, body: Value) -> Answer {
    let request = request(app, body.to_string());
    let mut request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    send(app, request).await
}

fn of_alva() -> Value {
    let own = json!({
        "contactId": ALVA.id, "email": ALVA.email, "email_verified": true, "scope": SCOPES,
    });
    claims(own)
}

#[tokio::test]
async fn shopper_reports_about_itself() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&of_alva());
    app.get(&by_email()).await.assert_ok();
    for body in [
        json!({"contactId": ALVA.id}),
        json!({"contactId": ALVA.id, "contactType": "Member"}),
        json!({"email": ALVA.email, "parts": ["vouchers", "profile", "points", "promotions"]}),
    ] {
        app.engage.reset_log();
        let answer = report(&app, &token, None, body.clone()).await;
        assert_taken(&answer);
        assert_eq!(answer.header("server-timing"), "");
        app.get(&by_email()).await.assert_ok();
        assert_eq!(called(&app).len(), 4, "{body}");
    }
}

#[tokio::test]
async fn report_about_another_is_a_404_without_effect() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&of_alva());
    let queries = [
        format!("contactId={}", CIM.id),
        format!("email={}", CIM.email),
    ];
    for query in &queries {
        app.get(query).await.assert_ok();
    }
    let me = app.request("/customer").query(&[("contactId", CIM.id)]);
    let read = Answer::of(me.header(AUTHORIZATION, format!("Bearer {token}"))).await;
    let mut expected = read.assert_problem(404, "ContactNotFound").json();
    expected["requestId"] = Value::Null;
    let calls = app.engage.total_calls();
    for body in [
        json!({"contactId": CIM.id}),
        json!({"email": CIM.email}),
        json!({"mobilePhone": CIM.phone}),
        // The shopper's own phone number, which the token does not contain.
        json!({"mobilePhone": ALVA.phone}),
        json!({"customKey": ALVA.member_number}),
        json!({"any": ALVA.email}),
        json!({"email": "unknown@example.com"}),
        json!({"contactId": "00000000-0000-4000-8000-000000000000"}),
    ] {
        let answer = report(&app, &token, None, body.clone()).await;
        let mut problem = answer.assert_problem(404, "ContactNotFound").json();
        problem["requestId"] = Value::Null;
        assert_eq!(problem, expected, "{body}");
    }
    for query in &queries {
        app.get(query).await.assert_ok().assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn shoppers_address_that_leads_to_another_contact_is_a_404() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    // The address in the token now belongs to another contact.
    let token = issuer.sign(&claims(json!({
        "contactId": BO.id, "email": ALVA.email, "email_verified": true, "scope": SCOPES,
    })));
    app.get(&by_email()).await.assert_ok();
    let answer = report(&app, &token, None, json!({"email": ALVA.email})).await;
    answer.assert_problem(404, "ContactNotFound");
    app.get(&by_email()).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn shopper_needs_the_scope_and_so_does_its_client() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        let till = &mut config.auth.clients[0];
        assert_eq!(till.id, "till");
        till.scopes = vec![Scope::Read, Scope::ReadFull, Scope::Changed];
    })
    .await;
    app.get(&by_email()).await.assert_ok();
    let body = || json!({"contactId": ALVA.id});
    let without = issuer.sign(&claims(json!({"contactId": ALVA.id})));
    let with = issuer.sign(&of_alva());
    for (token, key) in [
        (&without, None),
        (&without, Some(TILL)),
        (&with, Some(READER)),
    ] {
        let answer = report(&app, token, key, body()).await;
        answer.assert_problem(403, "Forbidden");
    }
    app.get(&by_email()).await.assert_ok().assert_hit();
    // The client's rights do not widen the shopper's.
    let other = report(&app, &with, Some(TILL), json!({"contactId": CIM.id})).await;
    other.assert_problem(404, "ContactNotFound");
    app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    assert_taken(&report(&app, &with, Some(TILL), body()).await);
    let vouchers = app.get(&by_email()).await.assert_ok().at("/vouchers");
    assert_eq!(vouchers.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn page_of_a_listed_origin_may_report_for_its_shopper() {
    const ORIGIN: &str = "https://shop.example.com";
    let issuer = Issuer::new();
    let app = with_config(&issuer, |config| {
        config.server.cors_origins = vec![ORIGIN.to_owned()];
    })
    .await;
    let preflight = app
        .request("/customer/changed")
        .header("origin", ORIGIN)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        );
    let mut preflight = preflight.build().expect("a request");
    *preflight.method_mut() = Method::OPTIONS;
    let allowed = app.execute(preflight).await;
    assert_eq!(allowed.header("access-control-allow-origin"), ORIGIN);
    assert!(
        allowed
            .header("access-control-allow-methods")
            .contains("POST")
    );
    let token = issuer.sign(&of_alva());
    for (origin, expected) in [(ORIGIN, ORIGIN), ("https://evil.example", "")] {
        let report = request(&app, json!({"contactId": ALVA.id}).to_string());
        let report = report.header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = send(&app, report.header("origin", origin)).await;
        assert_taken(&answer);
        assert_eq!(answer.header("access-control-allow-origin"), expected);
    }
}

#[tokio::test]
async fn each_shopper_has_a_limit_of_its_own() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let alva = issuer.sign(&of_alva());
    let cim = issuer.sign(&claims(json!({"contactId": CIM.id, "scope": SCOPES})));
    for _ in 0..10 {
        let answer = report(&app, &alva, None, json!({"contactId": ALVA.id})).await;
        assert_taken(&answer);
    }
    let answer = report(&app, &alva, None, json!({"contactId": ALVA.id})).await;
    answer.assert_problem(429, "RateLimited");
    let detail = "Too many reported changes from this client or shopper.";
    assert_eq!(answer.at("/detail"), detail);
    assert_eq!(answer.header("ratelimit-policy"), "\"changes\";q=1;w=1");
    assert_taken(&report(&app, &cim, None, json!({"contactId": CIM.id})).await);
}
