//! `POST /customer/batch`: many look-ups in one request, each answered in a line of its own as soon as its outcome is
//! known.

mod hostile;
mod limits;
mod streams;

use std::time::Duration;

use engage_bff::config::{Config, Scope};
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DORA},
};
use reqwest::Response;
use serde_json::{Value, json};

use crate::harness::{Answer, SHOP, TILL, TestApp, let_requests_arrive};

pub(crate) const PATH: &str = "/customer/batch";

/// The defaults, with the batch scope for every client of the harness.
fn for_all(config: &mut Config) {
    for client in &mut config.auth.clients {
        client.scopes.push(Scope::Batch);
    }
}

async fn send(app: &TestApp, key: &str, body: &Value) -> Answer {
    Answer::of(app.post_to(PATH, key).body(body.to_string())).await
}

/// The lines of a response, in their order.
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = answer.text();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    let line = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(line).collect()
}

/// The lines in the order of the look-ups.
async fn batch(app: &TestApp, key: &str, body: &Value) -> Vec<Value> {
    let mut lines = lines(&send(app, key, body).await);
    lines.sort_by_key(|line| line["index"].as_u64());
    let indexes: Vec<_> = lines.iter().map(|line| line["index"].as_u64()).collect();
    let expected: Vec<_> = (0..lines.len() as u64).map(Some).collect();
    assert_eq!(indexes, expected);
    lines
}

fn statuses(lines: &[Value]) -> Vec<u64> {
    let status = |line: &Value| line["status"].as_u64().expect("a status");
    lines.iter().map(status).collect()
}

/// Reads a response line by line while it is still being sent; `next` returns `None` at its end.
struct Reader {
    response: Response,
    read: Vec<u8>,
}

impl Reader {
    async fn open(app: &TestApp, key: &str, body: &Value) -> Self {
        let request = app.post_to(PATH, key).body(body.to_string());
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let read = Vec::new();
        Self { response, read }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("JSON"));
            }
            match self.response.chunk().await.expect("a whole body") {
                Some(chunk) => self.read.extend_from_slice(&chunk),
                None => return None,
            }
        }
    }
}

/// How many look-ups had this outcome.
async fn counted(app: &TestApp, outcome: &str) -> u64 {
    let metrics = app.operations("/metrics").await;
    let line = format!("engage_bff_batch_lookups_total{{outcome=\"{outcome}\"}} ");
    let count = metrics
        .text()
        .lines()
        .find_map(|text| text.strip_prefix(&*line));
    let count = count.unwrap_or_else(|| panic!("no {line}"));
    count.parse().expect("a number")
}

fn by_id(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!({"contactId": id})).collect()
}

#[tokio::test]
async fn each_line_is_what_the_single_route_answers() {
    let app = TestApp::spawn().await;
    app.engage.fault_times(
        Endpoint::Overview,
        Fault::Status(500, json!("An error has occurred.")),
        2,
    );
    let failing = json!({"contactId": app.engage.contact_ids()[9]});
    app.lookup(failing.clone())
        .await
        .assert_problem(502, "UpstreamFailed");
    app.engage.clear_faults();
    let lookups = [
        json!({"contactId": ALVA.id}),
        json!({"email": ALVA.email, "contactType": "member"}),
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"contactId": CIM.id}),
        json!({"email": "unknown@example.com"}),
        json!({"email": DORA.email}),
        json!({"email": BO.email, "contactType": "Member"}),
        json!({"email": "not an address"}),
        json!({"contactId": "1"}),
        json!({}),
        json!({"email": ALVA.email, "contactId": ALVA.id}),
        json!({"email": ALVA.email, "contactType": "a b"}),
        failing,
    ];
    let body = json!({"lookups": lookups});
    for round in ["not cached", "cached"] {
        let lines = batch(&app, TILL, &body).await;
        assert_eq!(lines.len(), lookups.len());
        for (line, lookup) in lines.iter().zip(&lookups) {
            let mut single = lookup.clone();
            single["parts"] = json!([]);
            let single = app.lookup(single).await;
            assert_eq!(line["status"], json!(single.status), "{round}: {lookup}");
            if single.status == 200 {
                assert_eq!(line["customer"], single.json(), "{round}: {lookup}");
                assert_eq!(line.get("problem"), None);
                continue;
            }
            let (mut of_line, mut of_single) = (line["problem"].clone(), single.json());
            for problem in [&mut of_line, &mut of_single] {
                let members = problem.as_object_mut().expect("a problem");
                members.remove("requestId").expect("a request id");
                members.remove("retryAfter");
                // Only a single look-up may list candidates.
                members.remove("candidates");
            }
            assert_eq!(of_line, of_single, "{round}: {lookup}");
            assert_eq!(line.get("customer"), None);
        }
    }
    for (outcome, number) in [("unknown", 6), ("refused", 10), ("failed", 2)] {
        assert_eq!(counted(&app, outcome).await, number, "{outcome}");
    }
}

