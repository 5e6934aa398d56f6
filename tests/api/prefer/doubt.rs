//! Cases in which the choice among several contacts is in doubt: then none is chosen.

use std::time::Duration;

use engage_bff::domain::PartSet;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, CIM, DINA, DORA},
};
use serde_json::{Value, json};

use super::{MEMBER, assert_found, drop_negatives, spawn};
use crate::harness::{SHOP, TestApp, id, wait_until};

#[tokio::test]
async fn contact_of_doubtful_type_leaves_the_choice_open() {
    let profile = |meta: Value| {
        let answer = json!({"id": DINA.id, "attributes": {"email": DINA.email}, "meta": meta});
        Fault::Body(answer.to_string())
    };
    for fault in [
        profile(json!({})),
        profile(json!({"contactType": null})),
        profile(json!({"contactType": "not a type"})),
        profile(json!({"contactType": ["Contact"]})),
        profile(json!({"contactType": "Contact", "ContactType": "Member"})),
    ] {
        let app = spawn().await;
        app.get(&format!("contactId={}", DORA.id)).await.assert_ok();
        app.engage.fault(Endpoint::Contact, fault.clone());
        let answer = app.get_as(SHOP, MEMBER).await;
        answer.assert_problem(409, "MultipleMatches");
        assert_eq!(app.engage.calls(Endpoint::Contact), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn failed_profile_of_a_listed_contact_fails_the_request() {
    for (fault, status, code) in [
        (Fault::Status(500, json!("no")), 502, "UpstreamFailed"),
        (Fault::TruncatedJson, 502, "UpstreamInvalid"),
        (
            Fault::WrongContact(ALVA.id.to_owned()),
            502,
            "IdentityMismatch",
        ),
        (
            Fault::TooMany { retry_after: None },
            503,
            "UpstreamUnavailable",
        ),
    ] {
        let app = spawn().await;
        app.get(&format!("contactId={}", DORA.id)).await.assert_ok();
        app.engage.fault(Endpoint::Contact, fault.clone());
        app.get(MEMBER).await.assert_problem(status, code);
        app.engage.clear_faults();
        app.advance(Duration::from_secs(61));
        assert_found(&app.get(MEMBER).await, DORA.id);
    }
}

#[tokio::test]
async fn deleted_contact_or_one_with_another_email_does_not_count() {
    for is_gone in [true, false] {
        let app = spawn().await;
        app.engage.contact(DINA.id).contact_type("Member");
        app.get(MEMBER).await.assert_problem(409, "MultipleMatches");
        app.customers
            .invalidate(id(DINA.id), PartSet::ALL)
            .await
            .expect("there is no shared tier");
        if is_gone {
            app.engage.contact(DINA.id).delete();
        } else {
            app.engage.contact(DINA.id).email("dina@example.com");
        }
        // The 409 is cached; the profiles decide.
        assert_found(&app.get(MEMBER).await, DORA.id);
        assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    }
}

#[tokio::test]
async fn incomplete_list_decides_nothing() {
    let long: Vec<_> = [DORA.id.to_owned(), DINA.id.to_owned()]
        .into_iter()
        .chain((0..9).map(|number| format!("00000000-0000-4000-8000-{number:012}")))
        .collect();
    for list in [
        json!(null),
        json!([DORA.id]),
        json!([DORA.id, DORA.id]),
        json!([DORA.id, DINA.id, "x"]),
        json!(long),
    ] {
        let app = spawn().await;
        let several = json!({"errorCode": "MultipleMatches",
            "messageDetails": {"multipleMatchesFound": list}});
        app.engage
            .fault(Endpoint::ContactIdLookup, Fault::Status(409, several));
        app.get_as(SHOP, MEMBER)
            .await
            .assert_problem(409, "MultipleMatches");
        assert_eq!(app.engage.total_calls(), 1, "{list}");
    }
}

#[tokio::test]
async fn listed_contact_without_the_identifier_is_never_chosen() {
    let app = spawn().await;
    app.engage.contact(DORA.id).contact_type("Contact");
    let several = json!({"errorCode": "MultipleMatches",
        "messageDetails": {"multipleMatchesFound": [ALVA.id, DINA.id]}});
    app.engage
        .fault(Endpoint::ContactIdLookup, Fault::Status(409, several));
    let answer = app.get(MEMBER).await;
    answer.assert_problem(409, "MultipleMatches");
    assert!(!answer.text().contains(ALVA.id), "{}", answer.text());
}

#[tokio::test]
async fn resolution_to_a_contact_without_the_identifier_is_a_mismatch() {
    let app = TestApp::spawn().await;
    app.engage.fault(
        Endpoint::ContactIdLookup,
        Fault::WrongContact(CIM.id.to_owned()),
    );
    app.get(&format!("email={}&prefer=Member", ALVA.email))
        .await
        .assert_problem(502, "IdentityMismatch");
}

#[tokio::test]
async fn change_during_the_choice_starts_it_again() {
    let app = spawn().await;
    let hold = app.engage.hold(Endpoint::Contact);
    let waiting = app.spawn_get(MEMBER);
    wait_until(|| hold.waiting() == 2).await;
    // Both responses are on their way: their contents are outdated before they arrive.
    app.engage.contact(DORA.id).contact_type("Contact");
    app.engage.contact(DINA.id).contact_type("Member");
    for contact in [DORA.id, DINA.id] {
        app.customers
            .invalidate(id(contact), PartSet::ALL)
            .await
            .expect("there is no shared tier");
    }
    drop_negatives(&app).await;
    hold.release();
    assert_found(&waiting.await.expect("an answer"), DINA.id);
}
