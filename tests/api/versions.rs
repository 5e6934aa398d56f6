//! API v2, where the overview tells the points, and the shapes that v3 is known to answer in.

use std::time::Duration;

use engage_bff::{
    config::ApiVersion,
    domain::{Part, PartSet},
};
use engage_simulator::{
    Endpoint, Fault, VoucherKey, VoucherSeed,
    people::{ALVA, BO, CIM},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, id};

const LAG: Duration = Duration::from_secs(600);

async fn v2() -> TestApp {
    TestApp::with(|config| config.engage.api_version = ApiVersion::V2).await
}

fn alva() -> String {
    format!("email={}", ALVA.email)
}

#[tokio::test]
async fn v2_answers_everything_from_one_overview() {
    let app = v2().await;
    let answer = app.get(&alva()).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(app.engage.total_calls(), 1);
    assert!(app.engage.log()[0].path.starts_with("/api/v2/"));
    assert_eq!(answer.at("/points/balance"), json!(317.5));
    assert_eq!(answer.at("/vouchers/0/code"), "2511000000017");
    assert_eq!(answer.at("/promotions").as_array().map(Vec::len), Some(3));
    assert_eq!(answer.at("/profile/firstName"), "Alva");
    let attributes = answer.at("/profile/attributes");
    assert!(attributes.get("bonusPoints").is_none(), "{attributes}");
    assert_eq!(answer.at("/degraded"), json!([]));
    app.get(&alva()).await.assert_hit();
    app.get("email=nobody@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn v2_reads_fresh_parts_from_its_own_entity_endpoints() {
    let app = v2().await;
    app.engage.set_overview_lag(LAG);
    app.get(&alva()).await.assert_ok();
    app.engage
        .contact(ALVA.id)
        .points("742.2500")
        .attribute("firstName", json!("Alvina"))
        .add_voucher(VoucherSeed::worth("250.0000", "SEK").number("99"))
        .redeem_promotion("7c20b000-1001-4b11-a001-b2d100b00001");
    app.engage.reset_log();
    let fresh = app.get(&format!("{}&fresh=all", alva())).await;
    assert_eq!(fresh.assert_ok().at("/degraded"), json!([]));
    assert!(fresh.text().contains(r#""balance":742.2500"#));
    assert!(fresh.text().contains(r#""amount":250.0000"#));
    assert_eq!(fresh.at("/profile/firstName"), "Alvina");
    assert_eq!(fresh.at("/vouchers/2/code"), "99");
    assert_eq!(fresh.at("/promotions").as_array().map(Vec::len), Some(2));
    assert_eq!(app.engage.total_calls(), 4);
    let log = app.engage.log();
    assert!(log.iter().all(|call| call.path.starts_with("/api/v2/")));
    let plain = app.get(&alva()).await;
    plain.assert_hit();
    assert_eq!(plain.json(), fresh.json());
}

#[tokio::test]
async fn v2_points_never_go_back_to_what_a_lagging_overview_tells() {
    let app = v2().await;
    app.engage.set_overview_lag(LAG);
    let query = format!("{}&parts=points", alva());
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).points("742.25");
    app.customers.invalidate(id(ALVA.id), Part::Points.into());
    for _ in 0..8 {
        let answer = app.get(&query).await;
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(742.25));
        app.advance(Duration::from_secs(95));
    }
    app.advance(LAG);
    app.engage.reset_log();
    let answer = app.get(&query).await;
    assert_eq!(answer.assert_ok().at("/points/balance"), json!(742.25));
    assert_eq!(app.engage.total_calls(), 1);
    assert_eq!(app.overviews(), 1);
}

#[tokio::test]
async fn v2_refreshes_expired_points_with_the_overview() {
    let app = v2().await;
    let query = format!("{}&parts=points", alva());
    app.get(&query).await.assert_ok();
    app.engage.contact(ALVA.id).points("1");
    app.advance(Duration::from_secs(90));
    let answer = app.get(&query).await;
    answer
        .assert_ok()
        .assert_cache_status("engage-bff; fwd=stale; stored");
    assert_eq!(answer.at("/points/balance"), json!(1));
    assert_eq!(app.overviews(), 2);
    assert_eq!(app.engage.total_calls(), 2);
}

#[tokio::test]
async fn v2_serves_stale_where_engage_fails_and_heeds_invalidations_in_the_air() {
    let app = v2().await;
    app.get(&alva()).await.assert_ok();
    app.advance(Duration::from_secs(90));
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    app.get(&alva()).await.assert_stale_if_error();
    app.engage.clear_faults();

    let app = v2().await;
    let hold = app.engage.hold(Endpoint::Overview);
    let waiting = app.ask(&alva());
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    app.engage.contact(ALVA.id).points("5");
    app.customers.invalidate(id(ALVA.id), PartSet::ALL);
    hold.release();
    let waiting = waiting.await.expect("an answer");
    assert_eq!(waiting.assert_ok().at("/points/balance"), json!(5));
}

#[tokio::test]
async fn v2_walks_through_all_pages_of_bonus_checks_and_points() {
    let app = v2().await;
    app.engage.page_cap(Some(1));
    app.engage.contact(ALVA.id).points_of(3, "3");
    let answer = app.get(&format!("{}&fresh=points,vouchers", alva())).await;
    let accounts = answer.assert_ok().at("/points/accounts");
    assert_eq!(accounts.as_array().map(Vec::len), Some(3));
    assert_eq!(answer.at("/vouchers").as_array().map(Vec::len), Some(2));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 3);
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 2);
}

#[tokio::test]
async fn v3_may_still_call_vouchers_bonus_checks_in_the_overview() {
    let app = TestApp::spawn().await;
    let usual = app.get(&alva()).await;
    app.engage.voucher_key(VoucherKey::BonusChecks);
    app.customers.purge_everything();
    app.engage.reset_log();
    let answer = app.get(&alva()).await;
    assert_eq!(answer.assert_ok().at("/vouchers"), usual.at("/vouchers"));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 0);
}

