//! If several contacts share an identifier, clients with `customer:read:full` see the id and the type of each.

use std::time::Duration;

use engage_bff::domain::IdentifierKind;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DINA, DORA},
};
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::{
    audit,
    harness::{Answer, READER, SHOP, TILL, TestApp, let_requests_arrive, logs, wait_until},
    issuer::Issuer,
    tokens::{claims, with_config},
};

const SHARED: &str = "email=shared@example.com";
/// The time that a caller waits by default.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(2500);

/// The candidates of a 409, by contact id.
#[track_caller]
fn candidates(answer: &Answer) -> Vec<(String, Value)> {
    answer.assert_problem(409, "MultipleMatches");
    let listed = answer.at("/candidates");
    let listed = listed.as_array().expect("a list");
    let mut candidates: Vec<_> = listed
        .iter()
        .map(|candidate| {
            let members = candidate.as_object().expect("an object");
            let names: Vec<_> = members.keys().collect();
            assert_eq!(names, ["contactId", "contactType"]);
            let id = candidate["contactId"].as_str().expect("an id");
            (id.to_owned(), candidate["contactType"].clone())
        })
        .collect();
    candidates.sort_by(|some, other| some.0.cmp(&other.0));
    candidates
}

fn named(id: &str, contact_type: impl Into<Value>) -> (String, Value) {
    (id.to_owned(), contact_type.into())
}

/// A 409 of Engage with this list.
fn several(list: &Value) -> Fault {
    Fault::Status(
        409,
        json!({"errorCode": "MultipleMatches", "messageDetails": {"multipleMatchesFound": list}}),
    )
}

#[tokio::test]
async fn full_scope_sees_the_ids_and_types_of_candidates() {
    let app = TestApp::spawn().await;
    let answer = app.get(SHARED).await;
    assert_eq!(
        candidates(&answer),
        [named(DORA.id, "Member"), named(DINA.id, "Member")]
    );
    for secret in [DORA.email, DORA.phone, "Delad", "Dora", "Dina"] {
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    // The scope counts, not the view.
    let storefront = app.get(&format!("{SHARED}&view=storefront")).await;
    assert_eq!(candidates(&storefront).len(), 2);
    let body = app.lookup(json!({"email": DORA.email})).await;
    assert_eq!(candidates(&body).len(), 2);
}

#[tokio::test]
async fn callers_without_the_full_scope_get_no_candidates() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    let token = issuer.sign(&claims(json!({
        "email": DORA.email, "email_verified": true,
        "scope": "customer:read:self customer:read customer:read:full",
    })));
    let shopper = |key: Option<&'static str>| {
        let request = app
            .request("/customer/me")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        match key {
            Some(key) => request.header("x-api-key", key),
            None => request,
        }
    };
    for answer in [
        app.get_as(SHOP, SHARED).await,
        app.get_as(READER, SHARED).await,
        Answer::of(shopper(None)).await,
        Answer::of(shopper(Some(TILL))).await,
    ] {
        answer.assert_problem(409, "MultipleMatches");
        assert_eq!(answer.json().get("candidates"), None);
        for id in [DORA.id, DINA.id] {
            assert!(!answer.text().contains(id), "{}", answer.text());
        }
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn repeated_request_with_candidates_costs_no_call() {
    let app = TestApp::spawn().await;
    let first = candidates(&app.get(SHARED).await);
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.calls(Endpoint::Contact), 2);
    app.advance(Duration::from_secs(29));
    assert_eq!(candidates(&app.get(SHARED).await), first);
    assert_eq!(app.engage.total_calls(), 3);
}

#[tokio::test]
async fn concurrent_requests_share_the_calls_of_candidates() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Contact);
    let waiting: Vec<_> = (0..20).map(|_| app.spawn_get(SHARED)).collect();
    wait_until(|| hold.waiting() == 2).await;
    let_requests_arrive().await;
    hold.release();
    for answer in waiting {
        assert_eq!(candidates(&answer.await.expect("an answer")).len(), 2);
    }
    assert_eq!(app.engage.total_calls(), 3);
}

