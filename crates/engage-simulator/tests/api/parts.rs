//! The parts of a contact in both versions: their shapes, pages and exact numbers.

use engage_simulator::{Endpoint, Fault, VoucherKey, VoucherSeed, fixtures::ALVA};
use serde_json::{Value, json};

use crate::harness::Engage;

const QUERY: [(&str, &str); 1] = [("contactId", ALVA.id)];

fn ids(list: &Value) -> Vec<&str> {
    let items = list.as_array().expect("a list");
    items
        .iter()
        .map(|item| item["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn points_are_in_the_overview_of_v2_only() {
    let engage = Engage::start().await;
    let v3 = engage.get("/api/v3/contactoverview/", &QUERY).await.ok();
    assert_eq!(v3["attributes"].get("bonusPoints"), None);
    let v2 = engage.get("/api/v2/contactoverview", &QUERY).await.ok();
    assert_eq!(v2["attributes"]["bonusPoints"], json!(317.5));
}

#[tokio::test]
async fn overview_uses_the_configured_voucher_key() {
    let engage = Engage::start().await;
    let v3 = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(v3["rewardVouchers"][0]["voucherNumber"], "2511000000017");
    assert_eq!(v3["rewardVouchers"].as_array().map(Vec::len), Some(2));
    assert_eq!(v3.get("bonusChecks"), None);
    engage.simulator.voucher_key(VoucherKey::BonusChecks);
    let v3 = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(v3["bonusChecks"][0]["checkNumber"], "2511000000017");
    assert_eq!(v3["bonusChecks"][0]["bonusPoints"], 3900);
    assert_eq!(v3.get("rewardVouchers"), None);
}

#[tokio::test]
async fn voucher_lists_differ_by_scope_and_version() {
    let engage = Engage::start().await;
    for (path, count) in [("", 3), ("/available", 2), ("/redeemed", 1)] {
        let v3 = engage
            .get(&format!("/api/v3/reward-vouchers{path}"), &QUERY)
            .await
            .ok();
        assert_eq!(v3["totalCount"], count);
        let v2 = format!("/api/v2/contacts/{}/bonuschecks{path}", ALVA.id);
        let v2 = engage.get(&v2, &[]).await.ok();
        assert_eq!(ids(&v2["items"]), ids(&v3["items"]));
        assert!(v2["items"][0]["checkNumber"].is_string());
    }
}

#[tokio::test]
async fn redeemed_voucher_is_reactivated_three_times_at_most() {
    let engage = Engage::start().await;
    let voucher = "8d31c000-2001-4c22-b002-b2d200c00001";
    let path = format!("/contacts/{}", ALVA.id);
    let edit = |edit: &str| {
        let (engage, path) = (&engage, &path);
        let body = format!(r#"[{{"{edit}":"{voucher}"}}]"#);
        async move { engage.control("POST", path, &body).await.status }
    };
    let available = || async {
        let v3 = "/api/v3/reward-vouchers/available";
        let v3 = engage.get(v3, &QUERY).await.ok()["totalCount"].clone();
        let v2 = format!("/api/v2/contacts/{}/bonuschecks/available", ALVA.id);
        assert_eq!(engage.get(&v2, &[]).await.ok()["totalCount"], v3);
        v3
    };
    assert_eq!(edit("reactivateVoucher").await, 400, "it is active");
    for _ in 0..3 {
        assert_eq!(edit("redeemVoucher").await, 200);
        assert_eq!(available().await, 1);
        assert_eq!(edit("reactivateVoucher").await, 200);
        assert_eq!(available().await, 2);
    }
    assert_eq!(edit("redeemVoucher").await, 200);
    assert_eq!(edit("reactivateVoucher").await, 400, "a fourth time");
    assert_eq!(available().await, 1);
}

#[tokio::test]
async fn page_cap_splits_lists_into_pages() {
    let engage = Engage::start().await;
    engage.simulator.page_cap(Some(2));
    let page = |offset: &'static str| {
        let query = [("contactId", ALVA.id), ("offset", offset), ("count", "100")];
        let engage = &engage;
        async move { engage.get("/api/v3/reward-vouchers", &query).await.ok() }
    };
    let first = page("0").await;
    assert_eq!(
        (&first["count"], &first["totalCount"]),
        (&json!(2), &json!(3))
    );
    let second = page("2").await;
    assert_eq!(
        (&second["count"], &second["offset"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(page("3").await["items"], json!([]));
}

#[tokio::test]
async fn point_accounts_are_an_array_a_page_or_wrapped() {
    let engage = Engage::start().await;
    let v3 = engage.get("/api/v3/point-accounts", &QUERY).await.ok();
    assert_eq!(v3[0]["id"], "9e42d000-3001-4d33-8003-b2d300d00001");
    assert_eq!(v3[1]["definitionId"], 2);
    let v2 = engage.get("/api/v2/point-accounts", &QUERY).await.ok();
    assert_eq!(v2["items"][0]["id"], 123);
    engage.simulator.wrap_point_accounts(true);
    let wrapped = engage.get("/api/v3/point-accounts", &QUERY).await.ok();
    assert_eq!(wrapped["items"], v3);
    assert_eq!(wrapped["totalCount"], 2);
}

#[tokio::test]
async fn point_definitions_are_a_page_of_an_array_in_both_versions() {
    let engage = Engage::start().await;
    let names = |list: &Value| -> Vec<(Value, Value)> {
        let items = list.as_array().expect("an array").iter();
        items
            .map(|item| (item["id"].clone(), item["name"].clone()))
            .collect()
    };
    let all_names = [(json!(1), json!("Bonus")), (json!(2), json!("Eco"))];
    for version in ["v2", "v3"] {
        let path = format!("/api/{version}/point-accounts/definitions");
        let all = engage.get(&path, &[]).await.ok();
        assert_eq!(names(&all), all_names);
        assert_eq!(all[0]["description"], "Default points");
        let page = [("offset", "1"), ("count", "1")];
        let second = engage.get(&path, &page).await.ok();
        assert_eq!(names(&second)[..], all_names[1..], "{version}");
    }
    engage.simulator.define_points(1, "Crowns");
    engage.simulator.define_points(7, "Event");
    assert!(engage.simulator.remove_point_definition(2));
    assert!(!engage.simulator.remove_point_definition(2));
    let path = "/api/v3/point-accounts/definitions";
    let all = engage.get(path, &[]).await.ok();
    let (crowns, event) = ((json!(1), json!("Crowns")), (json!(7), json!("Event")));
    assert_eq!(names(&all), [crowns, event]);
    assert_eq!(all[0]["description"], "Default points");
    engage
        .simulator
        .fault_times(Endpoint::PointDefinitions, Fault::Html502, 1);
    assert_eq!(engage.get(path, &[]).await.status, 502);
    assert_eq!(engage.simulator.calls(Endpoint::PointDefinitions), 6);
    assert_eq!(engage.simulator.calls(Endpoint::PointAccounts), 0);
}

#[tokio::test]
async fn numbers_are_written_verbatim() {
    let engage = Engage::start().await;
    let voucher = VoucherSeed::worth("250.0000", "SEK").id("22220000-0000-4000-8000-000000000001");
    engage
        .simulator
        .contact(ALVA.id)
        .points("120.50")
        .points_of(3, "0.10")
        .add_voucher(voucher);
    let points = engage.get("/api/v3/point-accounts", &QUERY).await.body;
    assert!(points.contains(r#""balance":120.50,"#), "{points}");
    assert!(points.contains(r#""balance":0.10,"#), "{points}");
    let vouchers = engage
        .get("/api/v3/reward-vouchers/available", &QUERY)
        .await
        .body;
    assert!(vouchers.contains(r#""amount":250.0000}"#), "{vouchers}");
}

#[tokio::test]
async fn promotions_are_filtered_by_channel_and_include_redeemed_ones() {
    let engage = Engage::start().await;
    let path = format!("/api/v3/contacts/{}/promotions", ALVA.id);
    assert_eq!(ids(&engage.get(&path, &[]).await.ok()).len(), 4);
    let in_shop = engage
        .get(&path, &[("redemptionChannelType", "ECOM")])
        .await
        .ok();
    assert_eq!(ids(&in_shop).len(), 3);
    assert_eq!(in_shop[2]["redeemed"], true);
    engage
        .simulator
        .contact(ALVA.id)
        .redeem_promotion("7c20b000-1001-4b11-a001-b2d100b00001");
    let overview = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(ids(&overview["promotions"]).len(), 2);
}

#[tokio::test]
async fn expired_items_leave_the_available_lists_only() {
    let engage = Engage::start().await;
    engage
        .simulator
        .clock()
        .advance(std::time::Duration::from_hours(40 * 24));
    let available = engage
        .get("/api/v3/reward-vouchers/available", &QUERY)
        .await
        .ok();
    assert_eq!(available["totalCount"], 1);
    let overview = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(
        ids(&overview["promotions"]),
        ["7c20b000-1002-4b11-a001-b2d100b00002"]
    );
    let all = engage.get("/api/v3/reward-vouchers", &QUERY).await.ok();
    assert_eq!(all["totalCount"], 3);
}

#[tokio::test]
async fn edits_appear_in_entities_and_snapshot() {
    let engage = Engage::start().await;
    let simulator = &engage.simulator;
    simulator
        .contact(ALVA.id)
        .redeem_voucher("8d31c000-2001-4c22-b002-b2d200c00001")
        .remove_voucher("8d31c000-2002-4c22-b002-b2d200c00002")
        .remove_promotion("7c20b000-1002-4b11-a001-b2d100b00002")
        .preferences(json!({"acceptsEmail": false}))
        .consents(json!([{"id": "memberTerms", "value": false}]))
        .audiences(json!([]))
        .warnings(json!([{"id": "invalidEmail", "message": "bounced"}]));
    let snapshot = simulator.snapshot(ALVA.id).expect("Alva");
    assert_eq!(snapshot["vouchers"].as_array().map(Vec::len), Some(2));
    assert_eq!(snapshot["vouchers"][0]["redeemed"], true);
    assert_eq!(snapshot["promotions"].as_array().map(Vec::len), Some(3));
    assert_eq!(snapshot["preferences"]["acceptsSms"], true);
    let overview = engage.overview_of(ALVA.id).await.ok();
    assert_eq!(overview["preferences"]["acceptsEmail"], false);
    assert_eq!(overview["consents"][0]["value"], false);
    assert_eq!(overview["audiences"], json!([]));
    assert_eq!(overview["warnings"][0]["message"], "bounced");
    let audiences = engage.get("/api/v3/target-audiences", &[]).await.ok();
    assert_eq!(audiences[1]["name"], "Gold");
}

#[tokio::test]
async fn changes_list_created_updated_and_deleted_contacts() {
    let engage = Engage::start().await;
    let created = engage
        .simulator
        .create(json!({"email": "new@example.com"}), "Member");
    engage
        .simulator
        .contact(ALVA.id)
        .email("other@example.com")
        .points("1");
    engage.simulator.contact(&created).points("2").delete();
    for (change, expected) in [
        ("Created", created.as_str()),
        ("Updated", ALVA.id),
        ("Deleted", &created),
    ] {
        let query = [
            ("changeType", change),
            ("fromDate", "2026-11-23T12:59:00"),
            ("toDate", "2026-11-23T12:01:00Z"),
        ];
        let answer = engage.get("/api/v3/contacts/changes", &query).await;
        assert_eq!(answer.ok(), json!([expected]), "{change}");
    }
}