#[tokio::test]
async fn cached_customers_come_first_and_at_once() {
    let app = TestApp::spawn().await;
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    app.get("email=unknown%40example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    let hold = app.engage.hold(Endpoint::Overview);
    let body = json!({"lookups": [
        {"contactId": BO.id},
        {"email": ALVA.email, "contactType": "Contact"},
        {"email": "unknown@example.com"},
        {"email": "nonsense"},
        {"contactId": ALVA.id},
    ]});
    let mut reader = Reader::open(&app, TILL, &body).await;
    for (index, status) in [(2, 404), (3, 400), (4, 200)] {
        let line = reader.next().await.expect("a line");
        assert_eq!(
            (&line["index"], &line["status"]),
            (&json!(index), &json!(status))
        );
    }
    app.engage.wait_for_calls(Endpoint::Overview, 4).await;
    hold.release();
    let mut rest = vec![
        reader.next().await.expect("a line"),
        reader.next().await.expect("a line"),
    ];
    rest.sort_by_key(|line| line["index"].as_u64());
    assert_eq!(statuses(&rest), [200, 404]);
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn each_line_is_sent_as_soon_as_its_call_returns() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let ids = app.engage.contact_ids().split_off(5);
    let body = json!({"lookups": by_id(&ids[..3])});
    let mut reader = Reader::open(&app, TILL, &body).await;
    app.engage.wait_for_calls(Endpoint::Overview, 3).await;
    for _ in 0..3 {
        hold.release_one();
        let line = reader.next().await.expect("a line");
        assert_eq!(line["status"], json!(200));
    }
    assert_eq!(reader.next().await, None);
    hold.release();
}

#[tokio::test]
async fn missing_customers_are_504_not_cached_at_the_deadline() {
    let app = TestApp::spawn().await;
    app.get(&format!("contactId={}&parts=none", ALVA.id))
        .await
        .assert_ok();
    let hold = app.engage.hold(Endpoint::Overview);
    let ids = app.engage.contact_ids().split_off(5);
    let mut lookups = by_id(&ids[..12]);
    lookups.push(json!({"contactId": ALVA.id}));
    let body = json!({"lookups": lookups, "deadline": "800ms"});
    let mut reader = Reader::open(&app, TILL, &body).await;
    assert_eq!(reader.next().await.expect("a line")["index"], json!(12));
    app.engage.wait_for_calls(Endpoint::Overview, 9).await;
    app.advance(Duration::from_millis(799));
    let_requests_arrive().await;
    app.advance(Duration::from_millis(1));
    for _ in 0..12 {
        let line = reader.next().await.expect("a line");
        assert_eq!(line["status"], json!(504), "{line}");
        assert_eq!(line["problem"]["code"], json!("NotCached"), "{line}");
    }
    assert_eq!(reader.next().await, None);
    assert_eq!(counted(&app, "late").await, 12);
    // The calls in flight continue, for the next request.
    hold.release();
    app.get_until(&format!("contactId={}&parts=none", ids[0]), |answer| {
        answer.header("cache-status").contains("; hit")
    })
    .await;
    assert_eq!(app.overview_calls(), 9);
}

#[tokio::test]
async fn deadline_is_five_seconds_where_none_is_given() {
    for (milliseconds, status, code) in [(4999, 200, json!(null)), (5000, 504, json!("NotCached"))]
    {
        let app = TestApp::spawn().await;
        let hold = app.engage.hold(Endpoint::Overview);
        let body = json!({"lookups": [{"contactId": ALVA.id}]});
        let mut reader = Reader::open(&app, TILL, &body).await;
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        app.advance(Duration::from_millis(milliseconds));
        let_requests_arrive().await;
        hold.release();
        let line = reader.next().await.expect("a line");
        assert_eq!(line["status"], json!(status), "{line}");
        assert_eq!(line["problem"]["code"], code, "{line}");
    }
}

#[tokio::test]
async fn look_ups_of_the_same_contact_share_one_call() {
    let app = TestApp::spawn().await;
    let same = vec![json!({"contactId": ALVA.id}); 30];
    let lines = batch(&app, TILL, &json!({"lookups": same})).await;
    assert_eq!(statuses(&lines), [200; 30]);
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn parts_view_and_channel_apply_to_every_line() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}&view=storefront&channel=POS", ALVA.id);
    let single = app.get(&query).await;
    let body = json!({
        "lookups": [{"contactId": ALVA.id}, {"email": ALVA.email}],
        "parts": ["points", "promotions", "vouchers"],
        "view": "storefront",
        "channel": "POS",
    });
    let lines = batch(&app, TILL, &body).await;
    assert_eq!(lines[0]["customer"], single.json());
    assert_eq!(lines[1]["customer"]["contactId"], json!(ALVA.id));
    let none = batch(&app, TILL, &json!({"lookups": [{"contactId": ALVA.id}]})).await;
    for part in ["points", "vouchers", "promotions"] {
        assert_eq!(none[0]["customer"][part], Value::Null);
    }
    assert_eq!(none[0]["customer"]["degraded"], json!([]));
}

