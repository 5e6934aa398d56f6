//! The contacts of a delivery, wherever its payload contains their ids.

use engage_bff::domain::{Digester, Identifier, Lookup, Part};
use engage_simulator::fixtures::{ALVA, BO};
use serde_json::{Value, json};

use super::{
    Answer, DEFAULT_WEBHOOK_SECRET, TestApp, assert_accepted, count, feed::state, signed,
    with_secret,
};
use crate::harness::{id, logs};

/// A signed delivery of this event with this payload.
async fn deliver(app: &TestApp, message: &str, event: &str, payload: Value) -> Answer {
    let body = json!({"eventId": "e7e00000-0000-4000-8000-000000000001", "eventType": event,
        "isEncrypted": false, "payload": payload, "tenant": "exampletenant"});
    let body = body.to_string();
    let headers = signed(DEFAULT_WEBHOOK_SECRET, message, 0, &body);
    app.deliver(headers, body).await
}

/// Whether the contact's profile is fenced by an invalidation.
fn is_invalidated(app: &TestApp, contact: &str) -> bool {
    let identifier = Identifier::ContactId(id(contact));
    let lookup = Lookup::new(identifier, None, &Digester::random());
    let explained = app.customers.explain(&lookup);
    let contact = explained.contacts.first().expect("the requested contact");
    contact
        .fences
        .iter()
        .any(|fence| fence.part == Part::Profile && fence.is_raised)
}

#[tokio::test]
async fn contact_id_is_found_at_any_depth_and_in_any_spelling() {
    let bare = ALVA.id.replace('-', "");
    for (index, payload) in [
        json!({"contact": {"id": ALVA.id}}),
        json!({"Contact": {"Id": ALVA.id.to_uppercase(), "type": "Member"}}),
        json!({"data": {"contact_id": ALVA.id}}),
        json!({"data": {"object": {"contact-id": bare}}}),
        json!({"contact.id": format!("{{{}}}", ALVA.id)}),
        json!({"contactGuid": format!("({bare})")}),
        json!({"contactIds": [BO.id, format!(" {} ", ALVA.id)]}),
        json!({"contacts": [{"id": BO.id}, {"id": ALVA.id}]}),
        json!({"id": ALVA.id}),
        json!({"data": {"id": ALVA.id}}),
        json!({"a": [[{"b": {"c": {"CONTACTID": ALVA.id}}}]]}),
        json!({"contactId": null, "customerId": ALVA.id}),
    ]
    .into_iter()
    .enumerate()
    {
        let app = TestApp::with(with_secret).await;
        assert_accepted(&deliver(&app, "msg_1", "contact.updated", payload).await);
        assert!(is_invalidated(&app, ALVA.id), "{index}");
        assert_eq!(
            count(&app, "contact.updated", "taken").await,
            Some(1),
            "{index}"
        );
        assert_eq!(state(&app).await, "working", "{index}");
    }
}

#[tokio::test]
async fn every_contact_of_a_merge_is_invalidated() {
    for (index, payload) in [
        json!({"oldContactId": ALVA.id, "newContactId": BO.id}),
        json!({"contactId": ALVA.id, "mergedInto": BO.id}),
        json!({"survivorId": ALVA.id, "mergedIds": [BO.id]}),
        json!({"id": ALVA.id, "duplicates": [{"id": BO.id}]}),
        json!({"sourceId": ALVA.id, "target_id": BO.id, "contactIds": []}),
    ]
    .into_iter()
    .enumerate()
    {
        for event in ["contact.updated", "contact.merged", "contact.deleted"] {
            let app = TestApp::with(with_secret).await;
            assert_accepted(&deliver(&app, "msg_1", event, payload.clone()).await);
            assert!(is_invalidated(&app, ALVA.id), "{index} {event}");
            assert!(is_invalidated(&app, BO.id), "{index} {event}");
        }
    }
}

