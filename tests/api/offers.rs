//! Vouchers and promotions at the moment of the response: promotions are filtered by channel, used and expired items
//! are left out, and items that expire soon are listed.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault, VoucherSeed,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::harness::{Answer, SHOP, TestApp};

const AUTUMN: &str = "7c20b000-1001-4b11-a001-b2d100b00001";
const WELCOME: &str = "7c20b000-1002-4b11-a001-b2d100b00002";
const WINTER: &str = "7c20b000-1003-4b11-a001-b2d100b00003";
const MILLISECOND: Duration = Duration::from_millis(1);
const JUST_BEFORE_20_SECONDS: Duration = Duration::from_millis(19_999);

fn alva() -> String {
    format!("contactId={}", ALVA.id)
}

fn bo() -> String {
    format!("contactId={}", BO.id)
}

fn ids(answer: &Answer, list: &str) -> Vec<String> {
    let list = answer.assert_ok().at(list);
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|item| item["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn offers_of_other_channels_and_emptied_promotions_are_dropped() {
    let app = TestApp::spawn().await;
    for (channel, expected) in [
        ("", &[AUTUMN, WELCOME, WINTER][..]),
        ("&channel=POS", &[AUTUMN]),
        ("&channel=ECOM", &[AUTUMN, WELCOME]),
        ("&channel=OTHER", &[WINTER]),
    ] {
        let answer = app.get(&format!("{}{channel}", alva())).await;
        assert_eq!(ids(&answer, "/promotions"), expected, "{channel}");
        let promotions = answer.at("/promotions");
        let channels: Vec<&Value> = promotions
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|promotion| promotion["offers"].as_array().expect("a list"))
            .map(|offer| &offer["channel"])
            .collect();
        if let Some(requested) = channel.strip_prefix("&channel=") {
            assert!(channels.iter().all(|channel| *channel == requested));
        } else {
            assert_eq!(channels, ["POS", "ECOM", "ECOM", "OTHER"]);
        }
        // `expiringSoon` is filtered by the channel too.
        let soon = ids(&answer, "/expiringSoon");
        assert_eq!(
            soon.contains(&WINTER.to_owned()),
            expected.contains(&WINTER)
        );
    }
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn channel_parameter_overrides_the_clients_channel() {
    let app = TestApp::spawn().await;
    let answer = app.get_as(SHOP, &alva()).await;
    assert_eq!(ids(&answer, "/promotions"), [AUTUMN, WELCOME]);
    let answer = app.get_as(SHOP, &format!("{}&channel=POS", alva())).await;
    assert_eq!(ids(&answer, "/promotions"), [AUTUMN]);
}

#[tokio::test]
async fn every_kind_of_offer_has_its_value() {
    let app = TestApp::spawn().await;
    app.engage.contact(ALVA.id).add_promotion(json!({
        "id": "7c20b000-1008-4b11-a001-b2d100b00008",
        "redemptionChannels": [
            {"type": "POS", "valueType": "SWIPE", "value": "?", "localValues": []},
            {"type": "POS", "valueType": "PERCENT", "value": null, "localValues": []},
            {"type": "KIOSK", "valueType": "MONEY", "value": {"amount": 0.10, "currency": "EUR"}},
        ],
    }));
    let answer = app.get(&alva()).await;
    let promotions = answer.assert_ok().at("/promotions");
    let offers: Vec<Value> = promotions
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|promotion| promotion["offers"].as_array().expect("a list"))
        .map(|offer| {
            json!([
                offer["channel"],
                offer["kind"],
                offer["value"],
                offer["localValues"],
                offer["instruction"]
            ])
        })
        .collect();
    assert_eq!(
        Value::from(offers),
        json!([
            ["POS", "percent", 15, [], "Scanna medlemskortet"],
            ["ECOM", "external", "AUTUMN15", [], null],
            ["ECOM", "money", {"amount": 100, "currency": "SEK"},
                [{"amount": 10, "currency": "EUR"}, {"amount": 95.5, "currency": "NOK"}], null],
            ["OTHER", "manual", "Visa koden i kassan", [], "Butikschef godkänner"],
            ["POS", "other", "?", [], null],
            ["POS", "percent", null, [], null],
            [null, "money", {"amount": 0.1, "currency": "EUR"}, [], null],
        ])
    );
}

