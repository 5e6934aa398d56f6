//! A contact's history: point transactions and the summary of purchases, in both versions.

use engage_simulator::{
    VoucherSeed,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::harness::{Answer, Engage};

async fn v3(engage: &Engage, query: &[(&str, &str)]) -> Answer {
    let query: Vec<_> = [("contactId", ALVA.id)]
        .iter()
        .chain(query)
        .copied()
        .collect();
    engage.get("/api/v3/point-transactions", &query).await
}

#[tokio::test]
async fn v3_transactions_are_a_page_with_the_key_items_capitalized() {
    let engage = Engage::start().await;
    let page = v3(
        &engage,
        &[("definitionId", "1"), ("offset", "1"), ("count", "2")],
    )
    .await
    .ok();
    assert_eq!(
        (&page["totalCount"], &page["count"]),
        (&json!(4), &json!(2))
    );
    assert_eq!(page["Items"][0]["description"], "Receipt 4711");
    assert_eq!(page.get("items"), None);
    let pending = v3(&engage, &[("definitionId", "1"), ("filter", "Pending")])
        .await
        .ok();
    assert_eq!(pending["totalCount"], 1);
    let other = v3(&engage, &[("definitionId", "2")]).await.ok();
    assert_eq!(other["totalCount"], 0);
    let account = [("accountId", "9e42d000-3001-4d33-8003-b2d300d00001")];
    let by_account = engage.get("/api/v3/point-transactions", &account).await;
    assert_eq!(by_account.ok()["totalCount"], 4);
    assert_eq!(v3(&engage, &[]).await.status, 400);
}

#[tokio::test]
async fn v2_transactions_have_other_keys() {
    let engage = Engage::start().await;
    let path = format!("/api/v2/contacts/{}/bonuspointtransactions", ALVA.id);
    let page = engage.get(&path, &[("count", "1")]).await.ok();
    assert_eq!(page["totalCount"], 4);
    let first = &page["items"][0];
    assert_eq!(first["type"], "FromAutomation");
    assert_eq!(first["automationBonusAdjustmentReason"], "From automation");
    assert!(first["transactionDateTime"].is_string());
}

#[tokio::test]
async fn earning_spending_and_converting_points_make_transactions() {
    let engage = Engage::start().await;
    let contact = engage.simulator.contact(ALVA.id);
    let voucher = VoucherSeed {
        points: "40.50".to_owned(),
        ..VoucherSeed::worth("10", "SEK")
    };
    contact
        .points("400")
        .points("390.25")
        .points("390.25")
        .add_voucher(voucher)
        .add_transaction(json!({"amount": 5, "validFrom": null}));
    let page = v3(&engage, &[("definitionId", "1"), ("offset", "4")])
        .await
        .ok();
    let items = page["Items"].as_array().expect("a list");
    let amounts: Vec<&Value> = items.iter().map(|item| &item["amount"]).collect();
    assert_eq!(json!(amounts).to_string(), "[82.5,-9.75,-40.50,5]");
    assert_eq!(items[1]["type"], "Deduction");
    assert_eq!(items[2]["source"], "RewardVoucher");
    assert_eq!(items[3]["validFrom"], Value::Null);
}

#[tokio::test]
async fn contact_without_a_summary_of_purchases_is_a_404_with_its_code() {
    let engage = Engage::start().await;
    for version in ["v2", "v3"] {
        let path = |id: &str| format!("/api/{version}/contacts/{id}/purchasehistorysummary");
        let summary = engage.get(&path(ALVA.id), &[]).await.ok();
        assert_eq!(summary["numberOfArticlePurchasesAll"], 3);
        let none = engage.get(&path(BO.id), &[]).await;
        assert_eq!(none.status, 404);
        assert!(
            none.body.contains("RetailKpiNotCalculated"),
            "{}",
            none.body
        );
    }
    engage
        .simulator
        .contact(BO.id)
        .purchases(json!({"purchaseAmountAll": 1}));
    let path = format!("/api/v3/contacts/{}/purchasehistorysummary", BO.id);
    assert_eq!(engage.get(&path, &[]).await.ok()["purchaseAmountAll"], 1);
}
