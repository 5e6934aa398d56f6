//! The overview has past data; everything else is current.

use std::time::Duration;

use engage_simulator::fixtures::{ALVA, BO};
use serde_json::json;

use crate::harness::Engage;

const LAG: Duration = Duration::from_mins(10);

#[tokio::test]
async fn edit_reaches_overview_after_lag_and_entities_at_once() {
    let engage = Engage::with(|builder| builder.overview_lag(LAG)).await;
    let promotion = json!({"id": "11110000-0000-4000-8000-000000000001"});
    engage
        .simulator
        .contact(ALVA.id)
        .attribute("shoeSize", json!(42))
        .add_promotion(promotion);
    let old = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(old["attributes"]["shoeSize"], 39);
    assert_eq!(old["promotions"].as_array().map(Vec::len), Some(3));
    let path = format!("/api/v3/contacts/{}", ALVA.id);
    assert_eq!(
        engage.get(&path, &[]).await.ok()["attributes"]["shoeSize"],
        42
    );
    engage.simulator.clock().advance(LAG);
    let new = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(new["attributes"]["shoeSize"], 42);
    assert_eq!(new["promotions"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn moved_address_leads_to_old_contact_during_the_lag() {
    let engage = Engage::with(|builder| builder.overview_lag(LAG)).await;
    engage.simulator.contact(BO.id).contact_type("Member");
    engage.simulator.clock().advance(LAG);
    engage.simulator.move_email(ALVA.id, BO.id);
    let query = [("email", ALVA.email), ("contactType", "Member")];
    assert_eq!(engage.overview(&query).await.ok()["id"], ALVA.id);
    let id = engage.get("/api/v3/contacts/id", &query).await.ok();
    assert_eq!(id, BO.id);
    engage.simulator.clock().advance(LAG);
    assert_eq!(engage.overview(&query).await.ok()["id"], BO.id);
}

#[tokio::test]
async fn creation_and_deletion_are_delayed_too() {
    let engage = Engage::with(|builder| builder.overview_lag(LAG)).await;
    let id = engage
        .simulator
        .create(json!({"email": "new@example.com"}), "Member");
    engage.simulator.contact(ALVA.id).delete();
    engage
        .overview_of(&id)
        .await
        .refuses_with(404, "ContactNotFound");
    engage.overview_of(ALVA.id).await.ok();
    let path = |id: &str| format!("/api/v3/contacts/{id}");
    engage.get(&path(&id), &[]).await.ok();
    let missing = engage.get(&path(ALVA.id), &[]).await;
    missing.refuses_with(404, "ContactNotFound");
    engage.simulator.clock().advance(LAG);
    engage.overview_of(&id).await.ok();
    let missing = engage.overview_of(ALVA.id).await;
    missing.refuses_with(404, "ContactNotFound");
    assert_eq!(engage.simulator.snapshot(ALVA.id), None);
}

#[tokio::test]
async fn without_lag_the_latest_of_simultaneous_edits_counts() {
    let engage = Engage::start().await;
    engage
        .simulator
        .contact(ALVA.id)
        .email("one@example.com")
        .email("two@example.com");
    let body = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(body["attributes"]["email"], "two@example.com");
    let query = [("email", "one@example.com"), ("contactType", "Member")];
    let missing = engage.overview(&query).await;
    missing.refuses_with(404, "ContactNotFound");
}

#[tokio::test]
async fn lag_can_be_set_after_the_edit() {
    let engage = Engage::start().await;
    engage.simulator.clock().advance(Duration::from_secs(1));
    engage.simulator.contact(ALVA.id).email("new@example.com");
    engage.simulator.set_overview_lag(LAG);
    let body = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(body["attributes"]["email"], ALVA.email);
}
