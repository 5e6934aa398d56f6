//! `onUnavailable=guest`: if Engage is unavailable and nothing is cached, the response contains no customer.

use std::{collections::BTreeSet, time::Duration};

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DORA},
};
use http::header::AUTHORIZATION;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    faults::busy,
    harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive, logs},
    issuer::Issuer,
    tokens::{claims, of_alva, with_config},
};

const GUEST: &str = "engage-bff; fwd=miss; detail=guest";
const EXPIRED: Duration = Duration::from_secs(90);

fn alva() -> String {
    format!("email={}&onUnavailable=guest", ALVA.email)
}

fn failing() -> Fault {
    Fault::Status(500, json!("An error has occurred."))
}

#[track_caller]
fn assert_guest(answer: &Answer) {
    answer.assert_ok().assert_cache_status(GUEST);
    assert_has_no_customer(answer);
}

#[track_caller]
fn assert_has_no_customer(answer: &Answer) {
    assert_eq!(
        answer.assert_ok().header("content-type"),
        "application/json"
    );
    for absent in ["etag", "age", "retry-after"] {
        assert_eq!(answer.header(absent), "", "{absent}");
    }
    assert_eq!(answer.header("cache-control"), "private, no-store");
    let mut body = answer.json();
    let degraded = body["degraded"].take();
    assert!(degraded.as_array().is_some_and(|parts| !parts.is_empty()));
    assert_empty(&body, "");
}

/// Asserts that every member is `null` or an empty list.
#[track_caller]
fn assert_empty(value: &Value, path: &str) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                assert_empty(value, &format!("{path}/{key}"));
            }
        }
        value => assert!(
            *value == json!(null) || *value == json!([]),
            "{path}: {value}"
        ),
    }
}

/// The paths of all members; items of lists have none.
fn paths(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    all.insert(path.to_owned());
    if let Value::Object(members) = value {
        for (key, value) in members {
            paths(value, &format!("{path}/{key}"), all);
        }
    }
}

#[tokio::test]
async fn every_failure_of_engage_is_answered_as_a_guest() {
    let app = TestApp::spawn().await;
    let _clock = app.run_clock();
    let ids = app.engage.contact_ids().split_off(5);
    let text = |status: u16| Fault::Status(status, json!("no"));
    let misconfigured = json!({"errorCode": "InvalidSystemConfiguration"});
    let another = json!({"id": CIM.id, "attributes": {"email": CIM.email}, "meta": {}});
    for (number, fault) in [
        text(401),
        text(403),
        text(404),
        text(422),
        failing(),
        text(503),
        Fault::Raw(busy("3").into()),
        Fault::Status(500, misconfigured),
        Fault::Html502,
        Fault::HtmlOk200,
        Fault::TruncatedJson,
        Fault::Empty200,
        Fault::ResetBeforeBody,
        Fault::ResetMidBody,
        Fault::WrongContact(CIM.id.to_owned()),
        Fault::Body(another.to_string()),
        Fault::Hang,
    ]
    .into_iter()
    .enumerate()
    {
        app.engage.fault(Endpoint::All, fault.clone());
        for (key, id) in [(TILL, &ids[2 * number]), (READER, &ids[2 * number + 1])] {
            let query = format!("contactId={id}");
            let answer = app
                .get_as(key, &format!("{query}&onUnavailable=guest"))
                .await;
            assert_guest(&answer);
            let failed = app.get_as(key, &query).await;
            assert!(failed.status >= 500, "{fault:?}: {}", failed.text());
        }
        app.engage.clear_faults();
        app.advance(Duration::from_secs(61));
        app.get_until(&alva(), |answer| answer.at("/contactId") == ALVA.id)
            .await;
        app.customers.purge_everything().await.expect("no tier");
    }
}

