//! Callers for the same thing cost one upstream call, whoever of them stays (P5, P6).

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    people::{ALVA, BO, CIM},
};
use serde_json::json;

use crate::harness::{COLD_CALLS, POINTS_CALLS, TestApp, arrive};

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

fn points() -> String {
    format!("contactId={}&parts=points", ALVA.id)
}

#[tokio::test]
async fn two_hundred_cold_requests_for_one_email_cost_one_call_of_each_kind() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let asked: Vec<_> = (0..200).map(|_| app.ask(&by_email())).collect();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    arrive().await;
    hold.release();
    let mut collapsed = 0;
    for asked in asked {
        let answer = asked.await.expect("an answer");
        answer.assert_ok();
        assert_eq!(answer.at("/contactId"), ALVA.id);
        assert_eq!(answer.at("/points/balance"), json!(317.5));
        collapsed += usize::from(answer.header("cache-status").contains("; collapsed"));
    }
    assert!(collapsed > 100, "{collapsed} waited for another's call");
    assert_eq!(app.overviews(), 1);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    assert_eq!(app.engage.total_calls(), COLD_CALLS);
}

#[tokio::test]
async fn spellings_of_one_address_and_contact_type_share_one_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let spellings = [
        "email=alva.testsson@example.com&parts=none",
        "email=Alva.Testsson@EXAMPLE.com&parts=none",
        "email=%20alva.testsson%40example.com&contactType=member&parts=none",
        "contactType=MEMBER&email=alva.testsson@example.com&parts=none",
    ];
    let asked = spellings.map(|query| app.ask(query));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    arrive().await;
    hold.release();
    for asked in asked {
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn two_contacts_and_two_contact_types_never_share_a_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let alva = app.ask(&format!("email={}&parts=none", ALVA.email));
    let cim = app.ask(&format!("email={}&parts=none", CIM.email));
    let bo = app.ask(&format!(
        "email={}&contactType=Contact&parts=none",
        BO.email
    ));
    let not_bo = app.ask(&format!("email={}&contactType=Member&parts=none", BO.email));
    app.engage.wait_for_calls(Endpoint::Overview, 4).await;
    hold.release();
    for (asked, person) in [(alva, ALVA), (cim, CIM), (bo, BO)] {
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), person.id);
        assert_eq!(answer.at("/profile/email"), person.email);
        assert!(!answer.header("cache-status").contains("collapsed"));
    }
    let not_bo = not_bo.await.expect("an answer");
    not_bo.assert_problem(404, "ContactNotFound");
    assert_eq!(app.overviews(), 4);
}

#[tokio::test]
async fn the_first_of_fifty_callers_leaves_and_all_others_are_answered_by_its_call() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let first = app.ask(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let others: Vec<_> = (0..49).map(|_| app.ask(&by_email())).collect();
    arrive().await;
    first.abort();
    arrive().await;
    assert_eq!(hold.waiting(), 1, "the call goes on");
    hold.release();
    for other in others {
        let answer = other.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    }
    assert_eq!(app.overviews(), 1);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    app.get(&by_email()).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn everybody_leaves_and_the_call_still_fills_the_cache() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&parts=none", ALVA.email);
    let hold = app.engage.hold(Endpoint::Overview);
    let callers: Vec<_> = (0..10).map(|_| app.ask(&query)).collect();
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    arrive().await;
    for caller in &callers {
        caller.abort();
    }
    arrive().await;
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
async fn ten_impatient_callers_in_turn_cost_one_call_and_the_cache_is_filled() {
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
        let caller = app.ask(&query);
        arrive().await;
        app.advance(patience);
        let answer = caller.await.expect("an answer");
        answer.assert_problem(504, "UpstreamTimeout");
    }
    assert_eq!(app.overviews(), 1);
    hold.release();
    app.get_until(&query, |answer| answer.status == 200)
        .await
        .assert_ok();
    app.get(&query).await.assert_ok().assert_hit();
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn fresh_callers_share_one_waiting_call_that_begins_after_they_came() {
    let app = TestApp::spawn().await;
    app.points_alone(ALVA.id).await;
    let fresh = format!("{}&fresh=points", points());
    app.get(&points()).await.assert_ok();
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let first = app.ask(&fresh);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    app.engage.contact(ALVA.id).points("1000.25");
    let others: Vec<_> = (0..20).map(|_| app.ask(&fresh)).collect();
    arrive().await;
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
    hold.release_one();
    let first = first.await.expect("an answer");
    // Its call began after it came, and before the change.
    assert_eq!(first.assert_ok().at("/points/balance"), json!(317.5));
    app.engage.wait_for_calls(Endpoint::PointAccounts, 3).await;
    hold.release();
    for other in others {
        let answer = other.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(1000.25));
        assert_eq!(answer.at("/degraded"), json!([]));
    }
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
    assert_eq!(app.overviews(), 1);
}

