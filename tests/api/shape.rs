//! The shape of the customer answer: every key is present in every object, for every contact.

use engage_simulator::fixtures::BO;
use serde_json::{Map, Value, json};

use crate::harness::{Answer, OVERVIEW_HAS_POINTS, TestApp};

#[track_caller]
fn object(value: &Value, keys: &[&str], what: &str) -> Map<String, Value> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("{what} is no object: {value}"));
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "the keys of {what}");
    object.clone()
}

#[track_caller]
fn text_or_null(object: &Map<String, Value>, keys: &[&str]) {
    for key in keys {
        let value = &object[*key];
        assert!(value.is_string() || value.is_null(), "{key}: {value}");
    }
}

#[track_caller]
fn flag_or_null(object: &Map<String, Value>, keys: &[&str]) {
    for key in keys {
        let value = &object[*key];
        assert!(value.is_boolean() || value.is_null(), "{key}: {value}");
    }
}

/// Null, or RFC 3339 in UTC with milliseconds.
#[track_caller]
fn time_or_null(value: &Value) {
    let Some(text) = value.as_str() else {
        assert!(value.is_null(), "{value}");
        return;
    };
    assert_eq!(text.len(), "2026-11-23T12:00:00.000Z".len(), "{text}");
    assert!(text.ends_with('Z') && text.as_bytes()[19] == b'.', "{text}");
    assert!(text.parse::<jiff::Timestamp>().is_ok(), "{text}");
}

#[track_caller]
fn money(value: &Value) {
    let money = object(value, &["amount", "currency"], "money");
    assert!(money["amount"].is_number());
    assert_eq!(money["currency"].as_str().map(str::len), Some(3));
}

#[track_caller]
fn each<'a>(list: &'a Value, what: &str) -> impl Iterator<Item = &'a Value> {
    let list = list.as_array();
    list.unwrap_or_else(|| panic!("{what} is no list")).iter()
}

#[track_caller]
fn assert_profile(profile: &Value) {
    let keys = [
        "protected",
        "firstName",
        "lastName",
        "email",
        "mobilePhone",
        "address",
        "birthDay",
        "language",
        "memberNumber",
        "level",
        "homeStore",
        "memberSince",
        "attributes",
    ];
    let profile = object(profile, &keys, "profile");
    assert!(profile["protected"].is_boolean());
    text_or_null(&profile, &keys[1..5]);
    text_or_null(&profile, &["birthDay", "language", "memberNumber"]);
    if !profile["address"].is_null() {
        let keys = ["street", "careOf", "zipCode", "city", "countryCode"];
        text_or_null(&object(&profile["address"], &keys, "address"), &keys);
    }
    if !profile["level"].is_null() {
        let numbers = ["points", "threshold", "pointsToNext"];
        let keys = [&numbers[..], &["name", "expiresOn"]].concat();
        let level = object(&profile["level"], &keys, "level");
        assert!(level["name"].is_string());
        time_or_null(&level["expiresOn"]);
        for key in numbers {
            assert!(level[key].is_number() || level[key].is_null(), "{key}");
        }
    }
    if !profile["homeStore"].is_null() {
        let keys = ["id", "name", "externalId"];
        text_or_null(&object(&profile["homeStore"], &keys, "homeStore"), &keys);
    }
    time_or_null(&profile["memberSince"]);
    assert!(profile["attributes"].is_object());
}

#[track_caller]
fn assert_contactability(contactability: &Value) {
    let channels = object(
        contactability,
        &["email", "sms", "postal"],
        "contactability",
    );
    for (name, own) in [
        ("email", &["address"][..]),
        ("sms", &["number"]),
        ("postal", &[]),
    ] {
        let keys = [own, &["status", "accepted", "warnings"]].concat();
        let reach = object(&channels[name], &keys, name);
        text_or_null(&reach, own);
        flag_or_null(&reach, &["accepted"]);
        let status = reach["status"].as_str().expect("a status");
        assert!(["ok", "missing", "malformed", "warned"].contains(&status));
        for warning in each(&reach["warnings"], "warnings") {
            let keys = ["id", "message"];
            text_or_null(&object(warning, &keys, "a warning"), &keys);
        }
    }
}

#[track_caller]
fn assert_points(points: &Value) {
    let points = object(points, &["balance", "accounts"], "points");
    assert!(points["balance"].is_number() || points["balance"].is_null());
    for account in each(&points["accounts"], "accounts") {
        let keys = ["definitionId", "name", "balance", "pending", "expiresOn"];
        let account = object(account, &keys, "an account");
        text_or_null(&account, &["definitionId", "name"]);
        assert!(account["balance"].is_number());
        assert!(account["pending"].is_number() || account["pending"].is_null());
        time_or_null(&account["expiresOn"]);
    }
}

#[track_caller]
fn assert_voucher(voucher: &Value) {
    let keys = ["id", "code", "name", "value", "localValues", "expiresOn"];
    let voucher = object(voucher, &keys, "a voucher");
    assert!(voucher["id"].is_string());
    text_or_null(&voucher, &["code", "name"]);
    if !voucher["value"].is_null() {
        money(&voucher["value"]);
    }
    each(&voucher["localValues"], "localValues").for_each(money);
    time_or_null(&voucher["expiresOn"]);
}

