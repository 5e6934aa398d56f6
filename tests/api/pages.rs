//! Paging: all pages of a list are read up to a limit; a longer list, or contradictory pages, mark the part as
//! degraded.

use engage_bff::config::ApiVersion;
use engage_simulator::{
    Endpoint, Fault, VoucherSeed,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    forms::assert_incomplete,
    harness::{API, Answer, TestApp, logs},
};

/// The most pages that are read of one list.
const PAGES: usize = 10;

fn fresh(part: &str) -> String {
    format!("contactId={}&parts={part}&fresh={part}", BO.id)
}

fn voucher(number: usize) -> Value {
    let id = format!("8d31c000-2009-4c22-b002-b2d2{number:08x}");
    json!({"id": id, "voucherNumber": number.to_string(), "value": {"amount": 1, "currency": "SEK"}})
}

fn account(number: usize) -> Value {
    json!({"id": number, "contactId": BO.id, "definitionId": number, "balance": number})
}

/// Queues these answers of an endpoint, in order.
fn answers(app: &TestApp, endpoint: Endpoint, bodies: &[Value]) {
    for body in bodies {
        let body = Fault::Body(body.to_string());
        app.engage.fault_times(endpoint, body, 1);
    }
}

/// A service with the overview cached, so that the next calls are for the part only.
async fn app() -> TestApp {
    let app = TestApp::spawn().await;
    app.get(&format!("contactId={}&parts=none", BO.id))
        .await
        .assert_ok();
    app.engage.reset_log();
    app
}

#[track_caller]
fn codes(answer: &Answer) -> Vec<String> {
    let vouchers = answer.assert_ok().at("/vouchers");
    let vouchers = vouchers
        .as_array()
        .unwrap_or_else(|| panic!("{}", answer.text()));
    vouchers
        .iter()
        .map(|voucher| voucher["code"].as_str().expect("a code").to_owned())
        .collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[track_caller]
fn assert_missing(answer: &Answer, part: &str) {
    assert_eq!(answer.assert_ok().at(&format!("/{part}")), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([part]));
}

#[tokio::test]
async fn ten_voucher_pages_are_read_and_an_eleventh_degrades_the_part() {
    let app = app().await;
    app.engage.page_cap(Some(1));
    let add = |number: usize| {
        let voucher = VoucherSeed::worth("10", "SEK").number(&number.to_string());
        app.engage.contact(BO.id).add_voucher(voucher);
    };
    (0..PAGES).for_each(add);
    let all = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&all), numbers(0..PAGES));
    assert_eq!(all.at("/degraded"), json!([]));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), PAGES);
    add(PAGES);
    app.engage.reset_log();
    let cut = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&cut), numbers(0..PAGES));
    assert_eq!(cut.at("/degraded"), json!(["vouchers"]));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), PAGES);
    assert!(logs().contains("unreadable item left out"));
}

#[tokio::test]
async fn ten_account_pages_are_read_and_an_eleventh_degrades_the_part() {
    let app = app().await;
    app.engage.wrap_point_accounts(true);
    app.engage.page_cap(Some(1));
    for number in 1..=PAGES {
        let definition = u32::try_from(number).expect("a small number");
        app.engage.contact(BO.id).points_of(definition, "1");
    }
    let all = app.get(&fresh("points")).await;
    let accounts = all.assert_ok().at("/points/accounts");
    assert_eq!(accounts.as_array().map(Vec::len), Some(PAGES));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), PAGES);
    app.engage.contact(BO.id).points_of(11, "1");
    app.engage.reset_log();
    let cut = app.get(&fresh("points")).await;
    assert_incomplete(&cut, "points", PAGES, "the eleventh");
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), PAGES);
}

#[tokio::test]
async fn full_page_without_a_total_is_followed_by_another_call() {
    let app = app().await;
    let full: Vec<Value> = (0..100).map(voucher).collect();
    let rest: Vec<Value> = (100..105).map(voucher).collect();
    for total in [json!({}), json!({"totalCount": null})] {
        let page = |items: &[Value]| {
            let mut page = total.clone();
            page["items"] = json!(items);
            page
        };
        app.engage.reset_log();
        answers(&app, Endpoint::Vouchers, &[page(&full), page(&rest)]);
        let answer = app.get(&fresh("vouchers")).await;
        assert_eq!(codes(&answer), numbers(0..105), "{total}");
        let log = app.engage.log();
        assert_eq!(log[1].parameter("offset"), Some("100"));
    }
    // A page that is not full is the last.
    app.engage.reset_log();
    answers(&app, Endpoint::Vouchers, &[json!({"items": rest})]);
    let answer = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&answer), numbers(100..105));
    assert_eq!(app.engage.calls(Endpoint::Vouchers), 1);
}

