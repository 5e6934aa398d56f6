//! Invalidation is final: an answer whose upstream call started before it is neither served nor stored after it (P3).

use std::time::Duration;

use engage_bff::domain::{Part, PartSet};
use engage_simulator::{Endpoint, Fault, fixtures::ALVA};
use serde_json::{Value, json};

use crate::harness::{Answer, COLD_CALLS, TestApp, id, let_requests_arrive};

const LAG: Duration = Duration::from_secs(600);

fn by_email() -> String {
    format!("email={}", ALVA.email)
}

fn by_id() -> String {
    format!("contactId={}", ALVA.id)
}

/// Changes all of Alva's parts that can be invalidated.
fn change(app: &TestApp) {
    app.engage
        .contact(ALVA.id)
        .points("742.25")
        .attribute("firstName", json!("Alvina"))
        .redeem_voucher("8d31c000-2001-4c22-b002-b2d200c00001")
        .redeem_promotion("7c20b000-1001-4b11-a001-b2d100b00001");
}

#[track_caller]
fn assert_new(answer: &Answer) {
    answer.assert_ok();
    assert_eq!(answer.at("/profile/firstName"), "Alvina");
    assert_eq!(answer.at("/points/balance"), json!(742.25));
    assert_eq!(answer.at("/vouchers").as_array().map(Vec::len), Some(1));
    assert_eq!(answer.at("/promotions").as_array().map(Vec::len), Some(2));
    assert_eq!(answer.at("/degraded"), json!([]));
}

#[tokio::test]
async fn overview_in_flight_is_discarded_by_an_invalidation() {
    for query in [by_email(), by_id()] {
        let app = TestApp::spawn().await;
        app.engage.set_overview_lag(LAG);
        let hold = app.engage.hold(Endpoint::All);
        let waiting = app.spawn_get(&query);
        app.engage.wait_for_calls(Endpoint::Overview, 1).await;
        change(&app);
        app.customers
            .invalidate(id(ALVA.id), PartSet::ALL)
            .await
            .expect("there is no shared tier");
        let later = app.spawn_get(&query);
        let_requests_arrive().await;
        hold.release();
        assert_new(&waiting.await.expect("an answer"));
        assert_new(&later.await.expect("an answer"));
        let cached = app.get(&query).await;
        cached.assert_hit();
        assert_new(&cached);
    }
}

#[tokio::test]
async fn entity_call_in_flight_is_discarded_by_an_invalidation() {
    for (part, endpoint) in [
        (Part::Profile, Endpoint::Contact),
        (Part::Promotions, Endpoint::Promotions),
        (Part::Vouchers, Endpoint::Vouchers),
        (Part::Points, Endpoint::PointAccounts),
    ] {
        for fresh in ["", "&fresh=all"] {
            let app = TestApp::spawn().await;
            app.engage.set_overview_lag(LAG);
            app.get(&by_email()).await.assert_ok();
            app.customers
                .invalidate(id(ALVA.id), PartSet::ALL)
                .await
                .expect("there is no shared tier");
            let calls = app.engage.calls(endpoint);
            let hold = app.engage.hold(endpoint);
            let waiting = app.spawn_get(&format!("{}{fresh}", by_email()));
            app.engage.wait_for_calls(endpoint, calls + 1).await;
            change(&app);
            app.customers
                .invalidate(id(ALVA.id), PartSet::ALL)
                .await
                .expect("there is no shared tier");
            let later = app.spawn_get(&by_email());
            let_requests_arrive().await;
            hold.release();
            let waiting = waiting.await.expect("an answer");
            assert_new(&waiting);
            assert_new(&later.await.expect("an answer"));
            let cached = app.get(&by_email()).await;
            cached.assert_hit();
            assert_new(&cached);
            // Two calls: the fenced one, and one more that the waiting request and all later ones share.
            assert_eq!(app.engage.calls(endpoint), calls + 2, "{part:?} {fresh}");
        }
    }
}

#[tokio::test]
async fn requests_after_an_invalidation_share_one_new_call() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let query = format!("{}&parts=points", by_id());
    app.get(&format!("{}&parts=none", by_id())).await;
    let hold = app.engage.hold(Endpoint::PointAccounts);
    let before = app.spawn_get(&query);
    app.engage.wait_for_calls(Endpoint::PointAccounts, 1).await;
    app.engage.contact(ALVA.id).points("8");
    app.customers
        .invalidate(id(ALVA.id), Part::Points.into())
        .await
        .expect("there is no shared tier");
    let after: Vec<_> = (0..10).map(|_| app.spawn_get(&query)).collect();
    let_requests_arrive().await;
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
    hold.release_one();
    app.engage.wait_for_calls(Endpoint::PointAccounts, 2).await;
    hold.release();
    for pending in after.into_iter().chain([before]) {
        let answer = pending.await.expect("an answer");
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(8));
    }
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
}