#[track_caller]
fn assert_promotion(promotion: &Value) {
    let texts = [
        "promotionId",
        "externalId",
        "type",
        "name",
        "heading",
        "description",
        "imageUrl",
        "link",
    ];
    let keys = [&texts[..], &["id", "expiresOn", "offers"]].concat();
    let promotion = object(promotion, &keys, "a promotion");
    text_or_null(&promotion, &texts);
    time_or_null(&promotion["expiresOn"]);
    for offer in each(&promotion["offers"], "offers") {
        let keys = ["channel", "kind", "value", "localValues", "instruction"];
        let offer = object(offer, &keys, "an offer");
        text_or_null(&offer, &["channel", "instruction"]);
        let kind = offer["kind"].as_str().expect("a kind");
        match kind {
            "percent" => assert!(offer["value"].is_number(), "{offer:?}"),
            "money" => money(&offer["value"]),
            "external" | "manual" | "other" => text_or_null(&offer, &["value"]),
            _ => panic!("{kind}"),
        }
        each(&offer["localValues"], "localValues").for_each(money);
    }
}

/// Asserts that the answer has the contract's shape in every object.
#[track_caller]
fn assert_shape(answer: &Answer) {
    let parts = ["profile", "audiences", "promotions", "vouchers", "points"];
    let keys = [
        &parts[..],
        &[
            "contactId",
            "contactType",
            "contactability",
            "preferences",
            "consents",
            "pointTransactions",
            "redeemedVouchers",
            "purchases",
            "expiringSoon",
            "freshness",
            "degraded",
        ],
    ]
    .concat();
    let answer = object(&answer.assert_ok().json(), &keys, "the answer");
    assert!(answer["contactId"].is_string());
    text_or_null(&answer, &["contactType"]);
    assert_profile(&answer["profile"]);
    if !answer["contactability"].is_null() {
        assert_contactability(&answer["contactability"]);
    }
    let keys = ["acceptsEmail", "acceptsSms", "acceptsPostal"];
    flag_or_null(&object(&answer["preferences"], &keys, "preferences"), &keys);
    for consent in each(&answer["consents"], "consents") {
        let consent = object(consent, &["id", "given", "date"], "a consent");
        flag_or_null(&consent, &["given"]);
        time_or_null(&consent["date"]);
    }
    for audience in each(&answer["audiences"], "audiences") {
        text_or_null(&object(audience, &["id", "name"], "an audience"), &["name"]);
    }
    assert_points(&answer["points"]);
    each(&answer["vouchers"], "vouchers").for_each(assert_voucher);
    each(&answer["promotions"], "promotions").for_each(assert_promotion);
    for soon in each(&answer["expiringSoon"], "expiringSoon") {
        let keys = ["kind", "id", "definitionId", "code", "name"];
        let all = [&keys[..], &["amount", "expiresOn"]].concat();
        let soon = object(soon, &all, "what expires");
        text_or_null(&soon, &keys);
        match soon["kind"].as_str() {
            Some("points") => assert!(soon["amount"].is_number()),
            Some("promotion") => assert!(soon["amount"].is_null()),
            Some("voucher") if soon["amount"].is_null() => {}
            Some("voucher") => money(&soon["amount"]),
            kind => panic!("{kind:?}"),
        }
        assert!(soon["expiresOn"].is_string());
        time_or_null(&soon["expiresOn"]);
    }
    let history = ["pointTransactions", "redeemedVouchers", "purchases"];
    let keys = [&parts[..], &history].concat();
    let freshness = object(&answer["freshness"], &keys, "freshness");
    for part in history {
        assert!(
            answer[part].is_null() && freshness[part].is_null(),
            "{part}"
        );
    }
    for part in parts {
        let part = object(&freshness[part], &["asOf"], part);
        assert!(part["asOf"].is_string());
        time_or_null(&part["asOf"]);
    }
    assert_eq!(answer["degraded"], json!([]));
}

#[tokio::test]
async fn every_contact_has_every_key_in_both_views() {
    let app = TestApp::spawn().await;
    for contact in app.engage.contact_ids() {
        for view in ["full", "storefront"] {
            let answer = app
                .get(&format!(
                    "contactId={contact}&view={view}&expiringWithin=365d"
                ))
                .await;
            assert_shape(&answer);
            assert_eq!(answer.at("/contactId"), contact.as_str());
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }
}

#[tokio::test]
async fn sparse_contact_has_nulls_and_empty_lists() {
    let app = TestApp::spawn().await;
    let bo = app.get(&format!("contactId={}", BO.id)).await;
    assert_shape(&bo);
    for list in [
        "/consents",
        "/audiences",
        "/vouchers",
        "/promotions",
        "/expiringSoon",
    ] {
        assert_eq!(bo.at(list), json!([]), "{list}");
    }
    for null in [
        "/profile/firstName",
        "/profile/level",
        "/profile/homeStore",
        "/profile/memberSince",
    ] {
        assert_eq!(bo.at(null), Value::Null, "{null}");
    }
    // In v2 the overview contains a balance even without an account.
    let (balance, accounts) = if OVERVIEW_HAS_POINTS {
        (json!(0), 1)
    } else {
        (Value::Null, 0)
    };
    assert_eq!(bo.at("/points/balance"), balance);
    let list = bo.at("/points/accounts");
    assert_eq!(list.as_array().map(Vec::len), Some(accounts));
    assert_eq!(bo.at("/profile/attributes"), json!({}));
}
