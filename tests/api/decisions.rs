//! `GET /cache/decisions`: why the latest look-ups were answered as they were.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    audit::{audit, digest, spawn},
    harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive},
    operators::operate,
    sensitive::assert_no_sensitive_data,
};

/// Past every lifetime and its stale-while-revalidate window, except the audiences'.
const EXPIRED: Duration = Duration::from_secs(90);

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

fn only_profile() -> String {
    format!("contactId={}&parts=none", ALVA.id)
}

/// The decisions about the contact, the newest first.
async fn about(app: &TestApp, contact: &str) -> Vec<Value> {
    let target = format!("/cache/decisions?contact={}", digest(contact));
    decisions(&app.operations(&target).await)
}

#[track_caller]
fn decisions(answer: &Answer) -> Vec<Value> {
    answer.assert_ok();
    assert_no_sensitive_data("the decisions", answer.text());
    answer.at("/decisions").as_array().expect("a list").clone()
}

/// The newest of the decisions about Alva; there must be this many.
async fn newest(app: &TestApp, count: usize) -> Value {
    let decisions = about(app, ALVA.id).await;
    assert_eq!(decisions.len(), count, "{decisions:#?}");
    decisions[0].clone()
}

#[tokio::test]
async fn decision_says_for_each_part_where_it_came_from_and_why() {
    let app = spawn().await;
    let request = app.customer(SHOP, &by_email());
    let request = request.header("x-request-id", "first-visit");
    Answer::of(request).await.assert_ok();
    let miss = newest(&app, 1).await;
    assert_eq!(miss["at"], "2026-11-23T12:00:00.000Z");
    assert_eq!(miss["requestId"], "first-visit");
    assert_eq!(miss["client"], "shop");
    assert_eq!(miss["by"], "email");
    assert_eq!(miss["contact"], digest(ALVA.id));
    assert_eq!(miss["status"], 200);
    assert_eq!(miss["cache"], "miss");
    for part in ["profile", "audiences", "promotions", "vouchers", "points"] {
        let part = &miss["parts"][part];
        assert_eq!(part["outcome"], "fetched", "{part}");
        assert_eq!(part["why"], "identifier not cached", "{part}");
        assert_eq!(part["degraded"], false, "{part}");
    }
    assert_eq!(miss["parts"]["profile"]["source"], "overview");
    app.advance(Duration::from_secs(2));
    let query = format!("{}&fresh=points", by_email());
    app.get_as(SHOP, &query).await.assert_ok();
    let fresh = newest(&app, 2).await;
    assert_eq!(fresh["cache"], "request");
    assert_eq!(fresh["parts"]["points"]["why"], "requested fresh");
    assert_eq!(fresh["parts"]["points"]["source"], "entity");
    let profile = json!({"outcome": "fresh", "ageSeconds": 2.0, "source": "overview", "why": null,
                         "failure": null, "degraded": false});
    assert_eq!(fresh["parts"]["profile"], profile);
}

