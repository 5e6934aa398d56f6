//! The audit log: requests in the full view, operators' actions, and the alarm for a client that reads too many
//! distinct contacts.

use std::time::Duration;

use engage_bff::{
    config::{AuditedViews, Config},
    domain::Digester,
};
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DORA},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, SHOP, TILL, TestApp, id, logs},
    issuer::Issuer,
    tokens::with_config,
};

const DIGEST_KEY: &str = "a key of digests for the tests";

/// A service with a fixed digest key, so that tests can compute digests.
pub(crate) async fn spawn() -> TestApp {
    with_digests(|_| {}).await
}

/// Like `spawn`, with a changed configuration.
pub(crate) async fn with_digests(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config.telemetry.digest_key = Some(DIGEST_KEY.into());
        change(config);
    })
    .await
}

/// The digest of the contact in logs and explanations.
pub(crate) fn digest(contact: &str) -> String {
    let digester = Digester::with_key(DIGEST_KEY.as_bytes());
    id(contact).digest(&digester).to_string()
}

/// The audit events, without the fields common to all events.
pub(crate) fn audit() -> Vec<Value> {
    let mut events: Vec<Value> = logs()
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|event: &Value| event["target"] == "engage_bff::audit")
        .collect();
    for event in &mut events {
        let fields = event.as_object_mut().expect("an object");
        fields.remove("timestamp").expect("a time");
        fields.remove("target");
    }
    events
}

async fn get(app: &TestApp, request_id: &str, key: &str, query: &str) -> Answer {
    let request = app.customer(key, query);
    Answer::of(request.header("x-request-id", request_id)).await
}

#[tokio::test]
async fn full_view_requests_are_audited_with_client_and_outcome() {
    let app = spawn().await;
    let by_email = format!("email={}", ALVA.email);
    get(&app, "a-1", TILL, &by_email).await.assert_ok();
    let cached = get(&app, "a-2", TILL, &by_email).await;
    cached.assert_hit();
    let known = app
        .customer(TILL, &by_email)
        .header("x-request-id", "a-3")
        .header("if-none-match", cached.header("etag"));
    assert_eq!(Answer::of(known).await.status, 304);
    get(&app, "a-4", TILL, "email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    let body = json!({"socialSecurityNumber": ALVA.national_id}).to_string();
    let posted = app.post(TILL).header("x-request-id", "a-5").body(body);
    Answer::of(posted).await.assert_ok();
    let event = |request_id: &str, by: &str| {
        json!({"level": "INFO", "message": "full view requested", "client": "till",
            "request_id": request_id, "by": by, "contact": digest(ALVA.id), "status": 200})
    };
    let mut expected = ["a-1", "a-2", "a-3", "a-4"].map(|id| event(id, "email"));
    expected[0]["cache"] = json!("miss");
    expected[1]["cache"] = json!("hit");
    expected[2]["cache"] = json!("hit");
    expected[2]["status"] = json!(304);
    expected[3]["status"] = json!(404);
    expected[3]["code"] = json!("ContactNotFound");
    expected[3]
        .as_object_mut()
        .expect("an object")
        .remove("contact");
    let mut last = event("a-5", "socialSecurityNumber");
    last["cache"] = json!("miss");
    let events = audit();
    assert_eq!(events[..4], expected);
    assert_eq!(events[4..], [last]);
}

#[tokio::test]
async fn storefront_view_requests_are_not_audited() {
    let app = spawn().await;
    let query = format!("contactId={}", ALVA.id);
    app.get_as(SHOP, &query).await.assert_ok();
    app.get(&format!("{query}&view=storefront"))
        .await
        .assert_hit();
    app.get_as(SHOP, &format!("{query}&view=full"))
        .await
        .assert_problem(403, "Forbidden");
    assert_eq!(audit(), [] as [Value; 0]);
}

#[tokio::test]
async fn storefront_view_requests_are_audited_if_configured() {
    let app = with_digests(|config| config.telemetry.audit = AuditedViews::All).await;
    let by_email = format!("email={}", ALVA.email);
    for (request_id, cache) in [("s-1", "miss"), ("s-2", "hit")] {
        get(&app, request_id, SHOP, &by_email).await.assert_ok();
        let event = audit().pop().expect("an event");
        assert_eq!(
            event,
            json!({"level": "INFO", "message": "storefront view requested", "client": "shop",
                "request_id": request_id, "by": "email", "contact": digest(ALVA.id),
                "status": 200, "cache": cache})
        );
    }
    // The fast path writes no audit events, so it is not taken.
    assert_eq!(app.fast_path_total(), 0);
    get(&app, "s-3", TILL, &by_email).await.assert_hit();
    let lookups = json!({"lookups": [{"contactId": BO.id}], "view": "storefront"});
    let batch = app
        .post_to("/customer/batch", TILL)
        .body(lookups.to_string());
    assert_eq!(
        Answer::of(batch.header("x-request-id", "s-4")).await.status,
        200
    );
    let messages: Vec<_> = audit()[2..]
        .iter()
        .map(|event| (event["request_id"].clone(), event["message"].clone()))
        .collect();
    assert_eq!(
        messages,
        [
            (json!("s-3"), json!("full view requested")),
            (json!("s-4"), json!("storefront view requested")),
        ]
    );
    assert_eq!(audit()[3]["contact"], digest(BO.id));
}

#[tokio::test]
async fn audit_event_keeps_the_request_id_behind_the_cors_layer() {
    let app = with_config(&Issuer::new(), |config| {
        config.server.cors_origins = vec!["https://shop.example.com".to_owned()];
    })
    .await;
    app.engage
        .fault(Endpoint::Overview, Fault::Status(500, json!("no")));
    get(&app, "layered", TILL, &format!("contactId={}", ALVA.id))
        .await
        .assert_problem(502, "UpstreamFailed");
    let events = audit();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["request_id"], "layered");
    assert_eq!(events[0]["code"], "UpstreamFailed");
}

