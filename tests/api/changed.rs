//! `POST /customer/changed`: a caller reports that it has just changed a customer at Engage. The effect is that of a
//! webhook; the response says nothing about the customer.

mod floods;
mod reactivation;
mod refusals;
mod shoppers;

use std::time::Duration;

use engage_bff::config::Scope;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive};

const LAG: Duration = Duration::from_secs(600);
/// A voucher of Alva's.
const VOUCHER: &str = "8d31c000-2001-4c22-b002-b2d200c00001";
/// An e-mail address that no contact has at first.
const UNKNOWN: &str = "unknown@example.com";

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

/// The body that identifies Alva by e-mail address and contact type.
fn alvas_email() -> Value {
    json!({"email": ALVA.email, "contactType": "Member"})
}

/// A report with this body, without a credential.
fn request(app: &TestApp, body: impl Into<String>) -> RequestBuilder {
    app.request("/customer/changed")
        .header("content-type", "application/json")
        .body(body.into())
}

async fn send(app: &TestApp, request: RequestBuilder) -> Answer {
    let mut request = request.build().expect("a request");
    *request.method_mut() = Method::POST;
    app.execute(request).await
}

/// A report by the client with this key.
async fn report_as(app: &TestApp, key: &str, body: Value) -> Answer {
    let request = request(app, body.to_string()).header("x-api-key", key);
    send(app, request).await
}

/// A report by the till.
async fn report(app: &TestApp, body: Value) -> Answer {
    report_as(app, TILL, body).await
}

#[track_caller]
fn assert_taken(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (204, ""), "{answer:?}");
}

/// Everything in a response except the date, the request id, the duration and the client's remaining rate.
fn comparable(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let varies = |name: &str| {
        matches!(
            name,
            "date" | "x-request-id" | "server-timing" | "ratelimit"
        )
    };
    let headers = answer.headers.iter();
    let mut headers: Vec<_> = headers
        .filter(|(name, _)| !varies(name.as_str()))
        .map(|(name, value)| (name.to_string(), format!("{value:?}")))
        .collect();
    headers.sort();
    (answer.status, headers, answer.text().to_owned())
}

/// The endpoints of the calls since the log was reset, sorted by name.
fn called(app: &TestApp) -> Vec<String> {
    let log = app.engage.log();
    let mut called: Vec<_> = log
        .iter()
        .map(|call| format!("{:?}", call.endpoint))
        .collect();
    called.sort();
    called
}

/// The number of the client's reports with this outcome in the metrics.
async fn count(app: &TestApp, client: &str, outcome: &str) -> Option<u64> {
    let metrics = app.operations("/metrics").await;
    let name = format!("engage_bff_changes_total{{client=\"{client}\",outcome=\"{outcome}\"}} ");
    let mut lines = metrics.text().lines();
    let count = lines.find_map(|line| line.strip_prefix(&name))?;
    Some(count.parse().expect("a number"))
}

#[tokio::test]
async fn reported_parts_are_fetched_again_from_their_endpoints() {
    for (parts, refills) in [
        (json!(["profile"]), &["Contact"][..]),
        (json!(["promotions"]), &["Promotions"]),
        (json!(["vouchers"]), &["Vouchers"]),
        (json!(["points"]), &["PointAccounts"]),
        (
            json!(["vouchers", "points"]),
            &["PointAccounts", "Vouchers"],
        ),
        (
            Value::Null,
            &["Contact", "PointAccounts", "Promotions", "Vouchers"],
        ),
    ] {
        let app = TestApp::spawn().await;
        app.get(&by_email()).await.assert_ok();
        app.engage.reset_log();
        let mut body = json!({"contactId": ALVA.id});
        if !parts.is_null() {
            body["parts"] = parts.clone();
        }
        assert_taken(&report(&app, body).await);
        assert_eq!(app.engage.total_calls(), 0, "the report makes no call");
        app.get(&by_email()).await.assert_ok();
        assert_eq!(called(&app), refills, "{parts}");
        app.get(&by_email()).await.assert_hit();
    }
}

#[tokio::test]
async fn overviews_copy_is_refused_for_its_lag() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    app.get(&by_email()).await.assert_ok();
    app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    let body = json!({"contactId": ALVA.id, "parts": ["vouchers"]});
    assert_taken(&report(&app, body).await);
    for _ in 0..6 {
        let answer = app.get(&by_email()).await;
        let vouchers = answer.assert_ok().at("/vouchers");
        assert_eq!(vouchers.as_array().map(Vec::len), Some(1), "{vouchers}");
        assert_eq!(answer.at("/degraded"), json!([]));
        app.advance(Duration::from_secs(95));
    }
}

