//! Pages of a history, and how much of it is read from Engage.

use engage_bff::config::ApiVersion;
use engage_simulator::{
    Endpoint, Fault, VoucherSeed,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use super::{EACH, REDEEMED, TRANSACTIONS, app, each};
use crate::harness::{API, Answer, TestApp, percent_encoded};

/// A request for Bo, which has no history of its own.
fn bo(parts: &str) -> String {
    format!("contactId={}&parts={parts}", BO.id)
}

/// A transaction at this number of minutes after midnight.
fn transaction(number: usize) -> Value {
    let (hour, minute) = (number / 60, number % 60);
    let date = format!("2026-10-01T{hour:02}:{minute:02}:00.1234567Z");
    json!({"id": number.to_string(), "amount": number, "transactionDate": date, "transactionDateTime": date})
}

/// Makes Engage answer with these pages, in order, each with that total.
fn pages(app: &TestApp, endpoint: Endpoint, total: usize, pages: &[&[Value]]) {
    for items in pages {
        let body = json!({"items": items, "totalCount": total});
        let fault = Fault::Body(body.to_string());
        app.engage.fault_times(endpoint, fault, 1);
    }
}

/// Bo has a point account with no transactions of its own.
async fn with_account() -> TestApp {
    let app = app().await;
    app.engage.contact(BO.id).points_of(1, "0");
    app
}

fn ids(range: impl Iterator<Item = usize>) -> Vec<Value> {
    range.map(|number| json!(number.to_string())).collect()
}

async fn page(app: &TestApp, parts: &str, limit: usize, before: &Value) -> Answer {
    let before = match before.as_str() {
        Some(before) => format!("&before={}", percent_encoded(before)),
        None => String::new(),
    };
    let query = format!("{}&limit={limit}{before}", bo(parts));
    app.get(&query).await
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repetition() {
    let app = with_account().await;
    // Engage documents no order.
    let mut all: Vec<Value> = (0..57).map(transaction).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut all);
    pages(&app, Endpoint::PointTransactions, 57, &[&all]);
    let (mut before, mut seen) = (Value::Null, Vec::new());
    for number in 0..6 {
        let answer = page(&app, TRANSACTIONS, 10, &before).await;
        let found = each(&answer, TRANSACTIONS, "id");
        assert_eq!(found.len(), if number < 5 { 10 } else { 7 });
        seen.extend(found);
        before = answer.at("/pointTransactions/next");
        assert_eq!(before.is_null(), number == 5);
    }
    assert_eq!(seen, ids((0..57).rev()));
    // All pages come from one call.
    assert_eq!(app.engage.calls(Endpoint::PointTransactions), 1);
    let default = app.get(&bo(TRANSACTIONS)).await;
    assert_eq!(each(&default, TRANSACTIONS, "id").len(), 20);
}

#[tokio::test]
async fn items_of_one_moment_are_never_split_between_pages() {
    let app = with_account().await;
    let of_moment = |id: usize, date: &str| json!({"id": id.to_string(), "amount": 1, "transactionDate": date, "transactionDateTime": date});
    let mut all: Vec<Value> = (0..7)
        .map(|id| of_moment(id, &format!("2026-10-01T12:00:00.{}Z", 1_230_000 + id)))
        .collect();
    all.push(of_moment(8, "2026-10-01T12:00:01Z"));
    all.push(of_moment(9, "2026-10-01T11:00:00Z"));
    pages(&app, Endpoint::PointTransactions, 9, &[&all]);
    let first = page(&app, TRANSACTIONS, 2, &Value::Null).await;
    // Items 0 to 6 have the same millisecond, though not the same instant.
    assert_eq!(
        each(&first, TRANSACTIONS, "id"),
        ids([8, 6, 5, 4, 3, 2, 1, 0].into_iter())
    );
    let next = first.at("/pointTransactions/next");
    assert_eq!(next, "2026-10-01T12:00:00.123Z");
    let second = page(&app, TRANSACTIONS, 2, &next).await;
    assert_eq!(each(&second, TRANSACTIONS, "id"), ids([9].into_iter()));
    assert_eq!(second.at("/pointTransactions/next"), Value::Null);
    let none = page(&app, TRANSACTIONS, 2, &json!("2020-01-01T00:00:00Z")).await;
    assert_eq!(each(&none, TRANSACTIONS, "id"), ids(std::iter::empty()));
    assert_eq!(none.at("/pointTransactions/next"), Value::Null);
}

#[tokio::test]
async fn redeemed_vouchers_are_paged_by_the_time_of_redemption() {
    let app = app().await;
    for number in 0..5 {
        let id = format!("8d31c000-2009-4c22-b002-b2d20000000{number}");
        let voucher = VoucherSeed::worth("10", "SEK").id(&id);
        app.engage.contact(BO.id).add_voucher(voucher);
        app.engage.contact(BO.id).redeem_voucher(&id);
        app.advance(std::time::Duration::from_secs(1));
    }
    let first = page(&app, REDEEMED, 3, &Value::Null).await;
    let dates = each(&first, REDEEMED, "redeemedOn");
    assert_eq!(dates.len(), 3);
    assert_eq!(dates[0], "2026-11-23T12:00:04.000Z");
    let second = page(&app, REDEEMED, 3, &first.at("/redeemedVouchers/next")).await;
    let dates = each(&second, REDEEMED, "redeemedOn");
    assert_eq!(dates.len(), 2);
    assert_eq!(dates[1], "2026-11-23T12:00:00.000Z");
    assert_eq!(second.at("/redeemedVouchers/next"), Value::Null);
}

#[tokio::test]
async fn newest_of_a_long_list_are_read_whatever_its_order() {
    // Nine pages of ten transactions each are read.
    let of_page = |numbers: Vec<usize>| numbers.into_iter().map(transaction).collect::<Vec<_>>();
    for is_newest_first in [true, false] {
        let app = with_account().await;
        let mut numbers: Vec<usize> = (0..200).collect();
        if is_newest_first {
            numbers.reverse();
        }
        let first = of_page(numbers[..10].to_vec());
        let rest: Vec<Vec<Value>> = if is_newest_first {
            numbers[10..90]
                .chunks(10)
                .map(|chunk| of_page(chunk.to_vec()))
                .collect()
        } else {
            numbers[120..]
                .chunks(10)
                .map(|chunk| of_page(chunk.to_vec()))
                .collect()
        };
        let mut all: Vec<&[Value]> = vec![&first];
        all.extend(rest.iter().map(Vec::as_slice));
        pages(&app, Endpoint::PointTransactions, 200, &all);
        let answer = page(&app, TRANSACTIONS, 100, &Value::Null).await;
        let expected = if is_newest_first { 110..200 } else { 120..200 };
        assert_eq!(each(&answer, TRANSACTIONS, "id"), ids(expected.rev()));
        assert_eq!(answer.at("/pointTransactions/truncated"), json!(true));
        assert_eq!(answer.at("/pointTransactions/next"), Value::Null);
        // A list that is truncated is not degraded.
        assert_eq!(answer.at("/degraded"), json!([]));
        assert_eq!(app.engage.calls(Endpoint::PointTransactions), 9);
        let log = app.engage.log();
        let last = log.last().and_then(|call| call.parameter("offset"));
        assert_eq!(last, Some(if is_newest_first { "80" } else { "190" }));
    }
}

#[tokio::test]
async fn long_list_of_redeemed_vouchers_is_truncated_after_ten_pages() {
    let app = app().await;
    app.engage.page_cap(Some(1));
    for number in 0..12 {
        let id = format!("8d31c000-2009-4c22-b002-b2d2000000{number:02}");
        let voucher = VoucherSeed::worth("10", "SEK").id(&id);
        app.engage.contact(BO.id).add_voucher(voucher);
        app.engage.contact(BO.id).redeem_voucher(&id);
        app.advance(std::time::Duration::from_secs(1));
    }
    let answer = page(&app, REDEEMED, 100, &Value::Null).await;
    // A page of one item does not show the order of the list, so the first ten pages are read.
    assert_eq!(each(&answer, REDEEMED, "id").len(), 10);
    assert_eq!(answer.at("/redeemedVouchers/truncated"), json!(true));
    assert_eq!(app.engage.calls(Endpoint::RedeemedVouchers), 10);
}

#[tokio::test]
async fn transactions_of_all_accounts_share_nine_pages() {
    if API == ApiVersion::V2 {
        return;
    }
    let app = app().await;
    for definition in 1..=12 {
        app.engage.contact(BO.id).points_of(definition, "1");
    }
    let answer = page(&app, TRANSACTIONS, 100, &Value::Null).await;
    assert_eq!(each(&answer, TRANSACTIONS, "id").len(), 9);
    assert_eq!(answer.at("/pointTransactions/truncated"), json!(true));
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), 1);
    assert_eq!(app.engage.calls(Endpoint::PointTransactions), 9);
    let definitions = each(&answer, TRANSACTIONS, "definitionId");
    assert!(definitions.contains(&json!("9")) && !definitions.contains(&json!("10")));
}

