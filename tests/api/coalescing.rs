//! Request coalescing: concurrent requests for one record cost one upstream call, even if some callers disconnect (P5,
//! P6).

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::json;

use crate::harness::{COLD_CALLS, POINTS_CALLS, TestApp, let_requests_arrive};

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

fn points() -> String {
    format!("contactId={}&parts=points", ALVA.id)
}

#[tokio::test]
async fn two_hundred_cold_requests_share_one_call_per_endpoint() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let pending: Vec<_> = (0..200).map(|_| app.spawn_get(&by_email())).collect();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let_requests_arrive().await;
    hold.release();
    let mut collapsed = 0;
    for pending in pending {
        let answer = pending.await.expect("an answer");
        answer.assert_ok();
        assert_eq!(answer.at("/contactId"), ALVA.id);
        assert_eq!(answer.at("/points/balance"), json!(317.5));
        collapsed += usize::from(answer.header("cache-status").contains("; collapsed"));
    }
    assert!(collapsed > 100, "{collapsed} joined another request's call");
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn spellings_of_one_email_and_contact_type_share_one_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let spellings = [
        "email=alva.testsson@example.com&parts=none",
        "email=Alva.Testsson@EXAMPLE.com&parts=none",
        "email=%20alva.testsson%40example.com&contactType=member&parts=none",
        "contactType=MEMBER&email=alva.testsson@example.com&parts=none",
    ];
    let pending = spellings.map(|query| app.spawn_get(query));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let_requests_arrive().await;
    hold.release();
    for pending in pending {
        let answer = pending.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn different_contacts_and_contact_types_never_share_a_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let alva = app.spawn_get(&format!("email={}&parts=none", ALVA.email));
    let cim = app.spawn_get(&format!("email={}&parts=none", CIM.email));
    let bo = app.spawn_get(&format!(
        "email={}&contactType=Contact&parts=none",
        BO.email
    ));
    let not_bo = app.spawn_get(&format!("email={}&contactType=Member&parts=none", BO.email));
    app.engage.wait_for_calls(Endpoint::Overview, 4).await;
    hold.release();
    for (pending, person) in [(alva, ALVA), (cim, CIM), (bo, BO)] {
        let answer = pending.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), person.id);
        assert_eq!(answer.at("/profile/email"), person.email);
        assert!(!answer.header("cache-status").contains("collapsed"));
    }
    let not_bo = not_bo.await.expect("an answer");
    not_bo.assert_problem(404, "ContactNotFound");
    assert_eq!(app.overview_calls(), 4);
}

#[tokio::test]
async fn shared_call_continues_when_the_first_of_fifty_callers_disconnects() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let others: Vec<_> = (0..49).map(|_| app.spawn_get(&by_email())).collect();
    let_requests_arrive().await;
    first.abort();
    let_requests_arrive().await;
    assert_eq!(hold.waiting(), 1, "the call continues");
    hold.release();
    for other in others {
        let answer = other.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    }
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    app.get(&by_email()).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn call_fills_the_cache_after_all_callers_disconnected() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&parts=none", ALVA.email);
    let hold = app.engage.hold(Endpoint::Overview);
    let callers: Vec<_> = (0..10).map(|_| app.spawn_get(&query)).collect();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let_requests_arrive().await;
    for caller in &callers {
        caller.abort();
    }
    let_requests_arrive().await;
    hold.release();
    let answer = app
        .get_until(&query, |answer| {
            answer.header("cache-status").contains("; hit")
        })
        .await;
    answer.assert_ok();
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn ten_timed_out_callers_cost_one_call_that_fills_the_cache() {
    let patience = Duration::from_millis(100);
    let app = TestApp::with(|config| {
        config.server.request_timeout = patience;
        config.engage.timeout = Duration::from_secs(3600);
        config.cache.profile_lifetime = Duration::from_secs(3600);
    })
    .await;
    let query = format!("email={}&parts=none", ALVA.email);
    let hold = app.engage.hold(Endpoint::Overview);
    for _ in 0..10 {
        let caller = app.spawn_get(&query);
        let_requests_arrive().await;
        app.advance(patience);
        let answer = caller.await.expect("an answer");
        answer.assert_problem(504, "UpstreamTimeout");
    }
    assert_eq!(app.overview_calls(), 1);
    hold.release();
    app.get_until(&query, |answer| answer.status == 200)
        .await
        .assert_ok();
    app.get(&query).await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn fresh_requests_share_one_queued_call_that_starts_after_them() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let fresh = format!("{}&fresh=points", points());
    app.get(&points()).await.assert_ok();
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let first = app.spawn_get(&fresh);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    app.engage.contact(ALVA.id).points("1000.25");
    let others: Vec<_> = (0..20).map(|_| app.spawn_get(&fresh)).collect();
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
    hold.release_one();
    let first = first.await.expect("an answer");
    // Its call started after the request arrived and before the change.
    assert_eq!(first.assert_ok().at("/points/balance"), json!(317.5));
    app.engage.wait_for_calls(Endpoint::PointAccounts, 3).await;
    hold.release();
    for other in others {
        let answer = other.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(1000.25));
        assert_eq!(answer.at("/degraded"), json!([]));
    }
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn plain_request_joins_the_running_call_of_a_fresh_request() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&format!("contactId={}&parts=none", ALVA.id)).await;
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let fresh = app.spawn_get(&format!("{}&fresh=points", points()));
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    let plain = app.spawn_get(&points());
    let_requests_arrive().await;
    hold.release();
    for pending in [fresh, plain] {
        let answer = pending.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(317.5));
    }
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
}