#[tokio::test]
async fn response_has_the_common_fields_and_none_of_a_single_customer() {
    let app = TestApp::spawn().await;
    let request = app
        .post_to(PATH, TILL)
        .header("accept-encoding", "gzip")
        .header("x-request-id", "batch-1")
        .header("cache-control", "no-cache, only-if-cached")
        .body(json!({"lookups": [{"contactId": ALVA.id}, {"contactId": "1"}]}).to_string());
    let answer = Answer::of(request).await;
    let lines = lines(&answer);
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("cdn-cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-request-id"), "batch-1");
    for absent in [
        "etag",
        "age",
        "cache-status",
        "content-encoding",
        "content-length",
    ] {
        assert_eq!(answer.header(absent), "", "{absent}");
    }
    let problem = lines.iter().find(|line| line["status"] == json!(400));
    let problem = problem.expect("a malformed look-up");
    assert_eq!(problem["problem"]["requestId"], json!("batch-1"));
}

#[tokio::test]
async fn stale_data_is_served_and_not_refreshed() {
    let app = TestApp::spawn().await;
    app.get(&format!("contactId={}&parts=none", ALVA.id))
        .await
        .assert_ok();
    app.advance(Duration::from_secs(70));
    let body = json!({"lookups": [{"contactId": ALVA.id}]});
    assert_eq!(statuses(&batch(&app, TILL, &body).await), [200]);
    let_requests_arrive().await;
    assert_eq!(app.engage.total_calls(), 1);
    app.advance(Duration::from_secs(60));
    assert_eq!(statuses(&batch(&app, TILL, &body).await), [200]);
    assert_eq!(app.engage.total_calls(), 2);
    // Beyond its lifetime the data is still served while Engage fails.
    app.advance(Duration::from_secs(600));
    app.engage.fault(Endpoint::All, Fault::Html502);
    let lines = batch(&app, TILL, &body).await;
    assert_eq!(statuses(&lines), [200]);
    assert_eq!(lines[0]["customer"]["degraded"], json!(["profile"]));
}