#[tokio::test]
async fn external_id_and_type_are_text_or_null() {
    for (written, expected) in [
        (json!("SO-7"), json!("SO-7")),
        (json!(90_001), json!("90001")),
        (json!("0090001"), json!("0090001")),
        (json!("<b>\"å\"</b>"), json!("<b>\"å\"</b>")),
        (json!("Kiosk"), json!("Kiosk")),
        (json!(""), Value::Null),
        (json!("  "), Value::Null),
        (Value::Null, Value::Null),
        (json!({"id": "SO-7"}), Value::Null),
        (json!(["SO-7"]), Value::Null),
    ] {
        let app = TestApp::spawn().await;
        let promotion = json!({"externalId": written, "type": written});
        app.engage.contact(BO.id).add_promotion(promotion);
        for query in [bo(), format!("{}&fresh=promotions", bo())] {
            let answer = app.get(&query).await;
            answer.assert_ok();
            assert_eq!(answer.at("/promotions/0/externalId"), expected, "{written}");
            assert_eq!(answer.at("/promotions/0/type"), expected, "{written}");
            assert_eq!(answer.at("/degraded"), json!([]), "{written}");
        }
    }
}

#[tokio::test]
async fn promotion_and_voucher_have_every_field() {
    let app = TestApp::spawn().await;
    let answer = app.get(&alva()).await;
    let mut promotion = answer.at("/promotions/0");
    promotion["offers"] = json!([]);
    assert_eq!(
        promotion,
        json!({
            "id": AUTUMN, "promotionId": "5a1e0f10-0001-4a00-9000-b2d000a00001",
            "externalId": "SO-90001", "type": "Multichannel",
            "name": "Höstrabatt 15 procent", "heading": "15 % på valfri jacka",
            "description": "Gäller en gång, ej på reavaror.",
            "imageUrl": "https://cdn.example.com/promo/autumn15.png",
            "link": "https://shop.example.com/jackor", "expiresOn": "2026-12-31T12:00:00.000Z", "offers": [],
        })
    );
    assert_eq!(
        answer.at("/vouchers/0"),
        json!({
            "id": "8d31c000-2001-4c22-b002-b2d200c00001", "code": "2511000000017",
            "name": "Bonusutbetalning 2026-10-01", "value": {"amount": 150, "currency": "SEK"},
            "localValues": [{"amount": 148.5, "currency": "NOK"}, {"amount": 13.2, "currency": "EUR"}],
            "expiresOn": "2026-12-31T12:00:00.000Z",
        })
    );
}

#[tokio::test]
async fn redeemed_items_are_left_out_from_both_endpoints() {
    let app = TestApp::spawn().await;
    app.engage
        .contact(ALVA.id)
        .redeem_promotion(AUTUMN)
        .redeem_voucher("8d31c000-2001-4c22-b002-b2d200c00001");
    for query in [alva(), format!("{}&fresh=all", alva())] {
        let answer = app.get(&query).await;
        assert_eq!(ids(&answer, "/promotions"), [WELCOME, WINTER]);
        assert_eq!(ids(&answer, "/vouchers").len(), 1);
    }
    assert_eq!(app.engage.calls(Endpoint::Promotions), 1);
}

