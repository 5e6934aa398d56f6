//! Holds: which data a held call responds with, and the order of release.

use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{Answer, Engage, send};

fn ask(engage: &Engage) -> JoinHandle<Answer> {
    let query = [("contactId", ALVA.id)];
    let request = engage.request("/api/v3/point-accounts", &query);
    tokio::spawn(async { send(request).await.expect("an answer") })
}

async fn balance(answer: JoinHandle<Answer>) -> Value {
    let body = answer.await.expect("the caller ran").ok();
    body[0]["balance"].clone()
}

#[tokio::test]
async fn held_response_has_the_data_of_its_arrival() {
    let engage = Engage::start().await;
    let hold = engage.simulator.hold(Endpoint::PointAccounts);
    let answer = ask(&engage);
    engage
        .simulator
        .wait_for_calls(Endpoint::PointAccounts, 1)
        .await;
    engage.simulator.contact(ALVA.id).points("500");
    hold.release();
    assert_eq!(balance(answer).await, json!(317.5));
    assert_eq!(balance(ask(&engage)).await, json!(500));
}

#[tokio::test]
async fn call_held_before_its_response_has_the_data_of_its_release() {
    let engage = Engage::start().await;
    let hold = engage.simulator.hold_before(Endpoint::PointAccounts);
    let answer = ask(&engage);
    engage
        .simulator
        .wait_for_calls(Endpoint::PointAccounts, 1)
        .await;
    engage.simulator.contact(ALVA.id).points("500");
    drop(hold);
    assert_eq!(balance(answer).await, json!(500));
}

#[tokio::test]
async fn held_calls_can_be_released_one_by_one() {
    let engage = Engage::start().await;
    let hold = engage.simulator.hold(Endpoint::PointAccounts);
    let first = ask(&engage);
    engage
        .simulator
        .wait_for_calls(Endpoint::PointAccounts, 1)
        .await;
    let second = ask(&engage);
    engage
        .simulator
        .wait_for_calls(Endpoint::PointAccounts, 2)
        .await;
    assert_eq!(engage.simulator.max_in_flight(), 2);
    hold.release_one();
    first.await.expect("the caller ran").ok();
    assert!(!second.is_finished());
    assert_eq!(engage.simulator.in_flight(), 1);
    hold.release();
    second.await.expect("the caller ran").ok();
    ask(&engage).await.expect("the caller ran").ok();
}

#[tokio::test]
async fn hold_does_not_affect_other_endpoints() {
    let engage = Engage::start().await;
    let _hold = engage.simulator.hold(Endpoint::PointAccounts);
    engage.overview_of(ALVA.id).await.ok();
}