#[tokio::test]
async fn fewer_items_than_the_total_degrade_the_part() {
    let app = app().await;
    let first = json!({"items": [voucher(0), voucher(1)], "totalCount": 3, "offset": 0});
    let empty = json!({"items": [], "totalCount": 3, "offset": 2});
    answers(&app, Endpoint::Vouchers, &[first.clone(), empty.clone()]);
    let fewer = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&fewer), ["0", "1"]);
    assert_eq!(fewer.at("/degraded"), json!(["vouchers"]));
    // One voucher was used between the two pages: the second page's total says so.
    let fewer = json!({"items": [], "totalCount": 2, "offset": 2});
    answers(&app, Endpoint::Vouchers, &[first, fewer]);
    let answer = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&answer), ["0", "1"]);
    assert_eq!(answer.at("/degraded"), json!([]));
    let empty_points = json!({"items": [], "totalCount": 3});
    answers(&app, Endpoint::PointAccounts, &[empty_points]);
    assert_incomplete(&app.get(&fresh("points")).await, "points", 0, "no items");
}

#[tokio::test]
async fn page_with_another_offset_ends_the_list() {
    let app = app().await;
    let first = json!({"items": [voucher(0), voucher(1)], "totalCount": 4, "offset": 0});
    answers(&app, Endpoint::Vouchers, &[first.clone(), first]);
    let cut = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&cut), ["0", "1"]);
    assert_eq!(cut.at("/degraded"), json!(["vouchers"]));
    let first = json!({"items": [account(1)], "totalCount": 2, "offset": 0});
    answers(&app, Endpoint::PointAccounts, &[first.clone(), first]);
    assert_incomplete(&app.get(&fresh("points")).await, "points", 1, "the first");
    // A first page with another offset makes the whole list uncertain.
    let other = json!({"items": [account(1)], "totalCount": 2, "offset": 1});
    answers(&app, Endpoint::PointAccounts, &[other]);
    assert_missing(&app.get(&fresh("points")).await, "points");
}

#[tokio::test]
async fn voucher_on_two_pages_is_listed_once() {
    let app = app().await;
    // A new voucher between the two pages shifted all others by one.
    let first = json!({"items": [voucher(0), voucher(1)], "totalCount": 3, "offset": 0});
    let second = json!({"items": [voucher(1), voucher(2)], "totalCount": 4, "offset": 2});
    answers(&app, Endpoint::Vouchers, &[first, second]);
    let answer = app.get(&fresh("vouchers")).await;
    assert_eq!(codes(&answer), ["0", "1", "2"]);
}

#[tokio::test]
async fn bare_array_is_a_complete_list() {
    let app = app().await;
    let accounts: Vec<Value> = (1..=250).map(account).collect();
    answers(&app, Endpoint::PointAccounts, &[json!(accounts)]);
    let answer = app.get(&fresh("points")).await;
    let accounts = answer.assert_ok().at("/points/accounts");
    assert_eq!(accounts.as_array().map(Vec::len), Some(250));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
}

#[tokio::test]
async fn page_fields_are_read_in_every_spelling() {
    let app = app().await;
    for page in [
        json!({"items": [account(7)], "totalCount": 1, "offset": 0, "count": 100, "links": []}),
        json!({"Items": [account(7)], "totalCount": 1, "offset": 0, "count": 1}),
        json!({"items": [account(7)], "totalCount": "1", "offset": "0"}),
        json!({"items": [account(7)], "totalCount": 0}),
        json!({"items": [account(7)]}),
        json!([account(7)]),
    ] {
        answers(&app, Endpoint::PointAccounts, std::slice::from_ref(&page));
        let answer = app.get(&fresh("points")).await;
        assert_eq!(answer.assert_ok().at("/points/balance"), json!(7), "{page}");
    }
    for body in [
        json!({"items": null}),
        json!({"items": "many"}),
        json!({"items": {}}),
        json!({}),
        json!("none"),
        json!(null),
        json!(7),
    ] {
        answers(&app, Endpoint::PointAccounts, std::slice::from_ref(&body));
        assert_missing(&app.get(&fresh("points")).await, "points");
    }
}

#[tokio::test]
async fn pages_are_requested_by_offset_and_count_at_the_versions_path() {
    let app = TestApp::spawn().await;
    app.get(&format!("contactId={}&fresh=vouchers,points", ALVA.id))
        .await
        .assert_ok();
    let log = app.engage.log();
    let vouchers = match API {
        ApiVersion::V2 => format!("/api/v2/contacts/{}/bonuschecks/available", ALVA.id),
        ApiVersion::V3 => "/api/v3/reward-vouchers/available".to_owned(),
    };
    for endpoint in [Endpoint::Vouchers, Endpoint::PointAccounts] {
        let call = log.iter().find(|call| call.endpoint == endpoint);
        let call = call.expect("a call");
        assert_eq!(call.parameter("offset"), Some("0"));
        assert_eq!(call.parameter("count"), Some("100"));
        let in_path = call.path.contains(ALVA.id);
        assert_eq!(call.parameter("contactId").is_none(), in_path);
        if endpoint == Endpoint::Vouchers {
            assert_eq!(call.path, vouchers);
        }
    }
}