#[tokio::test]
async fn rate_limit_budget_and_breaker_are_answered_as_a_guest() {
    let app = TestApp::spawn().await;
    app.engage.fault_times(
        Endpoint::Overview,
        Fault::TooMany {
            retry_after: Some("30".to_owned()),
        },
        1,
    );
    assert_guest(&app.get(&alva()).await);
    assert_guest(&app.get(&alva()).await);
    assert_eq!(app.engage.total_calls(), 1);

    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::Overview, failing());
    for number in 0..20 {
        let query = format!("email=fails{number}@example.com&onUnavailable=guest");
        assert_guest(&app.get(&query).await);
    }
    let calls = app.engage.total_calls();
    app.get(&format!("email={}", ALVA.email))
        .await
        .assert_problem(503, "UpstreamUnavailable");
    assert_guest(&app.get(&alva()).await);
    assert_eq!(app.engage.total_calls(), calls);

    let app = TestApp::with(|config| {
        config.engage.requests_per_second = 0.001;
        config.engage.burst = 1;
    })
    .await;
    app.get(&format!("contactId={}&parts=none", BO.id))
        .await
        .assert_ok();
    let _clock = app.run_clock();
    assert_guest(&app.get(&format!("{}&parts=none", alva())).await);
}

#[tokio::test]
async fn engage_that_was_never_reachable_is_answered_as_a_guest() {
    let app = TestApp::spawn().await;
    app.engage.shutdown().await;
    let _clock = app.run_clock();
    assert_guest(&app.get(&alva()).await);
    let body = json!({"contactId": ALVA.id, "onUnavailable": "guest"});
    assert_guest(&app.lookup(body).await);
    assert_guest(&app.get(&format!("{}&fresh=all", alva())).await);
    assert_guest(
        &app.get(&format!(
            "email={}&prefer=Member&onUnavailable=guest",
            ALVA.email
        ))
        .await,
    );
}

#[tokio::test]
async fn guest_has_the_shape_of_every_answer() {
    let app = TestApp::spawn().await;
    for (key, view) in [(TILL, "full"), (SHOP, "storefront")] {
        for parts in ["none", "points,promotions,vouchers", "points"] {
            let query = format!("{}&parts={parts}&view={view}", alva());
            let known = app.get_as(key, &query).await;
            assert_eq!(known.at("/contactId"), ALVA.id);
            app.customers.purge_everything().await.expect("no tier");
            app.engage.fault(Endpoint::All, failing());
            let guest = app.get_as(key, &query).await;
            assert_guest(&guest);
            app.engage.clear_faults();
            app.customers.purge_everything().await.expect("no tier");

            let (mut known, mut guest) = (known.json(), guest.json());
            let asked: Vec<_> = ["profile", "audiences", "promotions", "vouchers", "points"]
                .into_iter()
                .filter(|part| known["freshness"][part].is_object())
                .collect();
            assert_eq!(guest["degraded"], json!(asked), "{parts}");
            // The tenant's own attributes are not fixed keys of the response.
            known["profile"]["attributes"] = json!({});
            // Members that a response may lack are null.
            for optional in ["/profile/level", "/profile/homeStore", "/points"] {
                assert_eq!(guest.pointer(optional), Some(&Value::Null), "{optional}");
                *known.pointer_mut(optional).expect("a member") = Value::Null;
            }
            for part in asked {
                known["freshness"][part].take();
            }
            guest["degraded"].take();
            known["degraded"].take();
            let (mut of_known, mut of_guest) = (BTreeSet::new(), BTreeSet::new());
            paths(&known, "", &mut of_known);
            paths(&guest, "", &mut of_guest);
            assert_eq!(of_guest, of_known, "{view} {parts}");
        }
    }
}

#[tokio::test]
async fn cached_answer_wins_over_a_guest() {
    let app = TestApp::spawn().await;
    app.get(&alva()).await.assert_ok();
    app.advance(EXPIRED);
    app.engage.fault(Endpoint::All, failing());
    let stale = app.get(&alva()).await;
    stale.assert_stale_if_error();
    assert_eq!(stale.at("/contactId"), ALVA.id);
    // With `stale-if-error=0` the caller accepts no stale data, so it gets a guest.
    assert_guest(&app.get_with(&alva(), "stale-if-error=0").await);
}