#[tokio::test]
async fn contact_that_engage_no_longer_knows_is_no_candidate() {
    let app = TestApp::spawn().await;
    app.get_as(SHOP, SHARED).await;
    app.engage.contact(DINA.id).delete();
    for _ in 0..2 {
        let left = candidates(&app.get(SHARED).await);
        assert_eq!(left, [named(DORA.id, "Member")]);
    }
    assert_eq!(app.engage.total_calls(), 3);
}

#[tokio::test]
async fn contact_with_another_identifier_by_now_is_no_candidate() {
    let app = TestApp::spawn().await;
    app.get_as(SHOP, SHARED).await;
    app.engage.contact(DINA.id).email("dina@example.com");
    let left = candidates(&app.get(SHARED).await);
    assert_eq!(left, [named(DORA.id, "Member")]);
}

#[tokio::test]
async fn candidate_without_a_readable_profile_has_no_type() {
    let without_type = json!({"id": DORA.id, "attributes": {"email": DORA.email}, "meta": {}});
    let two_types = json!({"id": DORA.id, "attributes": {"email": DORA.email},
        "meta": {"contactType": "Member", "ContactType": "Contact"}});
    for fault in [
        Fault::Status(500, json!("no")),
        Fault::Status(404, json!("no such route")),
        Fault::Status(403, json!("no")),
        Fault::TruncatedJson,
        Fault::WrongContact(ALVA.id.to_owned()),
        Fault::TooMany { retry_after: None },
        Fault::Body(without_type.to_string()),
        Fault::Body(two_types.to_string()),
    ] {
        let app = TestApp::spawn().await;
        app.engage.fault(Endpoint::Contact, fault.clone());
        let answer = app.get(SHARED).await;
        let listed = candidates(&answer);
        let of_dora = listed.iter().find(|(id, _)| id == DORA.id);
        assert_eq!(of_dora, Some(&named(DORA.id, Value::Null)), "{fault:?}");
        assert!(!answer.text().contains(ALVA.id), "{}", answer.text());
    }
}

#[tokio::test]
async fn candidates_are_named_at_the_callers_deadline() {
    let app = TestApp::spawn().await;
    app.engage.fault(Endpoint::Contact, Fault::Hang);
    let waiting = app.spawn_get(SHARED);
    app.engage.wait_for_calls(Endpoint::Contact, 2).await;
    app.advance(REQUEST_TIMEOUT);
    let answer = waiting.await.expect("an answer");
    assert_eq!(
        candidates(&answer),
        [named(DORA.id, Value::Null), named(DINA.id, Value::Null)]
    );
}

#[tokio::test]
async fn at_most_ten_listed_contacts_are_read() {
    let app = TestApp::spawn().await;
    let many: Vec<_> = (0..10_000)
        .map(|number| format!("00000000-0000-4000-8000-{number:012}"))
        .collect();
    app.engage.fault(Endpoint::Overview, several(&json!(many)));
    let answer = app.get(SHARED).await;
    // None of them exists.
    assert_eq!(candidates(&answer), []);
    assert_eq!(app.engage.calls(Endpoint::Contact), 10);
    let repeated: Vec<_> = std::iter::repeat_n(ALVA.id, 1000).collect();
    app.engage
        .fault(Endpoint::Overview, several(&json!(repeated)));
    let answer = app.get(&format!("email={}", ALVA.email)).await;
    assert_eq!(candidates(&answer), [named(ALVA.id, "Member")]);
    assert_eq!(app.engage.calls(Endpoint::Contact), 11);
}

