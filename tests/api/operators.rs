//! What operators do by hand: purge a contact, whoever bears an identifier, or everything, and switch the cache off.

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    people::{ALVA, BO},
};
use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, COLD_CALLS, TestApp, arrive};

const LAG: Duration = Duration::from_secs(600);

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

/// Does something at the operations listener.
pub(crate) async fn operate(app: &TestApp, method: Method, target: &str, body: &str) -> Answer {
    let request = app
        .operations_request(target)
        .header("content-type", "application/json")
        .body(body.to_owned());
    let mut request = request.build().expect("a request");
    *request.method_mut() = method;
    app.execute(request).await
}

#[track_caller]
fn assert_done(answer: &Answer) {
    assert_eq!((answer.status, answer.text()), (204, ""));
}

/// Changes what Engage says of Alva.
fn change(app: &TestApp) {
    app.engage
        .contact(ALVA.id)
        .points("742.25")
        .attribute("firstName", json!("Alvina"));
}

#[track_caller]
fn assert_new(answer: &Answer) {
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Alvina");
    assert_eq!(answer.at("/points/balance"), json!(742.25));
}

#[tokio::test]
async fn a_purge_by_id_by_identifier_or_of_everything_is_final() {
    let by_id = format!("/cache/contacts/{}", ALVA.id.to_uppercase());
    let phone = json!({"mobilePhone": ALVA.phone, "contactType": "member"}).to_string();
    let national_id = json!({"socialSecurityNumber": "198507099805"}).to_string();
    for (method, target, body) in [
        (Method::DELETE, &*by_id, ""),
        (Method::POST, "/cache/purge", &*phone),
        (Method::POST, "/cache/purge", &*national_id),
        (Method::POST, "/cache/purge", "{\"all\": true}"),
    ] {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        app.get(&by_email()).await.assert_ok();
        app.advance(Duration::from_secs(1));
        change(&app);
        app.get(&by_email()).await.assert_hit();
        // The overview's copy may be old for as long as it lags, unless it is asked by nobody's fault but time's.
        if body.contains("all") {
            app.engage.set_overview_lag(Duration::ZERO);
        }
        assert_done(&operate(&app, method, target, body).await);
        let answer = app.get(&by_email()).await;
        assert_new(&answer);
        answer.assert_cache_status("engage-bff; fwd=miss; stored");
        app.get(&by_email()).await.assert_hit();
    }
}

#[tokio::test]
async fn what_is_in_the_air_when_a_contact_is_purged_is_neither_served_nor_stored() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let hold = app.engage.hold(Endpoint::All);
    let waiting = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    let target = format!("/cache/contacts/{}", ALVA.id);
    assert_done(&operate(&app, Method::DELETE, &target, "").await);
    hold.release();
    assert_new(&waiting.await.expect("an answer"));
    let kept = app.get(&by_email()).await;
    kept.assert_hit();
    assert_new(&kept);
    assert_eq!(kept.at("/degraded"), json!([]));
}

#[tokio::test]
async fn who_waits_for_a_call_that_a_purge_cuts_off_gets_all_that_a_new_one_tells() {
    let by_id = format!("contactId={}", ALVA.id);
    let one = format!("/cache/contacts/{}", ALVA.id);
    let everything = (Method::POST, "/cache/purge", "{\"all\": true}");
    for query in [&by_email(), &by_id] {
        for (method, target, body) in [(Method::DELETE, &*one, ""), everything.clone()] {
            let app = TestApp::spawn().await;
            let before = app.get(query).await;
            assert_done(&operate(&app, Method::POST, "/cache/purge", "{\"all\": true}").await);
            let calls = app.overviews();
            let hold = app.engage.hold(Endpoint::All);
            let waiting = app.ask(query);
            app.engage
                .wait_for_calls(Endpoint::Overview, calls + 1)
                .await;
            assert_done(&operate(&app, method.clone(), target, body).await);
            hold.release();
            let answer = waiting.await.expect("an answer");
            answer.assert_ok();
            assert_eq!(answer.at("/degraded"), json!([]), "{query} {target}");
            assert_eq!(answer.at("/audiences"), before.at("/audiences"));
            assert_ne!(answer.at("/audiences"), json!([]));
            assert_eq!(app.overviews(), calls + 2, "{query} {target}");
            app.get(query).await.assert_hit();
        }
    }
}

#[tokio::test]
async fn a_purge_that_names_nobody_or_too_much_is_refused_and_purges_nothing() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let both = json!({"email": ALVA.email, "contactId": ALVA.id}).to_string();
    for (body, status, code) in [
        ("", 400, "InvalidParameter"),
        ("{}", 400, "MissingIdentifier"),
        ("[]", 400, "InvalidParameter"),
        ("{\"all\": false}", 400, "InvalidParameter"),
        (
            "{\"all\": true, \"email\": \"a@example.com\"}",
            400,
            "InvalidParameter",
        ),
        (
            "{\"email\": \"a@example.com\", \"view\": \"full\"}",
            400,
            "InvalidParameter",
        ),
        ("{\"email\": \"nonsense\"}", 400, "InvalidEmailAddress"),
        (&*both, 400, "AmbiguousIdentifier"),
    ] {
        let answer = operate(&app, Method::POST, "/cache/purge", body).await;
        answer.assert_problem(status, code);
    }
    for id in ["nonsense", "%2f", ALVA.email] {
        let target = format!("/cache/contacts/{id}");
        let answer = operate(&app, Method::DELETE, &target, "").await;
        answer.assert_problem(400, "InvalidContactId");
    }
    let target = format!("/cache/contacts/{}/x", ALVA.id);
    let answer = operate(&app, Method::DELETE, &target, "").await;
    answer.assert_problem(404, "NotFound");
    app.get(&by_email()).await.assert_hit();
}