#[tokio::test]
async fn fresh_request_does_not_join_a_running_plain_call() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.get(&format!("contactId={}&parts=none", ALVA.id)).await;
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let plain = app.spawn_get(&points());
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    app.engage.contact(ALVA.id).points("5");
    let fresh = app.spawn_get(&format!("{}&fresh=points", points()));
    let_requests_arrive().await;
    hold.release();
    let plain = plain.await.expect("an answer");
    assert_eq!(plain.assert_ok().at("/points/balance"), json!(317.5));
    let fresh = fresh.await.expect("an answer");
    assert_eq!(fresh.assert_ok().at("/points/balance"), json!(5));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
}

#[tokio::test]
async fn call_older_than_the_request_timeout_does_not_block_the_next() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let fresh = format!("{}&fresh=points", points());
    app.get(&points()).await.assert_ok();
    app.engage
        .fault_times(Endpoint::PointAccounts, Fault::Hang, 1);
    let first = app.spawn_get(&fresh);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    app.advance(Duration::from_millis(1500));
    app.engage.contact(ALVA.id).points("9");
    let second = app.spawn_get(&fresh);
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
    app.advance(Duration::from_millis(1000));
    let second = second.await.expect("an answer");
    assert_eq!(second.assert_ok().at("/points/balance"), json!(9));
    let first = first.await.expect("an answer");
    assert_eq!(first.assert_ok().at("/points"), json!(null));
    assert_eq!(first.at("/degraded"), json!(["points"]));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
}

#[tokio::test]
async fn three_calls_past_the_request_timeout_block_the_next() {
    let app = TestApp::spawn().await;
    let wait = Duration::from_millis(2500);
    let fresh = format!("{}&fresh=points", points());
    app.get(&points()).await.assert_ok();
    app.engage.reset_log();
    let _hold = app.engage.hold(Endpoint::PointAccounts);
    let mut callers = vec![app.spawn_get(&fresh)];
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    for running in 2..=3 {
        callers.push(app.spawn_get(&fresh));
        let_requests_arrive().await;
        assert_eq!(app.engage.calls(Endpoint::PointAccounts), running - 1);
        app.advance(wait);
        app.engage
            .wait_for_calls(Endpoint::PointAccounts, running)
            .await;
    }
    callers.push(app.spawn_get(&fresh));
    let_requests_arrive().await;
    app.advance(wait);
    let_requests_arrive().await;
    // Next to three running calls no fourth one starts, however old they are.
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
    for caller in callers {
        let answer = caller.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/degraded"), json!(["points"]));
    }
    // Ten seconds after the first call started, engage.timeout ends it.
    app.advance(wait);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 4).await;
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 4);
}

#[tokio::test]
async fn disconnects_and_failures_never_mix_up_contacts() {
    let app = TestApp::spawn().await;
    let contacts = app.engage.contact_ids();
    for round in 0..6 {
        let failing = Fault::Status(500, json!("busy"));
        app.engage.fault_times(Endpoint::All, failing, 5);
        app.engage
            .fault_times(Endpoint::All, Fault::ResetMidBody, 5);
        let pending: Vec<_> = contacts
            .iter()
            .flat_map(|contact| [(contact, ""), (contact, "&fresh=all"), (contact, "")])
            .map(|(contact, fresh)| {
                (
                    contact,
                    app.spawn_get(&format!("contactId={contact}{fresh}")),
                )
            })
            .collect();
        for (index, (_, pending)) in pending.iter().enumerate() {
            if (index + round) % 5 == 0 {
                tokio::task::yield_now().await;
                pending.abort();
            }
        }
        let mut answered = 0;
        for (contact, pending) in pending {
            let Ok(answer) = pending.await else { continue };
            if answer.status == 200 {
                assert_eq!(answer.at("/contactId"), contact.as_str());
                answered += 1;
            } else {
                answer.assert_problem(502, "UpstreamFailed");
            }
        }
        assert!(answered > contacts.len(), "{answered}");
        app.engage.clear_faults();
        app.advance(Duration::from_secs(70));
    }
}
