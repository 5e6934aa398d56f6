//! `POST /customer/prefetch`: the customer is cached before a look-up, and the response does not say whether it exists.

use engage_bff::config::Config;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, DORA},
};
use serde_json::{Value, json};

use crate::{
    admission::queued,
    harness::{Answer, COLD_CALLS, READER, SHOP, TILL, TestApp, let_requests_arrive, wait_until},
    issuer::Issuer,
    tokens::{claims, with_config},
};

const PATH: &str = "/customer/prefetch";

async fn prefetch(app: &TestApp, key: &str, body: &Value) -> Answer {
    Answer::of(app.post_to(PATH, key).body(body.to_string())).await
}

async fn accepted(app: &TestApp, key: &str, body: &Value) {
    let answer = prefetch(app, key, body).await;
    assert_eq!((answer.status, answer.text()), (202, ""), "{body}");
}

/// How many prefetches had this outcome.
async fn counted(app: &TestApp, outcome: &str) -> u64 {
    let metrics = app.operations("/metrics").await;
    let line = format!("engage_bff_prefetches_total{{outcome=\"{outcome}\"}} ");
    let count = metrics
        .text()
        .lines()
        .find_map(|text| text.strip_prefix(&*line));
    let count = count.unwrap_or_else(|| panic!("no {line}"));
    count.parse().expect("a number")
}

/// Waits until this many prefetches had this outcome.
async fn until(app: &TestApp, outcome: &str, number: u64) {
    for _ in 0..200 {
        if counted(app, outcome).await == number {
            return;
        }
        let_requests_arrive().await;
    }
    panic!(
        "{outcome}: {} instead of {number}",
        counted(app, outcome).await
    );
}

fn with_guard(config: &mut Config) {
    let clients = &mut config.auth.clients;
    let shop = clients.iter_mut().find(|client| client.id == "shop");
    shop.expect("a client of the harness").unknown_per_minute = Some(3);
}

