//! Recorded calls.

use engage_simulator::{Endpoint, fixtures::ALVA};

use crate::harness::{Engage, NOW, send};

#[tokio::test]
async fn calls_are_counted_by_endpoint_and_recorded() {
    let engage = Engage::start().await;
    let query = [("email", ALVA.email), ("contactType", "Member")];
    engage.overview(&query).await.ok();
    engage.get("/api/v2/contacts/id", &query).await.ok();
    let url = format!("{}/api/v3/target-audiences", engage.simulator.base_url());
    send(engage.client.get(url)).await.expect("an answer");
    let simulator = &engage.simulator;
    assert_eq!(simulator.calls(Endpoint::Overview), 1);
    assert_eq!(simulator.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(simulator.calls(Endpoint::Promotions), 0);
    assert_eq!(simulator.total_calls(), 3);
    let log = simulator.log();
    assert_eq!(log[0].parameter("email"), Some(ALVA.email));
    assert_eq!(log[0].path, "/api/v3/contactoverview");
    assert_eq!(log[0].at.to_string(), NOW);
    assert_eq!((log[0].status, log[0].in_flight), (Some(200), false));
    let polite = log[0].headers;
    assert!(polite.user_agent && polite.content_type && polite.accept && polite.api_key);
    assert_eq!(log[2].status, Some(401));
    assert!(!log[2].headers.api_key && !log[2].headers.user_agent);
}

#[tokio::test]
async fn reset_keeps_calls_in_flight() {
    let engage = Engage::start().await;
    let hold = engage.simulator.hold(Endpoint::Overview);
    let request = engage.request("/api/v3/contactoverview", &[("contactId", ALVA.id)]);
    let caller = tokio::spawn(send(request));
    engage.simulator.wait_for_calls(Endpoint::Overview, 1).await;
    engage.simulator.reset_log();
    assert_eq!(engage.simulator.total_calls(), 0);
    assert_eq!(engage.simulator.in_flight(), 1);
    hold.release();
    caller
        .await
        .expect("the caller ran")
        .expect("an answer")
        .ok();
    assert_eq!(engage.simulator.in_flight(), 0);
    engage.get("/api/v3/target-audiences", &[]).await.ok();
    assert_eq!(engage.simulator.log().len(), 1);
}