#[tokio::test]
async fn operator_actions_are_audited_with_request_id_and_no_identifier() {
    let app = spawn().await;
    let by_phone = json!({"mobilePhone": ALVA.phone}).to_string();
    let contact = format!("/cache/contacts/{}", ALVA.id);
    for (request_id, method, target, body) in [
        ("o-1", Method::DELETE, &*contact, ""),
        ("o-2", Method::POST, "/cache/purge", &*by_phone),
        ("o-3", Method::POST, "/cache/purge", "{\"all\": true}"),
        ("o-4", Method::PUT, "/cache/enabled", "false"),
        ("o-5", Method::PUT, "/cache/enabled", "true"),
    ] {
        let request = app
            .operations_request(target)
            .header("content-type", "application/json")
            .header("x-request-id", request_id)
            .body(body.to_owned());
        let mut request = request.build().expect("a request");
        *request.method_mut() = method;
        assert_eq!(app.execute(request).await.status, 204, "{request_id}");
    }
    let purge = |request_id: &str, what: &str| {
        json!({"level": "WARN", "message": "cache purged by operator",
            "request_id": request_id, "what": what})
    };
    let switch = |request_id: &str, enabled: bool| {
        json!({"level": "WARN", "message": "cache switched by operator",
            "request_id": request_id, "enabled": enabled})
    };
    let mut of_contact = purge("o-1", "a contact");
    of_contact["contact"] = json!(digest(ALVA.id));
    let expected = [
        of_contact,
        purge("o-2", "mobilePhone"),
        purge("o-3", "everything"),
        switch("o-4", false),
        switch("o-5", true),
    ];
    assert_eq!(audit(), expected);
}

#[tokio::test]
async fn operator_explanations_are_audited_without_identifiers() {
    let app = spawn().await;
    app.get_as(SHOP, &format!("contactId={}", ALVA.id))
        .await
        .assert_ok();
    let by_email = json!({"email": ALVA.email}).to_string();
    let unknown = json!({"email": "unknown@example.com"}).to_string();
    for (request_id, body) in [("l-1", by_email), ("l-2", unknown)] {
        let request = app
            .operations_request("/cache/explain")
            .header("content-type", "application/json")
            .header("x-request-id", request_id)
            .body(body);
        let mut request = request.build().expect("a request");
        *request.method_mut() = Method::POST;
        app.execute(request).await.assert_ok();
    }
    let look = |request_id: &str, contact: &str| {
        json!({"level": "INFO", "message": "cache inspected by operator",
            "request_id": request_id, "what": "email", "contact": contact})
    };
    assert_eq!(audit(), [look("l-1", &digest(ALVA.id)), look("l-2", "")]);
}

/// The number of alarms in the log and in the metrics.
async fn alarms(app: &TestApp) -> (usize, usize) {
    let metrics = app.operations("/metrics").await;
    let line = "engage_bff_client_people_alarms_total{client=\"shop\"} ";
    let counted = metrics
        .text()
        .lines()
        .find_map(|text| text.strip_prefix(line));
    let counted = counted.map_or(0, |number| number.parse().expect("a number"));
    let logs = logs();
    let logged = logs
        .lines()
        .filter(|line| line.contains("distinct contacts limit exceeded"))
        .inspect(|line| {
            let event: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(event["alarm"], true);
            assert_eq!(event["client"], "shop");
            assert_eq!(event["limit"], 2);
            assert_eq!(event["level"], "WARN");
        });
    (logged.count(), counted)
}

#[tokio::test]
async fn reading_too_many_contacts_raises_one_alarm_an_hour() {
    let app = TestApp::with(|config| {
        let clients = &mut config.auth.clients;
        let shop = clients.iter_mut().find(|client| client.id == "shop");
        shop.expect("a client of the harness").people_per_hour = Some(2);
    })
    .await;
    let get = async |key: &str, contact: &str| {
        let query = format!("contactId={contact}&parts=none");
        app.get_as(key, &query).await.assert_ok();
    };
    // Two contacts count as two, however often and by whichever identifier; an unknown contact does not count.
    for _ in 0..3 {
        get(SHOP, ALVA.id).await;
        get(SHOP, BO.id).await;
    }
    let by_email = format!("email={}&parts=none", ALVA.email);
    app.get_as(SHOP, &by_email).await.assert_ok();
    app.get_as(SHOP, "email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(alarms(&app).await, (0, 0));
    // Another client's contacts do not count.
    for contact in [ALVA, BO, CIM, DORA] {
        get(TILL, contact.id).await;
    }
    assert_eq!(alarms(&app).await, (0, 0));
    for contact in [CIM, DORA, ALVA, CIM] {
        get(SHOP, contact.id).await;
        assert_eq!(alarms(&app).await, (1, 1));
    }
    app.advance(Duration::from_secs(60 * 60));
    for (contact, expected) in [(ALVA, 1), (DORA, 1), (CIM, 2), (BO, 2)] {
        get(SHOP, contact.id).await;
        assert_eq!(alarms(&app).await, (expected, expected));
    }
}