#[tokio::test]
async fn newest_transactions_of_each_account_are_read_while_pages_are_left() {
    if API == ApiVersion::V2 {
        return;
    }
    let items: Vec<Value> = (0..30).map(transaction).collect();
    // The first account has three pages of ten, the oldest on the first; each other account has one transaction.
    // Nine pages are read at most.
    for (accounts, others, read, is_degraded) in [(5, 4, 20..30, false), (12, 8, 0..0, true)] {
        let app = app().await;
        for definition in 1..=accounts {
            app.engage.contact(BO.id).points_of(definition, "1");
        }
        let (oldest, newest) = (&items[..10], &items[20..]);
        let first = if is_degraded {
            &[oldest][..]
        } else {
            &[oldest, newest]
        };
        pages(&app, Endpoint::PointTransactions, 30, first);
        let answer = page(&app, TRANSACTIONS, 100, &Value::Null).await;
        let shown = each(&answer, TRANSACTIONS, "id");
        let is_of_first = |id: &&Value| ids(0..30).contains(id);
        let of_first: Vec<Value> = shown.iter().filter(is_of_first).cloned().collect();
        assert_eq!(of_first, ids(read.rev()), "{accounts} accounts");
        assert_eq!(shown.len() - of_first.len(), others, "{accounts} accounts");
        assert_eq!(answer.at("/pointTransactions/truncated"), json!(true));
        let degraded = if is_degraded {
            json!([TRANSACTIONS])
        } else {
            json!([])
        };
        assert_eq!(answer.at("/degraded"), degraded, "{accounts} accounts");
    }
}