#[tokio::test]
async fn unreadable_lists_name_the_readable_contacts() {
    for (list, expected) in [
        (json!(null), 0),
        (json!({}), 0),
        (json!("x"), 0),
        (json!([]), 0),
        (
            json!(["x", 7, null, {"id": DORA.id}, [DINA.id], "", DORA.email]),
            0,
        ),
        (
            json!([DORA.id.to_uppercase(), true, format!("{{{}}}", DINA.id)]),
            2,
        ),
        (json!([DORA.id, ALVA.id]), 1),
    ] {
        let app = TestApp::spawn().await;
        app.engage.fault(Endpoint::Overview, several(&list));
        let answer = app.get(SHARED).await;
        // A contact that does not have the identifier is not a candidate, whatever Engage lists.
        assert_eq!(candidates(&answer).len(), expected, "{list}");
        assert!(!answer.text().contains(ALVA.id), "{}", answer.text());
    }
}

#[tokio::test]
async fn only_if_cached_and_a_tripped_guard_cost_no_call() {
    let app = TestApp::with(|config| {
        let till = config
            .auth
            .clients
            .iter_mut()
            .find(|client| client.id == "till");
        till.expect("a client of the harness").unknown_per_minute = Some(1);
    })
    .await;
    app.get_as(SHOP, SHARED).await;
    let cached = app.get_with(SHARED, "only-if-cached").await;
    let unknown = [named(DORA.id, Value::Null), named(DINA.id, Value::Null)];
    assert_eq!(candidates(&cached), unknown);
    app.get("email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(candidates(&app.get(SHARED).await), unknown);
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn protected_candidate_is_named_only_by_id_and_type() {
    let app = TestApp::spawn().await;
    app.engage.contact(BO.id).email(CIM.email);
    app.engage.contact(BO.id).contact_type("Member");
    let answer = app.get(&format!("email={}", CIM.email)).await;
    assert_eq!(
        candidates(&answer),
        [named(BO.id, "Member"), named(CIM.id, "Member")]
    );
    assert!(!answer.text().contains("Cim"), "{}", answer.text());
}

#[tokio::test]
async fn webhook_ends_the_409_and_its_candidates() {
    let app = TestApp::with(|config| {
        config.webhooks.secrets = vec![engage_simulator::DEFAULT_WEBHOOK_SECRET.into()];
    })
    .await;
    app.send_webhooks();
    assert_eq!(candidates(&app.get(SHARED).await).len(), 2);
    app.engage.contact(DINA.id).email("dina@example.com");
    app.engage.webhooks_settled().await;
    let answer = app.get(SHARED).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn change_while_candidates_are_read_ends_the_409() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Contact);
    let waiting = app.spawn_get(SHARED);
    wait_until(|| hold.waiting() == 2).await;
    app.engage.contact(DINA.id).email("dina@example.com");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    hold.release();
    let answer = waiting.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn named_candidates_are_audited_and_counted() {
    let app = TestApp::with(|config| {
        config.telemetry.digest_key = Some("a key of digests for the tests".into());
        for client in &mut config.auth.clients {
            client.people_per_hour = Some(1);
            client.identifiers = IdentifierKind::ALL.to_vec();
        }
    })
    .await;
    app.get_as(SHOP, SHARED).await;
    assert_eq!(logs().matches("candidates named").count(), 0);
    assert_eq!(
        logs().matches("distinct contacts limit exceeded").count(),
        0
    );
    candidates(&app.get(SHARED).await);
    let logs = logs();
    let events: Vec<_> = logs
        .lines()
        .filter(|line| line.contains("candidates named"))
        .collect();
    let [event] = events[..] else {
        panic!("{events:?}");
    };
    let event: Value = serde_json::from_str(event).expect("JSON");
    assert_eq!(event["target"], "engage_bff::audit");
    assert_eq!(
        (&event["client"], &event["by"]),
        (&json!("till"), &json!("email"))
    );
    let digests = event["contacts"].as_str().expect("a text");
    for id in [DORA.id, DINA.id] {
        assert!(digests.contains(&audit::digest(id)), "{digests}");
    }
    assert_eq!(logs.matches("distinct contacts limit exceeded").count(), 1);
}