#[tokio::test]
async fn customer_is_reported_by_each_identifier_that_is_cached() {
    for body in [
        json!({"email": ALVA.email, "contactType": "Member"}),
        json!({"email": ALVA.email.to_uppercase()}),
        json!({"mobilePhone": "0701740605", "contactType": "member"}),
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"customKey": ALVA.member_number}),
        json!({"any": ALVA.member_number}),
        json!({"contactId": ALVA.id, "contactType": "Member"}),
    ] {
        let app = TestApp::spawn().await;
        app.lookup(body.clone()).await.assert_ok();
        app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
        assert_taken(&report(&app, body.clone()).await);
        // After the report, a look-up by any identifier gets the new vouchers.
        for query in [by_email(), format!("contactId={}", ALVA.id)] {
            let vouchers = app.get(&query).await.assert_ok().at("/vouchers");
            assert_eq!(vouchers.as_array().map(Vec::len), Some(1), "{body}");
        }
        assert_eq!(count(&app, "till", "taken").await, Some(1));
    }
}

#[tokio::test]
async fn contact_id_reaches_a_contact_that_is_not_cached() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}", ALVA.id);
    let hold = app.engage.hold(Endpoint::All);
    let waiting = app.spawn_get(&query);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    assert_taken(&report(&app, json!({"contactId": ALVA.id})).await);
    hold.release();
    for answer in [waiting.await.expect("an answer"), app.get(&query).await] {
        let vouchers = answer.assert_ok().at("/vouchers");
        assert_eq!(vouchers.as_array().map(Vec::len), Some(1));
        assert_eq!(answer.at("/degraded"), json!([]));
    }
}

