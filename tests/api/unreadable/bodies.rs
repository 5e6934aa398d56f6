//! Whole bodies: invalid text is repaired or left out, and oversized lists are cut.

use bytesize::ByteSize;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    forms::{answer_with, fresh},
    harness::{Answer, TILL, TestApp, logs},
};

/// Bo's overview with these attributes, as JSON text.
fn overview(attributes: &str) -> String {
    format!(
        r#"{{"id": "{}", "meta": {{}}, "attributes": {{{attributes}}}}}"#,
        BO.id
    )
}

async fn profile_of(attributes: &str) -> Answer {
    let app = TestApp::spawn().await;
    answer_with(&app, Endpoint::Overview, overview(attributes));
    app.get(&format!("contactId={}&parts=none", BO.id)).await
}

#[tokio::test]
async fn lone_surrogates_are_replaced_everywhere() {
    let attributes = r#""firstName": "A\ud800b", "nick\udc00": "\udfff", "list": ["\ud83e\ud83e\udd8a"],
        "kept": "\ud83e\udd8a \\ud800""#;
    let answer = profile_of(attributes).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "A\u{fffd}b");
    let expected = json!({
        "nick\u{fffd}": "\u{fffd}", "list": ["\u{fffd}🦊"], "kept": "🦊 \\ud800",
    });
    assert_eq!(answer.at("/profile/attributes"), expected);
    assert_eq!(answer.at("/degraded"), json!([]));
    let app = TestApp::spawn().await;
    let voucher = r#"{"id": "\ud8001", "name": "\udc00", "voucherNumber": "7"}"#;
    let page = format!(r#"{{"items": [{voucher}], "totalCount": 1}}"#);
    answer_with(&app, Endpoint::Vouchers, page);
    let answer = app.get(&fresh("vouchers")).await;
    assert_eq!(answer.assert_ok().at("/vouchers/0/id"), "\u{fffd}1");
}