#[tokio::test]
async fn prefetched_customer_is_a_hit_for_the_next_request() {
    let app = TestApp::spawn().await;
    let body = json!({"email": ALVA.email, "contactType": "Member"});
    accepted(&app, SHOP, &body).await;
    until(&app, "fetched", 1).await;
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
    let answer = app.get_as(SHOP, &format!("email={}", ALVA.email)).await;
    answer.assert_ok().assert_hit();
    assert_eq!(answer.at("/points/balance"), json!(317.5));
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
    // Nothing is left to fetch.
    accepted(&app, SHOP, &body).await;
    assert_eq!(counted(&app, "fresh").await, 1);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn prefetch_fetches_stale_data_and_only_the_named_parts() {
    let app = TestApp::spawn().await;
    let body = json!({"contactId": ALVA.id, "parts": []});
    accepted(&app, SHOP, &body).await;
    until(&app, "fetched", 1).await;
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(std::time::Duration::from_secs(70));
    accepted(&app, SHOP, &body).await;
    until(&app, "fetched", 2).await;
    assert_eq!(app.engage.total_calls(), 2);
    app.get_as(SHOP, &format!("contactId={}&parts=none", ALVA.id))
        .await
        .assert_hit();
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn response_is_the_same_whatever_the_identifier_leads_to() {
    let app = TestApp::with(with_guard).await;
    app.get_as(SHOP, &format!("contactId={}", ALVA.id))
        .await
        .assert_ok();
    app.engage
        .fault_times(Endpoint::Overview, Fault::Status(500, json!("no")), 1);
    let mut answers = Vec::new();
    for body in [
        json!({"contactId": BO.id}),
        json!({"contactId": ALVA.id}),
        json!({"email": "unknown@example.com"}),
        json!({"email": "unknown@example.com"}),
        json!({"email": DORA.email}),
        json!({"email": "unknown2@example.com"}),
        json!({"email": "unknown3@example.com"}),
        // By now the enumeration guard has been tripped.
        json!({"email": "unknown4@example.com"}),
    ] {
        let mut answer = prefetch(&app, SHOP, &body).await;
        let_requests_arrive().await;
        for name in ["date", "x-request-id", "server-timing"] {
            answer.headers.remove(name).expect("a header");
        }
        answers.push((answer.status, answer.body, answer.headers));
    }
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(answers[0].0, 202);
    for (outcome, number) in [("failed", 1), ("fresh", 1), ("unknown", 5), ("guarded", 1)] {
        assert_eq!(counted(&app, outcome).await, number, "{outcome}");
    }
}

#[tokio::test]
async fn prefetch_of_unknown_contacts_trips_the_guard_and_ends_there() {
    let app = TestApp::with(with_guard).await;
    let hold = app.engage.hold(Endpoint::Overview);
    for number in 0..20 {
        let email = format!("unknown{number}@example.com");
        accepted(&app, SHOP, &json!({"email": email, "parts": []})).await;
    }
    app.engage.wait_for_calls(Endpoint::Overview, 3).await;
    hold.release();
    until(&app, "unknown", 3).await;
    assert_eq!(counted(&app, "dropped").await, 17);
    accepted(&app, SHOP, &json!({"email": "another@example.com"})).await;
    assert_eq!(counted(&app, "guarded").await, 1);
    app.get_as(SHOP, &format!("contactId={}", BO.id))
        .await
        .assert_problem(429, "RateLimited");
    assert_eq!(app.engage.total_calls(), 3);
    // Another client is not affected.
    accepted(&app, READER, &json!({"contactId": BO.id, "parts": []})).await;
    until(&app, "fetched", 1).await;
}

#[tokio::test]
async fn malformed_and_useless_parameters_are_refused_as_elsewhere() {
    let app = TestApp::spawn().await;
    for (body, code, detail) in [
        (json!({}), "MissingIdentifier", ""),
        (json!({"email": "alva"}), "InvalidEmailAddress", ""),
        (json!({"contactId": "1"}), "InvalidContactId", ""),
        (
            json!({"email": ALVA.email, "contactId": ALVA.id}),
            "AmbiguousIdentifier",
            "",
        ),
        (
            json!({"contactId": ALVA.id, "view": "full"}),
            "InvalidParameter",
            "view: ",
        ),
        (
            json!({"contactId": ALVA.id, "channel": "POS"}),
            "InvalidParameter",
            "channel: ",
        ),
        (
            json!({"contactId": ALVA.id, "expiringWithin": "14d"}),
            "InvalidParameter",
            "expiringWithin: ",
        ),
        (
            json!({"contactId": ALVA.id, "fresh": ["points"]}),
            "InvalidParameter",
            "fresh: ",
        ),
        (
            json!({"contactId": ALVA.id, "fresh": []}),
            "InvalidParameter",
            "fresh: ",
        ),
        (
            json!({"contactId": ALVA.id, "parts": "points"}),
            "InvalidParameter",
            "parts: ",
        ),
        (
            json!({"contactId": ALVA.id, "other": 1}),
            "InvalidParameter",
            "other: ",
        ),
        (
            json!([]),
            "InvalidParameter",
            "the body is not a JSON object",
        ),
    ] {
        let answer = prefetch(&app, TILL, &body).await;
        answer.assert_problem(400, code);
        let text = answer.at("/detail");
        let text = text.as_str().expect("a text");
        assert!(text.starts_with(detail), "{body}: {text}");
    }
    prefetch(
        &app,
        SHOP,
        &json!({"socialSecurityNumber": ALVA.national_id}),
    )
    .await
    .assert_problem(403, "Forbidden");
    let form = app.post_to(PATH, TILL).body("{}").build();
    let mut form = form.expect("a request");
    let text = "text/plain".parse().expect("a value");
    form.headers_mut().insert("content-type", text);
    app.execute(form)
        .await
        .assert_problem(415, "UnsupportedMediaType");
    Answer::of(app.post_to(PATH, TILL).body("x".repeat(20_000)))
        .await
        .assert_problem(413, "PayloadTooLarge");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn shopper_prefetches_itself_and_any_other_contact_is_the_same_404() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&claims(json!({"contactId": ALVA.id})));
    let send = async |body: Value| {
        let request = app
            .post_to(PATH, "")
            .bearer_auth(&token)
            .body(body.to_string());
        let mut request = request.build().expect("a request");
        request.headers_mut().remove("x-api-key");
        app.execute(request).await
    };
    for body in [
        json!({"contactId": BO.id}),
        json!({"email": "unknown@example.com"}),
        json!({"email": BO.email}),
    ] {
        send(body).await.assert_problem(404, "ContactNotFound");
    }
    assert_eq!(app.engage.total_calls(), 0);
    assert_eq!(send(json!({"contactId": ALVA.id})).await.status, 202);
    until(&app, "fetched", 1).await;
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn prefetches_beyond_the_bound_are_dropped_and_cost_nothing() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let ids = app.engage.contact_ids();
    for id in &ids[5..35] {
        accepted(&app, SHOP, &json!({"contactId": id, "parts": []})).await;
    }
    app.engage.wait_for_calls(Endpoint::Overview, 16).await;
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 16);
    assert_eq!(counted(&app, "dropped").await, 14);
    // Another client has a bound of its own.
    accepted(&app, READER, &json!({"contactId": ids[35], "parts": []})).await;
    app.engage.wait_for_calls(Endpoint::Overview, 17).await;
    hold.release();
    until(&app, "fetched", 17).await;
    accepted(&app, SHOP, &json!({"contactId": ids[30], "parts": []})).await;
    until(&app, "fetched", 18).await;
}