#[tokio::test]
async fn contact_event_without_a_contact_counts_as_missed() {
    let app = TestApp::with(with_secret).await;
    let voucher = "8d31c000-2001-4c22-b002-b2d200c00001";
    assert_accepted(&deliver(&app, "msg_0", "contact.created", json!({})).await);
    for (index, (event, payload)) in [
        ("contact.updated", json!({})),
        ("contact.updated", json!({"contactId": 12})),
        (
            "contact.updated",
            json!({"contactId": "alva", "storeId": voucher}),
        ),
        ("contact.updated", json!({"contactIds": [ALVA.id, "alva"]})),
        ("contact.deleted", json!(ALVA.id)),
        ("contact.deleted", json!(null)),
        (
            "contact.consent.changed",
            json!({"consent": {"id": voucher}}),
        ),
        ("contact.merged", json!({"reason": "duplicate"})),
        ("reward.voucher.created", json!({"Id": voucher})),
        (
            "point.balance.updated",
            json!({"contactId": "00000000-0000-0000-0000-000000000000"}),
        ),
        ("loyalty.addPoints", json!({"amount": 1})),
        ("something.new", json!({"contactId": "alva"})),
    ]
    .into_iter()
    .enumerate()
    {
        let app = TestApp::with(with_secret).await;
        assert_accepted(&deliver(&app, "msg_0", "contact.created", json!({})).await);
        for copy in 0..3 {
            assert_eq!(state(&app).await, "working", "{index} {copy}");
            let message = format!("msg_{index}_{copy}");
            assert_accepted(&deliver(&app, &message, event, payload.clone()).await);
        }
        assert_eq!(state(&app).await, "failing", "{index}");
    }
    // An event about something other than contacts is no missed change.
    for copy in 0..5 {
        let message = format!("msg_other_{copy}");
        assert_accepted(
            &deliver(&app, &message, "order.shipped", json!({"orderId": voucher})).await,
        );
    }
    assert_eq!(state(&app).await, "working");
}

#[tokio::test]
async fn partly_readable_delivery_invalidates_its_readable_contacts() {
    let app = TestApp::with(with_secret).await;
    let ids = json!({"contactIds": [ALVA.id, "bo"]});
    assert_accepted(&deliver(&app, "msg_1", "contact.updated", ids).await);
    assert!(is_invalidated(&app, ALVA.id));
    assert_eq!(count(&app, "contact.updated", "unaddressed").await, Some(1));
    assert!(!logs().contains("failing"));
}

#[tokio::test]
async fn delivery_with_more_than_a_thousand_ids_counts_as_missed() {
    let app = TestApp::with(with_secret).await;
    for message in ["msg_1", "msg_2", "msg_3"] {
        let ids = (0..1001).map(|number| format!("6f1d2c3a-4b5e-4f60-8a71-{number:012x}"));
        let ids = json!({"contactIds": ids.collect::<Vec<_>>()});
        assert_accepted(&deliver(&app, message, "contact.updated", ids).await);
    }
    assert_eq!(state(&app).await, "failing");
}

#[tokio::test]
async fn contact_ids_outside_the_payload_are_found() {
    for (index, body) in [
        json!({"EventType": "Contact.Updated", "Payload": {"ContactId": ALVA.id}}),
        json!({"eventType": "contact.updated", "contactId": ALVA.id}),
        json!({"eventType": "contact.updated", "data": {"id": ALVA.id}, "payload": null}),
    ]
    .into_iter()
    .enumerate()
    {
        let app = TestApp::with(with_secret).await;
        let body = body.to_string();
        let headers = signed(DEFAULT_WEBHOOK_SECRET, "msg_1", 0, &body);
        assert_accepted(&app.deliver(headers, body).await);
        assert!(is_invalidated(&app, ALVA.id), "{index}");
        assert_eq!(
            count(&app, "contact.updated", "taken").await,
            Some(1),
            "{index}"
        );
    }
}
