//! A request for a fresh profile resolves the identifier again, whatever is cached, and gets the contact that now has
//! the identifier (P1).

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, DORA},
};
use serde_json::json;

use crate::harness::{TestApp, let_requests_arrive};

const LAG: Duration = Duration::from_secs(600);

fn alvas_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// The overview lags; Alva's e-mail address is cached if `is_warm`.
async fn started(is_warm: bool) -> TestApp {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    if is_warm {
        app.get(&alvas_email()).await.assert_ok();
    }
    app
}

/// Gives Alva's e-mail address to Dora too.
fn share_alvas_email(app: &TestApp) {
    app.engage.contact(DORA.id).email(ALVA.email);
}

#[tokio::test]
async fn fresh_request_by_a_shared_email_is_409() {
    for fresh in ["profile", "all"] {
        for is_warm in [true, false] {
            let app = started(is_warm).await;
            share_alvas_email(&app);
            if is_warm {
                app.get(&alvas_email()).await.assert_hit();
            }
            let answer = app.get(&format!("{}&fresh={fresh}", alvas_email())).await;
            answer.assert_problem(409, "MultipleMatches");
            // No overview undoes what the cache has learned.
            for _ in 0..5 {
                let answer = app.get(&alvas_email()).await;
                answer.assert_problem(409, "MultipleMatches");
                app.advance(Duration::from_secs(90));
            }
        }
    }
}

#[tokio::test]
async fn no_cache_resolves_the_email_again() {
    let app = started(true).await;
    share_alvas_email(&app);
    let answer = app.get_with(&alvas_email(), "no-cache").await;
    answer.assert_problem(409, "MultipleMatches");
}

#[tokio::test]
async fn fresh_request_by_any_shared_identifier_is_409() {
    for (attribute, value, lookup) in [
        (
            "mobilePhone",
            ALVA.phone,
            json!({"mobilePhone": ALVA.phone}),
        ),
        (
            "memberNumber",
            ALVA.member_number,
            json!({"customKey": ALVA.member_number}),
        ),
        ("email", ALVA.email, json!({"any": ALVA.email})),
        (
            "socialSecurityNumber",
            ALVA.national_id,
            json!({"socialSecurityNumber": ALVA.national_id}),
        ),
    ] {
        let app = TestApp::spawn().await;
        app.lookup(lookup.clone()).await.assert_ok();
        app.engage
            .contact(DORA.id)
            .attribute(attribute, json!(value));
        app.lookup(lookup.clone()).await.assert_hit();
        let mut fresh = lookup;
        fresh["fresh"] = json!(["profile"]);
        let answer = app.lookup(fresh).await;
        answer.assert_problem(409, "MultipleMatches");
    }
}

#[tokio::test]
async fn fresh_request_by_a_moved_email_returns_the_other_contact() {
    for deletes in [true, false] {
        for is_warm in [true, false] {
            let app = started(is_warm).await;
            app.engage.move_email(ALVA.id, DORA.id);
            if deletes {
                app.engage.contact(ALVA.id).delete();
            }
            let fresh = format!("{}&fresh=all", alvas_email());
            let answer = app.get(&fresh).await;
            assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
            for _ in 0..10 {
                let answer = app.get(&alvas_email()).await;
                assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
                app.advance(Duration::from_secs(70));
            }
        }
    }
}

#[tokio::test]
async fn fresh_requests_share_one_resolution() {
    let app = started(true).await;
    app.engage.reset_log();
    let hold = app.engage.hold(Endpoint::All);
    let query = format!("{}&fresh=profile", alvas_email());
    let first = app.spawn_get(&query);
    app.engage.wait_for_calls(Endpoint::All, 2).await;
    let later: Vec<_> = (0..10).map(|_| app.spawn_get(&query)).collect();
    let_requests_arrive().await;
    hold.release();
    first.await.expect("an answer").assert_ok();
    for answer in later {
        answer.await.expect("an answer").assert_ok();
    }
    // One call was in flight, and one was queued after it.
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 2);
    assert_eq!(app.engage.calls(Endpoint::Contact), 2);
    assert_eq!(app.engage.total_calls(), 4);
}

#[tokio::test]
async fn failed_resolution_fails_the_fresh_profile() {
    let app = started(true).await;
    let fault = Fault::Status(500, json!("busy"));
    app.engage.fault(Endpoint::ContactIdLookup, fault);
    let query = format!("{}&fresh=profile", alvas_email());
    app.get(&query).await.assert_problem(502, "UpstreamFailed");
    app.get(&alvas_email()).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn contact_id_with_a_contact_type_is_not_resolved() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}&contactType=Member&parts=none", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage.reset_log();
    app.get(&format!("{query}&fresh=profile")).await.assert_ok();
    assert_eq!(app.engage.total_calls(), 1);
}