#[tokio::test]
async fn prefetch_and_request_join_each_others_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let query = format!("contactId={}&parts=none", ALVA.id);
    let first = app.spawn_get_as(SHOP, &query);
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    accepted(&app, TILL, &json!({"contactId": ALVA.id, "parts": []})).await;
    accepted(&app, TILL, &json!({"contactId": BO.id, "parts": []})).await;
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    let second = app.spawn_get_as(SHOP, &format!("contactId={}&parts=none", BO.id));
    let_requests_arrive().await;
    hold.release();
    first.await.expect("an answer").assert_ok();
    let second = second.await.expect("an answer");
    second
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored; collapsed");
    until(&app, "joined", 1).await;
    until(&app, "fetched", 1).await;
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn request_for_a_queued_prefetch_raises_its_priority() {
    let app = TestApp::with(|config| config.engage.max_concurrency = 1).await;
    let ids = app.engage.contact_ids().split_off(5);
    let of = |id: &str| format!("contactId={id}&parts=none");
    let hold = app.engage.hold(Endpoint::All);
    let mut sent = vec![app.spawn_get_as(TILL, &of(&ids[0]))];
    app.engage.wait_for_calls(Endpoint::All, 1).await;
    accepted(&app, SHOP, &json!({"contactId": ids[1], "parts": []})).await;
    queued(&app, 1).await;
    for (waiting, id) in ids[2..6].iter().enumerate() {
        sent.push(app.spawn_get_as(TILL, &of(id)));
        queued(&app, waiting + 2).await;
    }
    // Without this request the prefetch would be last.
    let joined = app.spawn_get_as(READER, &of(&ids[1]));
    let_requests_arrive().await;
    for calls in 2..=3 {
        hold.release_one();
        app.engage.wait_for_calls(Endpoint::All, calls).await;
    }
    hold.release();
    joined.await.expect("an answer").assert_ok();
    let log = app.engage.log();
    let place = log
        .iter()
        .position(|call| call.parameter("contactId") == Some(&*ids[1]));
    assert!(place.is_some_and(|place| place <= 2), "{place:?}");
    for sent in sent {
        sent.await.expect("an answer").assert_ok();
    }
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_prefetch() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    accepted(&app, SHOP, &json!({"contactId": ALVA.id})).await;
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.stop().await.expect("everything was finished");
    drop(hold);
}

#[tokio::test]
async fn prefetch_ends_by_itself_where_engage_does_not_answer() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    accepted(&app, SHOP, &json!({"contactId": ALVA.id})).await;
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let_requests_arrive().await;
    app.advance(std::time::Duration::from_secs(3));
    until(&app, "failed", 1).await;
    hold.release();
    wait_until(|| app.engage.in_flight() == 0).await;
}

#[tokio::test]
async fn prefetch_makes_no_call_while_the_cache_is_off() {
    let app = TestApp::spawn().await;
    app.customers.switch_cache(false);
    accepted(&app, SHOP, &json!({"contactId": ALVA.id})).await;
    assert_eq!(counted(&app, "dropped").await, 1);
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 0);
}