#[tokio::test]
async fn v3_may_wrap_point_accounts_in_pages() {
    let app = TestApp::spawn().await;
    let query = format!("{}&parts=points", alva());
    let usual = app.get(&query).await;
    app.engage.wrap_point_accounts(true);
    let wrapped = app.get(&format!("{query}&fresh=points")).await;
    assert_eq!(wrapped.assert_ok().at("/points"), usual.at("/points"));
    app.engage.page_cap(Some(1));
    app.engage.reset_log();
    let paged = app.get(&format!("{query}&fresh=points")).await;
    assert_eq!(paged.assert_ok().at("/points"), usual.at("/points"));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 2);
}

#[tokio::test]
async fn v3_vouchers_are_read_page_after_page() {
    let app = TestApp::spawn().await;
    app.engage.page_cap(Some(3));
    for number in 0..7 {
        let voucher = VoucherSeed::worth("10", "SEK").number(&number.to_string());
        app.engage.contact(BO.id).add_voucher(voucher);
    }
    let query = format!("contactId={}&parts=vouchers", BO.id);
    app.get(&query).await.assert_ok();
    app.engage.reset_log();
    let answer = app.get(&format!("{query}&fresh=vouchers")).await;
    let vouchers = answer.assert_ok().at("/vouchers");
    let codes: Vec<&str> = vouchers
        .as_array()
        .expect("a list")
        .iter()
        .map(|voucher| voucher["code"].as_str().expect("a code"))
        .collect();
    assert_eq!(codes, ["0", "1", "2", "3", "4", "5", "6"]);
    let log = app.engage.log();
    let offsets: Vec<_> = log.iter().map(|call| call.parameter("offset")).collect();
    assert_eq!(offsets, [Some("0"), Some("3"), Some("6")]);
}

#[tokio::test]
async fn a_page_that_fails_fails_the_part_and_no_half_of_it_is_told() {
    let app = TestApp::spawn().await;
    app.engage.page_cap(Some(1));
    let query = format!("{}&parts=vouchers", alva());
    app.get(&query).await.assert_ok();
    let hold = app.engage.hold(Endpoint::Vouchers);
    let asked = app.ask(&format!("{query}&fresh=vouchers"));
    app.engage.wait_for_calls(Endpoint::Vouchers, 1).await;
    app.engage
        .fault(Endpoint::Vouchers, Fault::Status(500, json!("busy")));
    hold.release();
    let answer = asked.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/vouchers"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["vouchers"]));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 2);
}

#[tokio::test]
async fn point_accounts_of_somebody_else_are_dropped() {
    let app = TestApp::spawn().await;
    app.engage.contact(BO.id).points("5555");
    app.engage.fault(
        Endpoint::PointAccounts,
        Fault::WrongContact(BO.id.to_owned()),
    );
    for person in [ALVA, CIM] {
        let answer = app
            .get(&format!("contactId={}&parts=points", person.id))
            .await;
        answer.assert_ok();
        assert!(!answer.text().contains("5555"));
        assert_eq!(answer.at("/points"), Value::Null);
        assert_eq!(answer.at("/degraded"), json!(["points"]));
        assert_eq!(answer.at("/contactId"), person.id);
    }
    // One of somebody else's among her own spoils the whole answer: who knows whose the rest is.
    let account = |contact: &str, balance: u32| json!({"id": "x", "contactId": contact, "definitionId": 1, "balance": balance, "pendingPoints": 0});
    let mixed = json!([account(ALVA.id, 10), account(BO.id, 5555)]);
    app.engage
        .fault(Endpoint::PointAccounts, Fault::Body(mixed.to_string()));
    let answer = app
        .get(&format!("contactId={}&parts=points", ALVA.id))
        .await;
    assert!(!answer.assert_ok().text().contains("5555"));
}
