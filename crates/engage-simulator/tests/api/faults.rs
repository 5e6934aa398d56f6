//! Faults over real sockets.

use std::{collections::BTreeSet, time::Duration};

use engage_simulator::{
    Endpoint, Fault, Latency,
    fixtures::{ALVA, BO},
};
use serde_json::json;

use crate::harness::{Engage, send};

#[tokio::test]
async fn reset_before_the_response_is_a_connection_error() {
    let engage = Engage::start().await;
    engage
        .simulator
        .fault_times(Endpoint::Overview, Fault::ResetBeforeBody, 1);
    let request = engage.request("/api/v3/contactoverview", &[("contactId", ALVA.id)]);
    let error = send(request).await.expect_err("a reset");
    assert!(error.is_request(), "{error:?}");
    engage.overview_of(ALVA.id).await.ok();
    assert_eq!(engage.simulator.log()[0].status, None);
}

#[tokio::test]
async fn reset_inside_the_body_comes_after_the_head() {
    let engage = Engage::start().await;
    engage
        .simulator
        .fault_times(Endpoint::Overview, Fault::ResetMidBody, 1);
    let request = engage.request("/api/v3/contactoverview", &[("contactId", ALVA.id)]);
    let response = request.send().await.expect("a head");
    assert_eq!(response.status().as_u16(), 200);
    response.bytes().await.expect_err("half a body");
    engage.overview_of(ALVA.id).await.ok();
}

#[tokio::test]
async fn hanging_call_ends_with_its_caller() {
    let engage = Engage::start().await;
    engage.simulator.fault(Endpoint::PointAccounts, Fault::Hang);
    let request = engage.request("/api/v3/point-accounts", &[("contactId", ALVA.id)]);
    let caller = tokio::spawn(send(request));
    engage
        .simulator
        .wait_for_calls(Endpoint::PointAccounts, 1)
        .await;
    assert_eq!(engage.simulator.in_flight(), 1);
    caller.abort();
    while engage.simulator.in_flight() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!engage.simulator.log()[0].in_flight);
    engage.overview_of(ALVA.id).await.ok();
}

#[tokio::test]
async fn altered_responses_are_as_documented() {
    let engage = Engage::start().await;
    let fault = |fault| engage.simulator.fault_times(Endpoint::All, fault, 1);
    let ask = || engage.overview_of(ALVA.id);
    let whole = ask().await.body;

    fault(Fault::TruncatedJson);
    let cut = ask().await;
    assert!(cut.status == 200 && whole.starts_with(&cut.body) && cut.body.len() < whole.len());
    fault(Fault::Html502);
    let page = ask().await;
    assert_eq!(
        (page.status, page.content_type.as_str()),
        (502, "text/html")
    );
    fault(Fault::HtmlOk200);
    let page = ask().await;
    assert_eq!(
        (page.status, page.content_type.as_str()),
        (200, "text/html")
    );
    fault(Fault::WrongContentType);
    let plain = ask().await;
    assert!(plain.body == whole && plain.content_type.starts_with("text/plain"));
    fault(Fault::Empty200);
    let empty = ask().await;
    assert_eq!((empty.status, empty.body.as_str()), (200, ""));
    fault(Fault::TooMany {
        retry_after: Some("7".to_owned()),
    });
    let limited = ask().await;
    assert_eq!(
        (limited.status, limited.retry_after.as_deref()),
        (429, Some("7"))
    );
    fault(Fault::Status(504, json!({"errorCode": "GatewayTimeout"})));
    assert_eq!(ask().await.json()["errorCode"], "GatewayTimeout");
    fault(Fault::Status(503, json!("busy")));
    assert_eq!(ask().await.body, "busy");
    fault(Fault::Body(r#"{"id":"another"}"#.to_owned()));
    assert_eq!(ask().await.ok()["id"], "another");
    assert_eq!(ask().await.body, whole);
}

#[tokio::test]
async fn wrong_contact_has_the_right_shape() {
    let engage = Engage::start().await;
    let id = || BO.id.to_owned();
    engage
        .simulator
        .fault(Endpoint::All, Fault::WrongContact(id()));
    let by_email = [("email", ALVA.email), ("contactType", "Member")];
    assert_eq!(engage.overview(&by_email).await.ok()["id"], BO.id);
    let answer = engage.get("/api/v3/contacts/id", &by_email).await;
    assert_eq!(answer.ok(), BO.id);
    let path = format!("/api/v3/contacts/{}", ALVA.id);
    assert_eq!(engage.get(&path, &[]).await.ok()["id"], BO.id);
    engage.simulator.clear_faults();
    assert_eq!(engage.overview(&by_email).await.ok()["id"], ALVA.id);
}

#[tokio::test]
async fn faults_and_delays_affect_their_endpoint_only() {
    let engage = Engage::start().await;
    engage
        .simulator
        .fault(Endpoint::PointAccounts, Fault::Html502);
    engage
        .simulator
        .latency(Endpoint::Overview, Latency::Fixed(Duration::from_millis(5)));
    let log_normal = Latency::LogNormal {
        median: Duration::from_micros(200),
        sigma: 0.5,
    };
    engage.simulator.latency(Endpoint::Contact, log_normal);
    engage.overview_of(ALVA.id).await.ok();
    engage
        .get(&format!("/api/v3/contacts/{}", ALVA.id), &[])
        .await
        .ok();
    let query = [("contactId", ALVA.id)];
    let answer = engage.get("/api/v3/point-accounts", &query).await;
    assert_eq!(answer.status, 502);
    let statuses: BTreeSet<_> = engage
        .simulator
        .log()
        .iter()
        .map(|call| call.status)
        .collect();
    assert_eq!(statuses, [Some(200), Some(502)].into());
}

#[tokio::test]
async fn shutdown_cuts_calls_in_flight_and_closes_the_listener() {
    let engage = Engage::start().await;
    engage.simulator.fault(Endpoint::Overview, Fault::Hang);
    let request = engage.request("/api/v3/contactoverview", &[("contactId", ALVA.id)]);
    let caller = tokio::spawn(send(request));
    engage.simulator.wait_for_calls(Endpoint::Overview, 1).await;
    engage.simulator.shutdown().await;
    caller.await.expect("the caller ran").expect_err("cut off");
    let address = engage.simulator.local_addr();
    tokio::net::TcpStream::connect(address)
        .await
        .expect_err("no listener");
}

#[tokio::test]
async fn raw_bytes_are_sent_verbatim_before_the_connection_ends() {
    let engage = Engage::start().await;
    let raw = |bytes: &'static str| {
        let fault = Fault::Raw(bytes.into());
        engage.simulator.fault_times(Endpoint::Overview, fault, 1);
        engage
            .request("/api/v3/contactoverview", &[("contactId", ALVA.id)])
            .send()
    };
    let busy = raw("HTTP/1.1 503 Busy\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nbusy").await;
    let busy = busy.expect("an answer");
    assert_eq!(busy.status(), 503);
    assert_eq!(busy.headers()["retry-after"], "3");
    assert_eq!(busy.text().await.expect("a body"), "busy");
    let short = raw("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfour").await;
    let short = short.expect("a head").bytes().await;
    short.expect_err("short of its length");
    raw("no HTTP at all\r\n\r\n").await.expect_err("no head");
    raw("").await.expect_err("nothing");
    engage.overview_of(ALVA.id).await.ok();
}