#[tokio::test]
async fn a_plain_caller_joins_the_running_call_that_a_fresh_one_started() {
    let app = TestApp::spawn().await;
    app.points_alone(ALVA.id).await;
    app.get(&format!("contactId={}&parts=none", ALVA.id)).await;
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let fresh = app.ask(&format!("{}&fresh=points", points()));
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    let plain = app.ask(&points());
    arrive().await;
    hold.release();
    for asked in [fresh, plain] {
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(317.5));
    }
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
}

#[tokio::test]
async fn a_fresh_caller_does_not_join_a_plain_call_that_has_begun() {
    let app = TestApp::spawn().await;
    app.points_alone(ALVA.id).await;
    app.get(&format!("contactId={}&parts=none", ALVA.id)).await;
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let plain = app.ask(&points());
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    app.engage.contact(ALVA.id).points("5");
    let fresh = app.ask(&format!("{}&fresh=points", points()));
    arrive().await;
    hold.release();
    let plain = plain.await.expect("an answer");
    assert_eq!(plain.assert_ok().at("/points/balance"), json!(317.5));
    let fresh = fresh.await.expect("an answer");
    assert_eq!(fresh.assert_ok().at("/points/balance"), json!(5));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
}

#[tokio::test]
async fn a_call_older_than_a_callers_longest_wait_no_longer_holds_the_next_up() {
    let app = TestApp::spawn().await;
    app.points_alone(ALVA.id).await;
    let fresh = format!("{}&fresh=points", points());
    app.get(&points()).await.assert_ok();
    app.engage
        .fault_times(Endpoint::PointAccounts, Fault::Hang, 1);
    let first = app.ask(&fresh);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    app.advance(Duration::from_millis(1500));
    app.engage.contact(ALVA.id).points("9");
    let second = app.ask(&fresh);
    arrive().await;
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
async fn at_most_two_calls_run_on_beyond_every_callers_wait() {
    let app = TestApp::spawn().await;
    let wait = Duration::from_millis(2500);
    let fresh = format!("{}&fresh=points", points());
    app.get(&points()).await.assert_ok();
    app.engage.reset_log();
    let _hold = app.engage.hold(Endpoint::PointAccounts);
    let mut callers = vec![app.ask(&fresh)];
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    for running in 2..=3 {
        callers.push(app.ask(&fresh));
        arrive().await;
        assert_eq!(app.engage.calls(Endpoint::PointAccounts), running - 1);
        app.advance(wait);
        app.engage
            .wait_for_calls(Endpoint::PointAccounts, running)
            .await;
    }
    callers.push(app.ask(&fresh));
    arrive().await;
    app.advance(wait);
    arrive().await;
    // Two no longer count; the third holds the fourth up, however old it is.
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
    for caller in callers {
        let answer = caller.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/degraded"), json!(["points"]));
    }
    // Ten seconds after the first call began, it ends by engage.timeout.
    app.advance(wait);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 4).await;
    arrive().await;
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 4);
}

#[tokio::test]
async fn whoever_leaves_and_whatever_fails_nobody_gets_somebody_elses_answer() {
    let app = TestApp::spawn().await;
    let contacts = app.engage.contact_ids();
    for round in 0..6 {
        let failing = Fault::Status(500, json!("busy"));
        app.engage.fault_times(Endpoint::All, failing, 5);
        app.engage
            .fault_times(Endpoint::All, Fault::ResetMidBody, 5);
        let asked: Vec<_> = contacts
            .iter()
            .flat_map(|contact| [(contact, ""), (contact, "&fresh=all"), (contact, "")])
            .map(|(contact, fresh)| (contact, app.ask(&format!("contactId={contact}{fresh}"))))
            .collect();
        for (index, (_, asked)) in asked.iter().enumerate() {
            if (index + round) % 5 == 0 {
                tokio::task::yield_now().await;
                asked.abort();
            }
        }
        let mut answered = 0;
        for (contact, asked) in asked {
            let Ok(answer) = asked.await else { continue };
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