#[tokio::test]
async fn fresh_call_in_flight_is_not_served_after_a_report() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let hold = app.engage.hold(Endpoint::Vouchers);
    let fresh = format!("{}&fresh=vouchers", by_email());
    let waiting = app.spawn_get(&fresh);
    app.engage.wait_for_calls(Endpoint::Vouchers, 1).await;
    // The held response still has the voucher.
    app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    assert_taken(&report(&app, alvas_email()).await);
    let later = app.spawn_get(&by_email());
    let_requests_arrive().await;
    hold.release();
    for answer in [
        waiting.await.expect("an answer"),
        later.await.expect("an answer"),
        app.get(&by_email()).await,
    ] {
        let vouchers = answer.assert_ok().at("/vouchers");
        assert_eq!(vouchers.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn overview_in_flight_by_a_reported_address_is_not_used() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    // The cache does not know the address yet.
    assert_taken(&report(&app, alvas_email()).await);
    assert_eq!(count(&app, "till", "unknown").await, Some(1));
    hold.release();
    for answer in [
        waiting.await.expect("an answer"),
        app.get(&by_email()).await,
    ] {
        let vouchers = answer.assert_ok().at("/vouchers");
        assert_eq!(vouchers.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn negative_entry_of_a_reported_identifier_ends() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let (query, other) = (format!("email={UNKNOWN}"), "email=another@example.com");
    for query in [&query, other] {
        let answer = app.get(query).await;
        answer.assert_problem(404, "ContactNotFound");
    }
    let calls = app.engage.total_calls();
    let id = app.engage.create(json!({"email": UNKNOWN}), "Member");
    let body = json!({"email": UNKNOWN, "contactType": "Member"});
    assert_taken(&report(&app, body).await);
    // The negative entries of other identifiers stay: no caller can drop many of them.
    app.get(other).await.assert_problem(404, "ContactNotFound");
    assert_eq!(app.engage.total_calls(), calls);
    // The overview does not know the contact yet, so the entity endpoint is called.
    assert_eq!(app.get(&query).await.assert_ok().at("/contactId"), id);
    // Until the overview knows the contact, it is not called for each request.
    let calls = app.engage.total_calls();
    app.get(&query).await.assert_ok();
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn negative_entry_of_a_reported_contact_id_ends() {
    let app = TestApp::spawn().await;
    for typed in [false, true] {
        let of_type = if typed { "&contactType=Member" } else { "" };
        let query = format!("contactId={}{of_type}", BO.id);
        // Engage does not know the contact for a moment.
        let unknown = Fault::Status(404, json!({"errorCode": "ContactNotFound"}));
        app.engage.fault_times(Endpoint::Overview, unknown, 1);
        app.engage.contact(BO.id).contact_type("Member");
        app.get(&query).await.assert_problem(404, "ContactNotFound");
        app.get(&query).await.assert_problem(404, "ContactNotFound");
        let mut body = json!({"contactId": BO.id, "parts": ["points"]});
        if typed {
            body["contactType"] = json!("Member");
        }
        assert_taken(&report(&app, body).await);
        assert_eq!(app.get(&query).await.assert_ok().at("/contactId"), BO.id);
    }
}

#[tokio::test]
async fn answer_in_flight_does_not_restore_a_dropped_404() {
    for by_id in [false, true] {
        let app = TestApp::spawn().await;
        let (query, body) = if by_id {
            let body = json!({"contactId": BO.id});
            (format!("contactId={}", BO.id), body)
        } else {
            let body = json!({"email": UNKNOWN, "contactType": "Member"});
            (format!("email={UNKNOWN}"), body)
        };
        if by_id {
            let unknown = Fault::Status(404, json!({"errorCode": "ContactNotFound"}));
            app.engage.fault_times(Endpoint::Overview, unknown, 1);
        }
        let hold = app.engage.hold(Endpoint::Overview);
        let waiting = app.spawn_get(&query);
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        if !by_id {
            app.engage.create(json!({"email": UNKNOWN}), "Member");
        }
        assert_taken(&report(&app, body).await);
        hold.release();
        waiting.await.expect("an answer").assert_ok();
        app.get(&query).await.assert_ok();
    }
}

#[tokio::test]
async fn response_never_says_whether_the_customer_is_known() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.get(&format!("email={UNKNOWN}")).await;
    let known = report(&app, alvas_email()).await;
    assert_taken(&known);
    for body in [
        json!({"email": UNKNOWN}),
        json!({"email": "never.asked@example.com"}),
        json!({"email": BO.email, "contactType": "Nonsense"}),
        json!({"mobilePhone": CIM.phone}),
        json!({"contactId": CIM.id}),
        json!({"contactId": "00000000-0000-4000-8000-000000000000"}),
    ] {
        let unknown = report(&app, body.clone()).await;
        assert_eq!(comparable(&unknown), comparable(&known), "{body}");
    }
    assert_eq!(known.header("cache-status"), "");
    assert_eq!(known.header("cache-control"), "private, no-store");
}

#[tokio::test]
async fn report_is_taken_while_engage_fails() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    app.engage
        .fault(Endpoint::All, Fault::Status(503, json!({})));
    let body = json!({"email": ALVA.email, "parts": ["vouchers"]});
    assert_taken(&report(&app, body).await);
    // Data that is known to be outdated is not served when the call for newer data fails.
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/vouchers"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["vouchers"]));
}

#[tokio::test]
async fn client_may_report_without_reading() {
    let app = TestApp::with(|config| {
        let reader = config.auth.clients.iter_mut();
        let reader = reader.last().expect("a client of the harness");
        assert_eq!(reader.id, "reader");
        reader.scopes = vec![Scope::Changed];
    })
    .await;
    app.get(&by_email()).await.assert_ok();
    app.engage.reset_log();
    assert_taken(&report_as(&app, READER, alvas_email()).await);
    let answer = app.get_as(READER, &by_email()).await;
    answer.assert_problem(403, "Forbidden");
    app.get(&by_email()).await.assert_ok();
    assert_eq!(called(&app).len(), 4);
}

#[tokio::test]
async fn reports_are_counted_by_client_and_outcome() {
    let app = TestApp::with(|config| {
        let shop = &mut config.auth.clients[1];
        assert_eq!(shop.id, "shop");
        shop.scopes.push(Scope::Changed);
        shop.changes_per_second = 1;
    })
    .await;
    app.get(&by_email()).await.assert_ok();
    report(&app, alvas_email()).await;
    report(&app, json!({"email": UNKNOWN})).await;
    for _ in 0..11 {
        report_as(&app, SHOP, alvas_email()).await;
    }
    for (client, outcome, expected) in [
        ("till", "taken", Some(1)),
        ("till", "unknown", Some(1)),
        ("till", "limited", Some(0)),
        ("shop", "taken", Some(10)),
        ("shop", "limited", Some(1)),
    ] {
        let counted = count(&app, client, outcome).await;
        assert_eq!(counted, expected, "{client} {outcome}");
    }
}
