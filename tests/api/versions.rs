//! Shapes of the answers of each version of Engage's API, and paging.

use std::time::Duration;

use engage_bff::config::ApiVersion;
use engage_simulator::{
    Endpoint, Fault, VoucherKey, VoucherSeed,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, not_applicable_in};

fn alva() -> String {
    format!("email={}", ALVA.email)
}

#[tokio::test]
async fn v3_overview_may_contain_vouchers_as_bonus_checks() {
    if not_applicable_in(ApiVersion::V2, "v2 has no other name for them") {
        return;
    }
    let app = TestApp::spawn().await;
    let usual = app.get(&alva()).await;
    app.engage.voucher_key(VoucherKey::BonusChecks);
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    app.engage.reset_log();
    let answer = app.get(&alva()).await;
    assert_eq!(answer.assert_ok().at("/vouchers"), usual.at("/vouchers"));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 0);
}

#[tokio::test]
async fn v3_point_accounts_may_be_paged() {
    if not_applicable_in(ApiVersion::V2, "v2 always returns pages") {
        return;
    }
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
async fn vouchers_are_read_from_every_page() {
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
async fn failed_page_makes_the_whole_part_null() {
    let app = TestApp::spawn().await;
    app.engage.page_cap(Some(1));
    let query = format!("{}&parts=vouchers", alva());
    app.get(&query).await.assert_ok();
    let hold = app.engage.hold(Endpoint::Vouchers);
    let pending = app.spawn_get(&format!("{query}&fresh=vouchers"));
    app.engage.wait_for_calls(Endpoint::Vouchers, 1).await;
    app.engage
        .fault(Endpoint::Vouchers, Fault::Status(500, json!("busy")));
    hold.release();
    let answer = pending.await.expect("an answer");
    assert_eq!(answer.assert_ok().at("/vouchers"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["vouchers"]));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 2);
}

#[tokio::test]
async fn point_accounts_of_another_contact_are_dropped() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.fetch_points_separately(CIM.id).await;
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
    // One account of another contact invalidates the whole list: the owners of the others are uncertain.
    let account = |contact: &str, balance: u32| json!({"id": "x", "contactId": contact, "definitionId": 1, "balance": balance, "pendingPoints": 0});
    let mixed = json!([account(ALVA.id, 10), account(BO.id, 5555)]);
    app.engage
        .fault(Endpoint::PointAccounts, Fault::Body(mixed.to_string()));
    // The back-off after the first failure ends.
    app.advance(Duration::from_secs(31));
    app.engage.reset_log();
    let answer = app
        .get(&format!("contactId={}&parts=points", ALVA.id))
        .await;
    assert!(!answer.assert_ok().text().contains("5555"));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
    assert_eq!(answer.at("/points"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["points"]));
}