#[tokio::test]
async fn byte_order_mark_before_an_answer_is_skipped() {
    let app = TestApp::spawn().await;
    let body = format!("\u{feff}{}", overview(r#""firstName": "Bo""#));
    answer_with(&app, Endpoint::Overview, body);
    answer_with(&app, Endpoint::PointAccounts, "\u{feff}[]");
    let answer = app.get(&format!("contactId={}&parts=points", BO.id)).await;
    assert_eq!(answer.assert_ok().at("/profile/firstName"), "Bo");
    assert_eq!(answer.at("/degraded"), json!([]));
    let refusal = "\u{feff}{\"errorCode\": \"ContactNotFound\"}";
    let raw = format!(
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{refusal}",
        refusal.len()
    );
    app.engage.fault(Endpoint::All, Fault::Raw(raw.into()));
    app.get(&format!("contactId={}", ALVA.id))
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn attribute_that_callers_cannot_parse_is_left_out() {
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    for (value, is_shown) in [
        (arrays(32), true),
        (arrays(33), false),
        (arrays(100_000), false),
        (objects(32), true),
        (objects(33), false),
        (format!("[1, {}]", objects(32)), false),
        ("1e400".to_owned(), false),
        ("[-1e400]".to_owned(), false),
        (format!("\"{}\"", "[".repeat(100)), true),
    ] {
        let attributes = format!(r#""odd": {value}, "shoeSize": 38"#);
        let answer = profile_of(&attributes).await;
        let attributes = answer.assert_ok().at("/profile/attributes");
        assert_eq!(attributes["shoeSize"], json!(38));
        assert_eq!(attributes.get("odd").is_some(), is_shown, "{value:.40}");
        let degraded = if is_shown {
            json!([])
        } else {
            json!(["profile"])
        };
        assert_eq!(answer.at("/degraded"), degraded, "{value:.40}");
    }
}

fn voucher(number: usize, name: &str) -> Value {
    json!({"id": number, "voucherNumber": number.to_string(), "name": name})
}

#[tokio::test]
async fn oversized_page_ends_the_list_and_degrades_the_part() {
    let app = TestApp::with(|config| config.engage.max_response_size = ByteSize::kib(64)).await;
    let page = |offset: usize, size: usize| {
        let voucher = voucher(offset, &"x".repeat(size));
        let page = json!({"items": [voucher], "totalCount": 3, "offset": offset});
        Fault::Body(page.to_string())
    };
    for (offset, size) in [(0, 1), (1, 60_000), (2, 70_000)] {
        app.engage
            .fault_times(Endpoint::Vouchers, page(offset, size), 1);
    }
    let answer = app.get(&fresh("vouchers")).await;
    assert_eq!(
        answer.assert_ok().at("/vouchers").as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(answer.at("/degraded"), json!(["vouchers"]));
    // An oversized first page makes the whole list unknown.
    app.engage
        .fault_times(Endpoint::Vouchers, page(0, 70_000), 1);
    let answer = app.get(&fresh("vouchers")).await;
    assert_eq!(answer.assert_ok().at("/vouchers"), Value::Null);
    assert_eq!(answer.at("/degraded"), json!(["vouchers"]));
}

#[tokio::test]
async fn max_response_size_is_configurable() {
    // Above the limit the entity endpoints answer, which have no audiences.
    for (bound, degraded) in [
        (ByteSize::kib(64), json!(["audiences"])),
        (ByteSize::mib(1), json!(["audiences"])),
        (ByteSize::mib(4), json!([])),
    ] {
        let app = TestApp::with(|config| config.engage.max_response_size = bound).await;
        let note = "x".repeat(2 << 20);
        let body = overview(&format!(r#""note": "{note}""#));
        answer_with(&app, Endpoint::Overview, body);
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        assert_eq!(answer.assert_ok().at("/degraded"), degraded, "{bound}");
    }
}

/// A service whose cache has about 660 KB for records.
async fn with_a_small_cache() -> TestApp {
    TestApp::with(|config| config.cache.max_size = ByteSize::mib(1)).await
}

/// A note that compresses only to about three quarters.
fn note_of(length: usize) -> Value {
    let mut random = fastrand::Rng::with_seed(7);
    json!(
        (0..length)
            .map(|_| random.alphanumeric())
            .collect::<String>()
    )
}

#[tokio::test]
async fn record_too_large_with_rendered_answers_is_cached_without_them() {
    let app = with_a_small_cache().await;
    app.engage
        .contact(ALVA.id)
        .attribute("note", note_of(450_000));
    let query = format!("contactId={}", ALVA.id);
    let first = app.get(&query).await;
    first.assert_ok();
    let calls = app.engage.total_calls();
    for _ in 0..3 {
        let again = app.get(&query).await;
        again.assert_ok().assert_hit();
        assert_eq!(again.body, first.body);
    }
    // The response is not compressed either, because it is not cached.
    for _ in 0..3 {
        let request = app.customer(TILL, &query).header("accept-encoding", "gzip");
        let answer = Answer::of(request).await;
        assert_eq!(answer.header("content-encoding"), "");
    }
    assert_eq!(app.engage.total_calls(), calls);
    assert_eq!(app.customers.counts().records, 1);
}

#[tokio::test]
async fn record_too_large_to_cache_is_served_and_the_old_one_dropped() {
    let app = with_a_small_cache().await;
    let query = format!("contactId={}&parts=none", ALVA.id);
    app.get(&query).await.assert_ok();
    app.engage
        .contact(ALVA.id)
        .attribute("note", note_of(1_000_000));
    for more in ["&fresh=profile", "", ""] {
        let calls = app.engage.total_calls();
        let answer = app.get(&format!("{query}{more}")).await;
        let note = answer.assert_ok().at("/profile/attributes/note");
        assert_eq!(note, note_of(1_000_000), "{more}");
        assert!(app.engage.total_calls() > calls, "{more}");
    }
    let cached = app.customers.counts().record_bytes;
    assert!(cached < 100_000, "{cached} bytes are cached");
    assert!(logs().contains("too large to be cached"));
}