#[tokio::test]
async fn item_that_moved_to_the_next_page_is_shown_once() {
    let app = with_account().await;
    let items: Vec<Value> = (0..3).map(transaction).collect();
    let (first, second) = (&items[..2], &items[1..]);
    pages(&app, Endpoint::PointTransactions, 4, &[first, second]);
    let answer = page(&app, TRANSACTIONS, 10, &Value::Null).await;
    assert_eq!(each(&answer, TRANSACTIONS, "id"), ids((0..3).rev()));
}

#[tokio::test]
async fn contradictory_pages_degrade_the_list() {
    let app = with_account().await;
    let items: Vec<Value> = (0..2).map(transaction).collect();
    // Fewer items than counted.
    pages(&app, Endpoint::PointTransactions, 4, &[&items, &[]]);
    let answer = page(&app, TRANSACTIONS, 10, &Value::Null).await;
    assert_eq!(each(&answer, TRANSACTIONS, "id"), ids((0..2).rev()));
    assert_eq!(answer.at("/degraded"), json!([TRANSACTIONS]));
    // Another offset than requested.
    let body = json!({"items": items, "totalCount": 4, "offset": 1}).to_string();
    let fault = Fault::Body(body);
    app.engage
        .fault_times(Endpoint::PointTransactions, fault, 1);
    let answer = app.get(&format!("{}&fresh=all", bo(TRANSACTIONS))).await;
    assert_eq!(answer.assert_ok().at("/pointTransactions"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!([TRANSACTIONS]));
}

#[tokio::test]
async fn either_spelling_of_the_list_is_read() {
    for key in ["items", "Items"] {
        let app = with_account().await;
        let body = json!({key: [transaction(3)], "totalCount": 1}).to_string();
        for (_, endpoint) in &EACH[..1] {
            let fault = Fault::Body(body.clone());
            app.engage.fault_times(*endpoint, fault, 1);
        }
        let answer = page(&app, TRANSACTIONS, 10, &Value::Null).await;
        assert_eq!(
            each(&answer, TRANSACTIONS, "id"),
            ids([3].into_iter()),
            "{key}"
        );
        assert_ne!(answer.at("/contactId"), ALVA.id);
    }
}
