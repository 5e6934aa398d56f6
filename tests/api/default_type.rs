//! A default contact type that Engage does not know is the operators' mistake, and not that of callers that sent no
//! type.

use std::time::Duration;

use engage_simulator::fixtures::ALVA;
use serde_json::{Value, json};

use crate::harness::{Answer, SHOP, TILL, TestApp, events};

const ALARM: &str = "default contact type refused";

async fn spawn() -> TestApp {
    TestApp::with(|config| {
        config.engage.default_contact_type = Some("Nonsense".to_owned());
    })
    .await
}

#[tokio::test]
async fn refused_default_contact_type_is_a_502_and_one_alarm_an_hour() {
    let app = spawn().await;
    let by_email = |name: &str| format!("email={name}@example.com");
    for name in ["one", "two", "three"] {
        let answer = app.get_as(SHOP, &by_email(name)).await;
        answer.assert_problem(502, "InvalidSystemConfiguration");
        assert!(!answer.text().contains("Nonsense"));
    }
    let alarms = events(ALARM);
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0]["alarm"], true);
    assert_eq!(alarms[0]["level"], "ERROR");
    app.advance(Duration::from_secs(3599));
    app.get_as(SHOP, &by_email("four")).await;
    assert_eq!(events(ALARM).len(), 1);
    app.advance(Duration::from_secs(1));
    app.get_as(SHOP, &by_email("five")).await;
    assert_eq!(events(ALARM).len(), 2);
}

#[tokio::test]
async fn unknown_contact_type_sent_by_a_caller_is_a_400() {
    let app = spawn().await;
    let by_email = format!("email={}", ALVA.email);
    app.get_as(SHOP, &format!("{by_email}&contactType=Member"))
        .await
        .assert_ok();
    for own in ["Nonsense", "Other"] {
        app.get_as(SHOP, &format!("{by_email}&contactType={own}"))
            .await
            .assert_problem(400, "InvalidContactType");
    }
    assert_eq!(events(ALARM).len(), 0);
    // The cached refusal is a 400 for a caller that sent the type, and a 502 for one that did not.
    app.get_as(SHOP, &by_email)
        .await
        .assert_problem(502, "InvalidSystemConfiguration");
}

#[tokio::test]
async fn refused_default_contact_type_does_not_stop_guests_and_batches() {
    let app = spawn().await;
    let guest = format!("email={}&onUnavailable=guest", ALVA.email);
    let guest = app.get_as(SHOP, &guest).await;
    assert_eq!(guest.assert_ok().at("/contactId"), Value::Null);
    let lookups = json!({"lookups": [{"email": ALVA.email}, {"contactId": ALVA.id}]});
    let batch = app
        .post_to("/customer/batch", TILL)
        .body(lookups.to_string());
    let batch = Answer::of(batch).await;
    let mut statuses: Vec<Value> = batch
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|line| line["status"].clone())
        .collect();
    statuses.sort_by_key(Value::as_u64);
    assert_eq!(statuses, [json!(200), json!(502)]);
}
