//! Protecting flags: any `true` counts, in any case, and so does everything else except `false`, null and an empty
//! text.

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::{
    forms::{GUID, answer_with, fresh},
    harness::{SHOP, TestApp},
};

/// Alva's overview with these additional attributes and keys, as JSON text: keys may be repeated.
fn overview(attributes: &str, more: &str) -> String {
    format!(
        r#"{{"id": "{}", "meta": {{"contactType": "Member"}}, "attributes": {{"street": "Provgatan 12",
            "email": "{}", {attributes} "city": "Exempelstad"}} {more}}}"#,
        ALVA.id, ALVA.email
    )
}

async fn is_protected(attributes: &str, more: &str) -> bool {
    let app = TestApp::spawn().await;
    answer_with(&app, Endpoint::Overview, overview(attributes, more));
    let query = format!("contactId={}&parts=none", ALVA.id);
    let answer = app.get_as(SHOP, &query).await;
    let hidden = answer.assert_ok().at("/profile/address").is_null();
    let text = answer.text();
    assert_eq!(!text.contains("Provgatan"), hidden, "{text}");
    assert_eq!(!text.contains(ALVA.email), hidden, "{text}");
    hidden
}

#[tokio::test]
async fn secrecy_mark_protects_in_any_case_and_when_repeated() {
    for attributes in [
        r#""SecrecyMarked": true,"#,
        r#""secrecymarked": "TRUE","#,
        r#""secrecyMarked": false, "secrecyMarked": true,"#,
        r#""secrecyMarked": true, "secrecyMarked": false,"#,
        r#""secrecyMarked": false, "SECRECYMARKED": true,"#,
    ] {
        assert!(is_protected(attributes, "").await, "{attributes}");
    }
    for more in [
        r#", "secrecyMarked": true"#,
        r#", "Meta": {"SecrecyMarked": true}"#,
        r#", "attributes": {"secrecyMarked": true}"#,
        r#", "Attributes": {"secrecyMarked": "yes"}"#,
        r#", "META": [{"secrecyMarked": true}]"#,
    ] {
        assert!(is_protected("", more).await, "{more}");
    }
}

#[tokio::test]
async fn secrecy_mark_that_is_unreadable_protects() {
    for value in ["1", "0", "\"yes\"", "\"no\"", "{}", "[false]", "\"0\""] {
        let attributes = format!(r#""secrecyMarked": {value},"#);
        assert!(is_protected(&attributes, "").await, "{value}");
    }
}

#[tokio::test]
async fn false_or_empty_secrecy_mark_does_not_protect() {
    for value in ["null", "\"\"", "\" \"", "false", "\"False\""] {
        let attributes = format!(r#""secrecyMarked": {value},"#);
        assert!(!is_protected(&attributes, "").await, "{value}");
    }
}

#[tokio::test]
async fn attributes_with_whereabouts_of_a_protected_contact_are_hidden() {
    let revealing = [
        "Country",
        "COUNTRY",
        "createdInStore",
        "CreatedInStore",
        "recruitedbystore",
        "favouriteStore",
        "streetAddress",
        "postalCode",
        "ZIP",
        "cityName",
        "region",
        "homePhone",
        "secondEmail",
        "favoritbutik",
        "Hemadress",
    ];
    let app = TestApp::with(|config| {
        let listed = revealing.iter().chain(&["shoeSize", "delivery", "EMAIL"]);
        config.views.storefront.attributes = listed.map(|key| (*key).to_owned()).collect();
    })
    .await;
    let mut attributes = json!({"shoeSize": 38, "delivery": {"street": "Provgatan 12"}});
    attributes["EMAIL"] = json!("alva.testsson@example.com");
    for key in revealing {
        attributes[key] = json!("Exempelstad");
    }
    let mut shown = Vec::new();
    for marked in [false, true] {
        attributes["secrecyMarked"] = json!(marked);
        let body = json!({"id": ALVA.id, "meta": {}, "attributes": attributes});
        answer_with(&app, Endpoint::Overview, body.to_string());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        let query = format!("contactId={}&parts=none", ALVA.id);
        let answer = app.get_as(SHOP, &query).await;
        shown.push(answer.assert_ok().at("/profile/attributes"));
    }
    let unprotected = shown[0].as_object().map(serde_json::Map::len);
    assert_eq!(unprotected, Some(revealing.len() + 2));
    assert_eq!(shown[1], json!({"shoeSize": 38}));
}

#[tokio::test]
async fn possibly_redeemed_item_is_left_out_without_degrading() {
    let app = TestApp::spawn().await;
    for (flags, is_shown) in [
        (r#""redeemed": false"#, true),
        (r#""redeemed": null, "redeemedOn": "  ""#, true),
        (
            r#""redeemed": false, "redeemedOn": "0001-01-01T00:00:00""#,
            true,
        ),
        (r#""Redeemed": true"#, false),
        (r#""redeemed": false, "redeemed": true"#, false),
        (r#""redeemed": "yes""#, false),
        (r#""redeemed": 0"#, false),
        (r#""redeemed": {}"#, false),
        (
            r#""redeemed": false, "redeemedOn": "2026-11-01T00:00:00""#,
            false,
        ),
        (r#""RedeemedOn": "2026-11-01""#, false),
        (r#""redeemedOn": "31/12/2026""#, false),
        (r#""redeemedOn": 7"#, false),
    ] {
        let item = format!(r#"{{"id": "{GUID}", {flags}}}"#);
        let page = format!(r#"{{"items": [{item}], "totalCount": 1}}"#);
        answer_with(&app, Endpoint::Vouchers, page);
        answer_with(&app, Endpoint::Promotions, format!("[{item}]"));
        for part in ["vouchers", "promotions"] {
            let answer = app.get(&fresh(part)).await;
            let found = answer.assert_ok().at(&format!("/{part}"));
            let count = found.as_array().map(Vec::len);
            assert_eq!(count, Some(usize::from(is_shown)), "{part} {flags}");
            assert_eq!(answer.at("/degraded"), json!([]), "{part} {flags}");
        }
    }
}

#[tokio::test]
async fn contradicting_preferences_are_not_accepted() {
    for (preferences, expected) in [
        (
            r#""acceptsEmail": true, "AcceptsEmails": false"#,
            json!(false),
        ),
        (
            r#""acceptsEmail": false, "acceptsEmail": true"#,
            json!(false),
        ),
        (
            r#""ACCEPTSEMAIL": true, "acceptsEmails": true"#,
            json!(true),
        ),
        (r#""acceptsEmail": true, "AcceptsEmails": "x""#, Value::Null),
        (
            r#""acceptsEmail": null, "AcceptsEmails": true"#,
            json!(true),
        ),
        (
            r#""acceptsEmail": "x", "AcceptsEmails": false"#,
            json!(false),
        ),
    ] {
        let app = TestApp::spawn().await;
        let body = format!(
            r#"{{"id": "{}", "attributes": {{}}, "meta": {{}}, "preferences": {{{preferences}}}}}"#,
            BO.id
        );
        answer_with(&app, Endpoint::Overview, body);
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        let found = answer.assert_ok().at("/preferences/acceptsEmail");
        assert_eq!(found, expected, "{preferences}");
    }
}