#[tokio::test]
async fn refresh_in_flight_is_discarded_by_an_invalidation() {
    let app = TestApp::with(|config| {
        config.cache.points_lifetime = Duration::from_secs(60);
    })
    .await;
    app.engage.set_overview_lag(LAG);
    app.get(&by_id()).await.assert_ok();
    app.advance(Duration::from_secs(60));
    let hold = app.engage.hold(Endpoint::All);
    app.engage.reset_log();
    app.get(&by_id()).await.assert_ok();
    app.engage.wait_for_calls(Endpoint::All, COLD_CALLS).await;
    change(&app);
    app.customers
        .invalidate(id(ALVA.id), PartSet::ALL)
        .await
        .expect("there is no shared tier");
    let waiting = app.spawn_get(&by_id());
    let_requests_arrive().await;
    hold.release();
    assert_new(&waiting.await.expect("an answer"));
    let_requests_arrive().await;
    assert_new(&app.get(&by_id()).await);
}

#[tokio::test]
async fn overview_in_flight_does_not_restore_a_deleted_contact() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    let hold = app.engage.hold(Endpoint::All);
    let waiting = [by_email(), by_id()].map(|query| app.spawn_get(&query));
    app.engage.wait_for_calls(Endpoint::Overview, 2).await;
    app.engage.contact(ALVA.id).delete();
    app.customers
        .purge(id(ALVA.id))
        .await
        .expect("there is no shared tier");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    hold.release();
    for waiting in waiting {
        let answer = waiting.await.expect("an answer");
        answer.assert_problem(404, "ContactNotFound");
    }
}

#[tokio::test]
async fn lagging_overview_does_not_restore_a_purged_contact() {
    let phone = format!("mobilePhone={}", ALVA.phone.replace('+', "%2B"));
    let typed = format!("{}&contactType=Member", by_id());
    let unseen = format!("customKey={}", ALVA.member_number);
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(LAG);
    for query in [&by_email(), &by_id(), &phone, &typed] {
        app.get(query).await.assert_ok();
    }
    app.engage.contact(ALVA.id).delete();
    app.customers
        .purge(id(ALVA.id))
        .await
        .expect("there is no shared tier");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    for _ in 0..8 {
        for query in [&by_email(), &by_id(), &phone, &typed, &unseen] {
            app.get(query).await.assert_problem(404, "ContactNotFound");
            app.get(&format!("{query}&fresh=all"))
                .await
                .assert_problem(404, "ContactNotFound");
        }
        app.advance(Duration::from_secs(95));
    }
}

#[tokio::test]
async fn purge_drops_every_part_and_the_audiences() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    change(&app);
    app.engage
        .contact(ALVA.id)
        .audiences(json!([{"id": "a11d0009-0000-4000-8000-000000000009", "name": "New"}]));
    app.customers
        .purge(id(ALVA.id))
        .await
        .expect("there is no shared tier");
    let answer = app.get(&by_email()).await;
    assert_new(&answer);
    answer.assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(answer.at("/audiences/0/name"), "New");
}

#[tokio::test]
async fn answer_in_flight_is_discarded_by_a_purge_of_everything() {
    let app = TestApp::spawn().await;
    let hold = app.engage.hold(Endpoint::All);
    let waiting = app.spawn_get(&by_email());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    change(&app);
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    let later = app.spawn_get(&by_email());
    let_requests_arrive().await;
    hold.release();
    assert_new(&waiting.await.expect("an answer"));
    assert_new(&later.await.expect("an answer"));
    let cached = app.get(&by_email()).await;
    cached.assert_hit();
    assert_new(&cached);
}

#[tokio::test]
async fn invalidated_part_that_cannot_be_fetched_is_null_not_stale() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let parts: PartSet = [Part::Points, Part::Vouchers].into_iter().collect();
    app.customers
        .invalidate(id(ALVA.id), parts)
        .await
        .expect("there is no shared tier");
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    let answer = app.get(&by_email()).await;
    assert_eq!(answer.assert_ok().at("/points"), Value::Null);
    assert_eq!(answer.at("/vouchers"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["vouchers", "points"]));
    assert!(answer.at("/promotions").is_array());
    app.customers
        .invalidate(id(ALVA.id), Part::Profile.into())
        .await
        .expect("there is no shared tier");
    app.get(&by_email())
        .await
        .assert_problem(502, "UpstreamFailed");
}

#[tokio::test]
async fn answers_after_an_acknowledged_invalidation_include_the_change() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=points", by_email());
    app.engage.set_overview_lag(LAG);
    app.get(&query).await.assert_ok();
    let balance = |answer: &Answer| answer.at("/points/balance").as_u64().expect("a number");
    app.engage.contact(ALVA.id).points("0");
    app.customers
        .invalidate(id(ALVA.id), Part::Points.into())
        .await
        .expect("there is no shared tier");
    for change in 1..=300_u64 {
        let around = [(); 3].map(|()| app.spawn_get(&query));
        if change % 3 == 0 {
            app.get(&query).await.assert_ok();
        } else {
            tokio::task::yield_now().await;
        }
        app.engage.contact(ALVA.id).points(&change.to_string());
        app.customers
            .invalidate(id(ALVA.id), Part::Points.into())
            .await
            .expect("there is no shared tier");
        let after = [(); 2].map(|()| app.spawn_get(&query));
        for pending in after {
            let answer = pending.await.expect("an answer");
            assert_eq!(balance(answer.assert_ok()), change);
        }
        for pending in around {
            let answer = pending.await.expect("an answer");
            assert!(balance(answer.assert_ok()) >= change - 1);
        }
    }
}