#[tokio::test]
async fn hit_is_the_same_with_the_parameter() {
    let app = TestApp::spawn().await;
    let plain = format!("email={}", ALVA.email);
    let by_shop = app.get_as(SHOP, &plain).await;
    let fast = app.fast_path_total();
    let answer = app.get_as(SHOP, &alva()).await;
    answer.assert_hit();
    assert_eq!(app.fast_path_total(), fast + 1);
    assert_eq!(answer.body, by_shop.body);
    assert_eq!(answer.header("etag"), by_shop.header("etag"));
    let kept = app
        .customer(SHOP, &alva())
        .header("if-none-match", answer.header("etag"));
    assert_eq!(Answer::of(kept).await.status, 304);
}

#[tokio::test]
async fn refusals_are_never_answered_as_a_guest() {
    let app = TestApp::with(|config| {
        let client = |id: &str| id == "shop";
        for shop in config.auth.clients.iter_mut().filter(|it| client(&it.id)) {
            shop.unknown_per_minute = Some(1);
        }
    })
    .await;
    let guest = "onUnavailable=guest";
    for (key, query, status, code) in [
        (
            TILL,
            "email=unknown@example.com".to_owned(),
            404,
            "ContactNotFound",
        ),
        (
            TILL,
            format!("email={}", DORA.email),
            409,
            "MultipleMatches",
        ),
        (TILL, "email=x".to_owned(), 400, "InvalidEmailAddress"),
        (TILL, String::new(), 400, "MissingIdentifier"),
        (
            TILL,
            format!("email={}&view=fuller", ALVA.email),
            400,
            "InvalidParameter",
        ),
        (
            READER,
            format!("email={}&view=full", ALVA.email),
            403,
            "Forbidden",
        ),
        (
            READER,
            format!("email={}&fresh=all", ALVA.email),
            403,
            "Forbidden",
        ),
        (
            "no key",
            format!("email={}", ALVA.email),
            401,
            "Unauthorized",
        ),
        (
            SHOP,
            "email=unknown2@example.com".to_owned(),
            404,
            "ContactNotFound",
        ),
        (SHOP, format!("email={}", ALVA.email), 429, "RateLimited"),
    ] {
        let query = format!("{query}&{guest}");
        let answer = app.get_as(key, query.trim_start_matches('&')).await;
        answer.assert_problem(status, code);
    }
    let refused = json!({"errorCode": "SomethingThatEngageAddedLater"});
    app.engage
        .fault_times(Endpoint::All, Fault::Status(400, refused), 1);
    app.get(&alva())
        .await
        .assert_problem(400, "SomethingThatEngageAddedLater");
    app.get_with(&format!("email={}&{guest}", BO.email), "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    let body = json!({"email": ALVA.email, "onUnavailable": "guest"}).to_string();
    let text = app.post(TILL).header("content-encoding", "gzip").body(body);
    Answer::of(text)
        .await
        .assert_problem(415, "UnsupportedMediaType");
    let large = app
        .post(TILL)
        .body(format!("{{\"onUnavailable\":\"{}\"}}", "x".repeat(1 << 20)));
    Answer::of(large)
        .await
        .assert_problem(413, "PayloadTooLarge");
    let mut delete = app.customer(TILL, guest).build().expect("a request");
    *delete.method_mut() = Method::DELETE;
    app.execute(delete)
        .await
        .assert_problem(405, "MethodNotAllowed");
}

#[tokio::test]
async fn other_values_are_refused() {
    let app = TestApp::spawn().await;
    for value in ["", "Guest", "guest,fail", "fail", "true", "%67uesT"] {
        let query = format!("email={}&onUnavailable={value}", ALVA.email);
        let answer = app.get(&query).await;
        answer.assert_problem(400, "InvalidParameter");
        let detail = answer.at("/detail");
        let detail = detail.as_str().expect("a text");
        assert!(detail.starts_with("onUnavailable: "), "{detail}");
    }
    for value in [json!(true), json!(["guest"]), json!(null)] {
        app.lookup(json!({"email": ALVA.email, "onUnavailable": value}))
            .await
            .assert_problem(400, "InvalidParameter");
    }
    let twice = format!("{}&onUnavailable=guest", alva());
    app.get(&twice)
        .await
        .assert_problem(400, "InvalidParameter");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn guest_is_never_a_304() {
    let app = TestApp::spawn().await;
    let known = app.get(&alva()).await;
    app.customers.purge_everything().await.expect("no tier");
    app.engage.fault(Endpoint::All, failing());
    for tag in ["*", known.header("etag"), "\"ba7816bf8f01cfea414140de\""] {
        let get = app.customer(TILL, &alva()).header("if-none-match", tag);
        assert_guest(&Answer::of(get).await);
        let body = json!({"email": ALVA.email, "onUnavailable": "guest"}).to_string();
        let post = app.post(TILL).header("if-none-match", tag).body(body);
        assert_guest(&Answer::of(post).await);
        // There is no customer of which the caller could have a copy.
        let get = app.customer(TILL, &alva()).header("if-match", tag);
        Answer::of(get)
            .await
            .assert_problem(412, "PreconditionFailed");
    }
    let head = app.head(&alva()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    head.assert_cache_status(GUEST);
}

#[tokio::test]
async fn shopper_is_answered_as_a_guest_only_about_itself() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    app.engage.fault(Endpoint::All, failing());
    let get = async |own: &Value, target: &str| {
        let request = app.request(target);
        let token = issuer.sign(own);
        Answer::of(request.header(AUTHORIZATION, format!("Bearer {token}"))).await
    };
    let by_email = claims(json!({"email": ALVA.email, "email_verified": true}));
    for (own, target) in [
        (of_alva(), "/customer/me?onUnavailable=guest".to_owned()),
        (
            by_email.clone(),
            "/customer/me?onUnavailable=guest".to_owned(),
        ),
        (by_email.clone(), format!("/customer?{}", alva())),
    ] {
        let answer = get(&own, &target).await;
        assert_has_no_customer(&answer);
        assert_eq!(answer.header("cache-status"), "");
    }
    let others = format!("/customer?email={}&onUnavailable=guest", BO.email);
    get(&by_email, &others)
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn guests_are_counted_logged_and_audited() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::All, failing());
    assert_guest(&app.get(&alva()).await);
    let metrics = app.operations("/metrics").await;
    let line = "engage_bff_customer_request_duration_seconds_count{cache=\"guest\"} 1";
    assert!(metrics.text().lines().any(|found| found == line), "{line}");
    let logs = logs();
    let answered = logs.lines().filter(|line| line.contains("\"/customer\""));
    assert_eq!(
        answered
            .filter(|line| line.contains("\"status\":200"))
            .count(),
        1
    );
    let audited = logs
        .lines()
        .find(|line| line.contains("full view requested"));
    let audited: Value = serde_json::from_str(audited.expect("an event")).expect("JSON");
    assert_eq!(
        (&audited["cache"], &audited["status"]),
        (&json!("guest"), &json!(200))
    );
    assert_eq!(audited.get("contact"), None);
}

#[tokio::test]
async fn customer_is_returned_again_once_engage_recovers() {
    let app = TestApp::spawn().await;
    app.engage.fault_times(Endpoint::All, failing(), 1);
    assert_guest(&app.get(&alva()).await);
    let_requests_arrive().await;
    app.advance(Duration::from_secs(31));
    let answer = app.get(&alva()).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    answer.assert_cache_status("engage-bff; fwd=miss; stored");
}