#[tokio::test]
async fn switched_off_the_cache_neither_serves_nor_keeps_anything_until_it_is_on_again() {
    let app = TestApp::spawn().await;
    let bo = format!("contactId={}", BO.id);
    app.get(&by_email()).await.assert_ok();
    assert_eq!(app.operations("/cache/enabled").await.text(), "true");
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    assert_eq!(app.operations("/cache/enabled").await.text(), "false");
    let stand = app.operations("/readyz").await;
    stand.assert_ok();
    assert_eq!(stand.at("/cache/enabled"), false);
    assert_eq!(stand.at("/cache/records"), 0);
    let metrics = app.operations("/metrics").await;
    assert!(metrics.text().contains("engage_bff_cache_enabled 0.0\n"));
    change(&app);
    for query in [&by_email(), &bo, &by_email()] {
        let calls = app.engage.total_calls();
        let answer = app.get(query).await;
        answer
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=bypass");
        assert_eq!(app.engage.total_calls(), calls + COLD_CALLS);
    }
    assert_new(&app.get(&by_email()).await);
    app.get(&format!("{}&fresh=all", by_email()))
        .await
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=bypass");
    let nobody = "email=nobody@example.com";
    for asked in 1..=2 {
        let calls = app.overviews();
        app.get(nobody).await.assert_problem(404, "ContactNotFound");
        assert_eq!(app.overviews(), calls + 1, "question {asked}");
    }
    app.get_with(&bo, "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    assert_eq!(app.operations("/readyz").await.at("/cache/records"), 0);
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "true").await);
    let answer = app.get(&bo).await;
    answer.assert_cache_status("engage-bff; fwd=miss; stored");
    app.get(&bo).await.assert_hit();
}

#[tokio::test]
async fn what_was_in_the_air_when_the_cache_went_off_is_not_there_when_it_is_on_again() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "true").await);
    let later = app.ask(&by_email());
    arrive().await;
    hold.release();
    assert_new(&waiting.await.expect("an answer"));
    assert_new(&later.await.expect("an answer"));
    let kept = app.get(&by_email()).await;
    kept.assert_hit();
    assert_new(&kept);
}

#[tokio::test]
async fn while_the_cache_is_off_callers_of_the_same_share_one_call() {
    let app = TestApp::spawn().await;
    assert_done(&operate(&app, Method::PUT, "/cache/enabled", "false").await);
    let hold = app.engage.hold(Endpoint::Overview);
    let query = format!("{}&parts=none", by_email());
    let waiting: Vec<_> = (0..20).map(|_| app.ask(&query)).collect();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    arrive().await;
    hold.release();
    for asked in waiting {
        asked.await.expect("an answer").assert_ok();
    }
    assert_eq!(app.overviews(), 1);
}

#[tokio::test]
async fn the_switch_takes_true_and_false_alone() {
    let app = TestApp::spawn().await;
    for body in ["", "off", "0", "\"false\"", "{\"enabled\": false}"] {
        let answer = operate(&app, Method::PUT, "/cache/enabled", body).await;
        answer.assert_problem(400, "InvalidParameter");
    }
    assert_eq!(app.operations("/cache/enabled").await.text(), "true");
}

#[tokio::test]
async fn nobody_purges_switches_or_looks_without_the_token_or_at_the_front_door() {
    let app =
        TestApp::with(|config| config.operations.token = Some("an-operators-token".into())).await;
    app.get(&by_email()).await.assert_ok();
    let contact = format!("/cache/contacts/{}", ALVA.id);
    let by_id = json!({"contactId": ALVA.id}).to_string();
    for (method, target, body) in [
        (Method::DELETE, &*contact, ""),
        (Method::POST, "/cache/purge", "{\"all\": true}"),
        (Method::PUT, "/cache/enabled", "false"),
        (Method::GET, "/cache/enabled", ""),
        (Method::GET, "/cache/stats", ""),
        (Method::POST, "/cache/explain", &*by_id),
    ] {
        let answer = operate(&app, method.clone(), target, body).await;
        answer.assert_problem(401, "Unauthorized");
        let mut request = app
            .customer(crate::harness::TILL, "")
            .body(body.to_owned())
            .build()
            .expect("a request");
        request.url_mut().set_path(target);
        *request.method_mut() = method;
        let answer = app.execute(request).await;
        answer.assert_problem(404, "NotFound");
    }
    app.get(&by_email()).await.assert_hit();
    let answer = operate(&app, Method::PATCH, &contact, "").await;
    assert_eq!(
        answer
            .assert_problem(405, "MethodNotAllowed")
            .header("allow"),
        "DELETE"
    );
}