#[tokio::test]
async fn plain_hits_and_unknown_contacts_are_no_decisions() {
    let app = spawn().await;
    app.get_as(SHOP, &by_email()).await.assert_ok();
    let by_fast_path = app.fast_path_total();
    for key in [SHOP, READER, TILL] {
        app.get_as(key, &by_email()).await.assert_hit();
    }
    assert_eq!(app.fast_path_total(), by_fast_path + 2);
    app.get_as(SHOP, "email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    let all = decisions(&app.operations("/cache/decisions").await);
    assert_eq!(all.len(), 1, "{all:#?}");
}

#[tokio::test]
async fn stale_hit_of_the_fast_path_is_a_decision() {
    let app = spawn().await;
    app.get_as(SHOP, &only_profile()).await.assert_ok();
    let by_fast_path = app.fast_path_total();
    let hold = app.engage.hold(Endpoint::All);
    app.advance(Duration::from_secs(61));
    app.get_as(SHOP, &only_profile()).await.assert_hit();
    assert_eq!(app.fast_path_total(), by_fast_path + 1);
    let stale = newest(&app, 2).await;
    assert_eq!(stale["cache"], "hit");
    assert_eq!(stale["parts"]["profile"]["outcome"], "stale");
    assert_eq!(stale["parts"]["profile"]["why"], "expired");
    assert_eq!(stale["parts"]["profile"]["ageSeconds"], 61.0);
    assert_eq!(stale["parts"]["points"], Value::Null);
    hold.release();
    let_requests_arrive().await;
}

#[tokio::test]
async fn part_is_stale_from_the_moment_at_which_its_lifetime_ends() {
    let app = spawn().await;
    app.get_as(SHOP, &only_profile()).await.assert_ok();
    let _hold = app.engage.hold(Endpoint::All);
    // The lifetime is jittered, and `ttl` is still 0 in the first millisecond after its end: the last steps are shorter
    // than that.
    app.advance(Duration::from_secs(53));
    let mut step = Duration::from_millis(250);
    loop {
        app.advance(step);
        match app.get_as(SHOP, &only_profile()).await.ttl() {
            0 => step = Duration::from_micros(500),
            ..0 => break,
            _ => {}
        }
    }
    let decisions = about(&app, ALVA.id).await;
    let (miss, stale) = decisions.split_last().expect("the miss");
    assert_eq!(miss["cache"], "miss");
    assert!(stale.len() > 1, "{stale:#?}");
    for decision in stale {
        assert_eq!(decision["parts"]["profile"]["outcome"], "stale");
        assert_eq!(decision["parts"]["profile"]["why"], "expired");
    }
}

#[tokio::test]
async fn failures_and_invalidations_are_named() {
    let app = spawn().await;
    app.get_as(SHOP, &only_profile()).await.assert_ok();
    app.engage.fault(
        Endpoint::All,
        Fault::Status(500, json!({"message": "busy"})),
    );
    app.advance(EXPIRED);
    app.get_as(SHOP, &only_profile())
        .await
        .assert_stale_if_error();
    let stale = newest(&app, 2).await;
    assert_eq!(stale["cache"], "stale-if-error");
    let profile = &stale["parts"]["profile"];
    assert_eq!(profile["outcome"], "stale_if_error");
    assert_eq!(profile["why"], "expired");
    assert_eq!(profile["failure"], "upstream status 500");
    assert_eq!(profile["degraded"], true);

    let by_id = format!("contactId={}", BO.id);
    app.get_as(SHOP, &by_id)
        .await
        .assert_problem(502, "UpstreamFailed");
    let refused = about(&app, BO.id).await;
    assert_eq!(refused[0]["status"], 502);
    assert_eq!(refused[0]["code"], "UpstreamFailed");
    assert_eq!(refused[0]["failure"], "upstream status 500");
    assert_eq!(refused[0]["parts"], Value::Null);

    app.engage.clear_faults();
    app.advance(Duration::from_secs(60));
    app.get_as(SHOP, &only_profile()).await.assert_ok();
    let purge = format!("/cache/contacts/{}", ALVA.id);
    operate(&app, reqwest::Method::DELETE, &purge, "").await;
    app.get_as(SHOP, &only_profile()).await.assert_ok();
    let refilled = newest(&app, 4).await;
    assert_eq!(refilled["parts"]["profile"]["why"], "invalidated");
    assert_eq!(refilled["parts"]["profile"]["outcome"], "fetched");
}

#[tokio::test]
async fn each_look_up_of_a_batch_and_each_guest_is_a_decision() {
    let app = spawn().await;
    let lookups = json!({"lookups": [{"contactId": ALVA.id}, {"contactId": BO.id}]});
    let request = app.post_to("/customer/batch", TILL);
    Answer::of(request.body(lookups.to_string()))
        .await
        .assert_ok();
    for contact in [ALVA, BO] {
        let of_batch = about(&app, contact.id).await;
        assert_eq!(of_batch.len(), 1, "{of_batch:#?}");
        assert_eq!(of_batch[0]["parts"]["profile"]["outcome"], "fetched");
        assert_eq!(of_batch[0]["parts"]["profile"]["why"], "not cached");
    }
    app.engage.fault(Endpoint::All, Fault::Html502);
    let guest = "email=new.visitor%40example.com&onUnavailable=guest";
    app.get_as(SHOP, guest).await.assert_ok();
    let all = decisions(&app.operations("/cache/decisions").await);
    assert_eq!(all.len(), 3, "{all:#?}");
    assert_eq!(all[0]["cache"], "guest");
    assert_eq!(all[0]["contact"], Value::Null);
    assert_eq!(all[0]["failure"], "upstream status 502");
}

#[tokio::test]
async fn reading_is_audited_and_only_a_digest_is_accepted() {
    let app = spawn().await;
    let before = audit().len();
    let contact = digest(ALVA.id);
    let target = format!("/cache/decisions?contact={contact}");
    let request = app.operations_request(&target);
    let answer = Answer::of(request.header("x-request-id", "who-saw")).await;
    assert_eq!(
        answer.at(""),
        json!({"oldest": null, "kept": 0, "decisions": []})
    );
    let event = json!({"level": "INFO", "message": "cache inspected by operator",
                       "request_id": "who-saw", "what": "decisions", "contact": contact});
    assert_eq!(audit()[before..], [event]);
    for query in [
        "contact=",
        "contact=alva.testsson%40example.com",
        "contact=0123456789ABCDEF",
        "contact=0123456789abcdef&contact=0123456789abcdef",
        "limit=5",
    ] {
        let answer = app.operations(&format!("/cache/decisions?{query}")).await;
        answer.assert_problem(400, "InvalidParameter");
    }
    assert_eq!(audit().len(), before + 1);
}