#[tokio::test]
async fn cached_item_is_left_out_from_the_moment_it_expires() {
    let app = TestApp::spawn().await;
    let at = "2026-11-23T12:00:20Z";
    app.engage
        .contact(BO.id)
        .add_voucher(VoucherSeed::worth("10", "SEK").expires_on(at))
        .add_promotion(json!({"expiresOn": at}));
    let before = app.get(&bo()).await;
    assert_eq!(ids(&before, "/vouchers").len(), 1);
    assert_eq!(ids(&before, "/promotions").len(), 1);
    assert_eq!(ids(&before, "/expiringSoon").len(), 2);
    let calls = app.engage.total_calls();
    app.advance(JUST_BEFORE_20_SECONDS);
    let last = app.get(&bo()).await;
    last.assert_hit();
    assert_eq!(last.json(), before.json());
    assert_eq!(last.header("etag"), before.header("etag"));
    app.advance(MILLISECOND);
    let after = app.get(&bo()).await;
    after.assert_hit();
    assert_eq!(after.at("/vouchers"), json!([]));
    assert_eq!(after.at("/promotions"), json!([]));
    assert_eq!(after.at("/expiringSoon"), json!([]));
    assert_eq!(after.at("/degraded"), json!([]));
    assert_ne!(after.header("etag"), before.header("etag"));
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn expired_items_are_left_out_of_stale_answers() {
    let app = TestApp::spawn().await;
    let voucher = VoucherSeed::worth("10", "SEK").expires_on("2026-11-23T12:10:00Z");
    app.engage.contact(BO.id).add_voucher(voucher);
    let query = bo();
    app.get(&query).await.assert_ok();
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("busy")));
    app.advance(Duration::from_millis(599_999));
    let last = app.get(&query).await;
    last.assert_stale_if_error();
    assert_eq!(ids(&last, "/vouchers").len(), 1);
    app.advance(MILLISECOND);
    let after = app.get(&query).await;
    after.assert_stale_if_error();
    assert_eq!(after.at("/vouchers"), json!([]));
    assert_eq!(after.at("/expiringSoon"), json!([]));
}

#[tokio::test]
async fn expiring_soon_is_sorted_by_expiry() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    app.engage.contact(ALVA.id).add_voucher(
        VoucherSeed::worth("10", "SEK")
            .name("Soon")
            .expires_on("2026-11-25T12:00:00"),
    );
    let soon = |answer: &Answer| -> Vec<Value> {
        let list = answer.assert_ok().at("/expiringSoon");
        let list = list.as_array().expect("a list");
        list.iter()
            .map(|item| json!([item["kind"], item["name"], item["expiresOn"]]))
            .collect()
    };
    let voucher = json!(["voucher", "Soon", "2026-11-25T11:00:00.000Z"]);
    let winter = json!(["promotion", "Förköp", "2026-12-01T12:00:00.000Z"]);
    let answer = app.get(&alva()).await;
    assert_eq!(soon(&answer), [voucher.clone(), winter.clone()]);
    let answer = app.get(&format!("{}&expiringWithin=2d", alva())).await;
    assert_eq!(soon(&answer), std::slice::from_ref(&voucher));
    let answer = app.get(&format!("{}&expiringWithin=38d", alva())).await;
    let payout = json!([
        "voucher",
        "Bonusutbetalning 2026-10-01",
        "2026-12-31T12:00:00.000Z"
    ]);
    let autumn = json!([
        "promotion",
        "15 % på valfri jacka",
        "2026-12-31T12:00:00.000Z"
    ]);
    let points = json!(["points", null, "2026-12-31T12:00:00.000Z"]);
    assert_eq!(soon(&answer), [voucher, winter, payout, autumn, points]);
    assert_eq!(answer.at("/expiringSoon/4/id"), "1");
    let answer = app.get(&format!("{}&expiringWithin=365d", alva())).await;
    assert_eq!(soon(&answer).len(), 6);
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn expiring_soon_is_null_where_a_part_is_not_requested_or_missing() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    for parts in [
        "none",
        "points",
        "promotions",
        "vouchers",
        "vouchers,promotions",
        "points,vouchers",
    ] {
        let query = format!("{}&parts={parts}&expiringWithin=60d", alva());
        let answer = app.get(&query).await;
        assert_eq!(
            answer.assert_ok().at("/expiringSoon"),
            Value::Null,
            "{parts}"
        );
        assert_eq!(answer.at("/degraded"), json!([]));
    }
    for endpoint in [
        Endpoint::PointAccounts,
        Endpoint::Vouchers,
        Endpoint::Promotions,
    ] {
        let app = TestApp::spawn().await;
        app.engage
            .fault(endpoint, Fault::Status(500, json!("busy")));
        let answer = app.get(&format!("{}&fresh=all", alva())).await;
        let missing = answer.assert_ok().at("/degraded");
        assert_eq!(missing.as_array().map(Vec::len), Some(1), "{endpoint:?}");
        assert_eq!(answer.at("/expiringSoon"), Value::Null, "{endpoint:?}");
    }
    // An unreadable voucher leaves the readable ones in `expiringSoon`.
    let app = TestApp::spawn().await;
    app.engage
        .contact(BO.id)
        .add_voucher(VoucherSeed::worth("10", "SEK").expires_on("2026-11-25T12:00:00Z"))
        .add_voucher(VoucherSeed::worth("10", "SEK").expires_on("never"));
    let answer = app.get(&bo()).await;
    assert_eq!(answer.assert_ok().at("/degraded"), json!(["vouchers"]));
    assert_eq!(ids(&answer, "/expiringSoon").len(), 1);
}