#[tokio::test]
async fn every_look_up_in_the_full_view_is_audited_separately() {
    let app = crate::audit::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let body = json!({"deadline": "100ms", "lookups": [
        {"email": ALVA.email}, {"contactId": BO.id}, {"contactId": "1"},
    ]});
    let request = app.post_to(PATH, TILL).header("x-request-id", "b-1");
    let request = request.body(body.to_string());
    let late = tokio::spawn(Answer::of(request));
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    let_requests_arrive().await;
    app.advance(Duration::from_millis(100));
    lines(&late.await.expect("an answer"));
    hold.release();
    app.get_until(
        &format!("email={}&view=storefront&parts=none", ALVA.email),
        |answer| answer.header("cache-status").contains("; hit"),
    )
    .await;
    let request = app.post_to(PATH, TILL).header("x-request-id", "b-2");
    lines(&Answer::of(request.body(body.to_string())).await);
    let storefront = json!({"view": "storefront", "lookups": [{"email": ALVA.email}]});
    batch(&app, TILL, &storefront).await;
    let events = crate::audit::audit();
    let summary: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event["message"], "full view requested");
            assert_eq!(event["client"], "till");
            (
                event["request_id"].as_str().expect("an id"),
                event["by"].as_str().expect("a kind"),
                event["status"].as_u64().expect("a status"),
            )
        })
        .collect();
    assert_eq!(summary.len(), 4, "{events:?}");
    for expected in [
        ("b-1", "email", 504),
        ("b-1", "contactId", 504),
        ("b-2", "email", 200),
        ("b-2", "contactId", 200),
    ] {
        assert!(summary.contains(&expected), "{expected:?} in {summary:?}");
    }
    let of_alva = json!(crate::audit::digest(ALVA.id));
    assert!(events.iter().any(|event| event["contact"] == of_alva));
}

#[tokio::test]
async fn batch_needs_its_scope_which_no_default_contains() {
    let app = TestApp::spawn().await;
    let body = json!({"lookups": [{"contactId": ALVA.id}]});
    send(&app, SHOP, &body)
        .await
        .assert_problem(403, "Forbidden");
    let anonymous = TestApp::with(|config| {
        config.auth.clients.clear();
        config.auth.allow_anonymous = true;
    })
    .await;
    let request = anonymous.post_to(PATH, "").body(body.to_string());
    let mut request = request.build().expect("a request");
    request.headers_mut().remove("x-api-key");
    anonymous
        .execute(request)
        .await
        .assert_problem(403, "Forbidden");
    let reader = TestApp::with_unchecked(|config| {
        config.auth.clients[0].scopes = vec![Scope::Batch];
    })
    .await;
    send(&reader, TILL, &body)
        .await
        .assert_problem(403, "Forbidden");
    for app in [&app, &anonymous, &reader] {
        assert_eq!(app.engage.total_calls(), 0);
    }
}

#[tokio::test]
async fn full_view_of_a_batch_needs_its_scope_and_kinds_their_permission() {
    let app = TestApp::with(for_all).await;
    let full = json!({"lookups": [{"contactId": ALVA.id}], "view": "full"});
    send(&app, SHOP, &full)
        .await
        .assert_problem(403, "Forbidden");
    let body = json!({"lookups": [
        {"contactId": ALVA.id}, {"socialSecurityNumber": ALVA.national_id}, {"any": "100001"},
    ]});
    let lines = batch(&app, SHOP, &body).await;
    assert_eq!(statuses(&lines), [200, 403, 403]);
    assert_eq!(lines[0]["customer"]["profile"]["attributes"], json!({}));
}

#[tokio::test]
async fn token_of_a_shopper_never_opens_a_batch() {
    let issuer = crate::issuer::Issuer::new();
    let app = crate::tokens::with_config(&issuer, for_all).await;
    let scope = "customer:read:self customer:fresh customer:batch";
    let claims = json!({"contactId": ALVA.id, "scope": scope});
    let token = issuer.sign(&crate::tokens::claims(claims));
    let body = json!({"lookups": [{"contactId": ALVA.id}]}).to_string();
    for key in [None, Some(TILL)] {
        let request = app.post_to(PATH, key.unwrap_or_default());
        let request = request.bearer_auth(&token).body(body.clone());
        let mut request = request.build().expect("a request");
        if key.is_none() {
            request.headers_mut().remove("x-api-key");
        }
        app.execute(request).await.assert_problem(403, "Forbidden");
    }
    assert_eq!(app.engage.total_calls(), 0);
}