#[tokio::test]
async fn expiring_item_has_the_keys_of_its_kind() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let voucher = VoucherSeed::worth("250.0000", "SEK")
        .id("8d31c000-2009-4c22-b002-b2d200c00009")
        .number("0099")
        .name("Soon")
        .expires_on("2026-11-25T12:00:00Z");
    app.engage
        .contact(ALVA.id)
        .points("317.50")
        .add_voucher(voucher);
    let answer = app.get(&format!("{}&expiringWithin=60d", alva())).await;
    let soon = answer.assert_ok().at("/expiringSoon");
    let exact = |written: &str| -> Value { serde_json::from_str(written).expect("a number") };
    assert_eq!(
        soon[0],
        json!({
            "kind": "voucher", "id": "8d31c000-2009-4c22-b002-b2d200c00009", "definitionId": null,
            "code": "0099", "name": "Soon", "amount": {"amount": exact("250.0000"), "currency": "SEK"},
            "expiresOn": "2026-11-25T12:00:00.000Z",
        })
    );
    assert_eq!(
        soon[1],
        json!({
            "kind": "promotion", "id": WINTER, "definitionId": null, "code": null, "name": "Förköp",
            "amount": null, "expiresOn": "2026-12-01T12:00:00.000Z",
        })
    );
    let points = soon.as_array().expect("a list").iter();
    let points: Vec<&Value> = points.filter(|item| item["kind"] == "points").collect();
    assert_eq!(
        points,
        [&json!({
            "kind": "points", "id": "1", "definitionId": "1", "code": null, "name": null,
            "amount": exact("317.50"), "expiresOn": "2026-12-31T12:00:00.000Z",
        })]
    );
}

#[tokio::test]
async fn zero_points_do_not_expire_soon() {
    let app = TestApp::spawn().await;
    app.engage.contact(ALVA.id).points("0");
    let answer = app.get(&format!("{}&expiringWithin=365d", alva())).await;
    let soon = answer.assert_ok().at("/expiringSoon");
    let mut soon = soon.as_array().expect("a list").iter();
    assert!(soon.all(|item| item["kind"] != "points"));
}

#[tokio::test]
async fn cached_item_enters_expiring_soon_exactly_when_due() {
    let app = TestApp::spawn().await;
    let at = "2026-12-07T12:00:20Z";
    app.engage
        .contact(BO.id)
        .add_voucher(VoucherSeed::worth("10", "SEK").expires_on(at));
    let before = app.get(&bo()).await;
    assert_eq!(before.assert_ok().at("/expiringSoon"), json!([]));
    app.advance(JUST_BEFORE_20_SECONDS);
    let last = app.get(&bo()).await;
    assert_eq!(last.assert_hit().at("/expiringSoon"), json!([]));
    app.advance(MILLISECOND);
    let after = app.get(&bo()).await;
    assert_eq!(ids(after.assert_hit(), "/expiringSoon").len(), 1);
    assert_ne!(after.header("etag"), before.header("etag"));
}
