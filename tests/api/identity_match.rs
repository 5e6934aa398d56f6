//! Identity check: what Engage shows of the contact must match the requested identifier in some spelling, or be absent.
//! An unreadable value is a mismatch.

use engage_simulator::{
    CustomKey, Endpoint, Fault,
    fixtures::{ALVA, DORA},
};
use serde_json::{Value, json};

use crate::harness::{TestApp, logs};

/// A service whose Engage finds Alva by her original identifiers, whatever values it returns.
async fn with_alva() -> TestApp {
    let app = TestApp::spawn().await;
    app.engage
        .contact(ALVA.id)
        .also_found_by("email", ALVA.email)
        .also_found_by("mobilePhone", ALVA.phone)
        .also_found_by("socialSecurityNumber", ALVA.national_id)
        .also_found_by("memberNumber", ALVA.member_number);
    app
}

/// Asserts a mismatch for each of these values, and a match when the value is absent.
async fn assert_mismatch(lookup: Value, key: &str, values: &[Value]) {
    let app = with_alva().await;
    for value in values {
        app.engage.contact(ALVA.id).attribute(key, value.clone());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        let answer = app.lookup(lookup.clone()).await;
        assert_eq!(answer.status, 502, "{value}: {}", answer.text());
        answer.assert_problem(502, "IdentityMismatch");
    }
    app.engage.contact(ALVA.id).attribute(key, Value::Null);
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    let answer = app.lookup(lookup).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
}

/// Asserts a match for each of these values.
async fn assert_match(lookup: Value, key: &str, values: &[Value]) {
    let app = with_alva().await;
    for value in values {
        app.engage.contact(ALVA.id).attribute(key, value.clone());
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        let answer = app.lookup(lookup.clone()).await;
        assert_eq!(answer.status, 200, "{value}: {}", answer.text());
        assert_eq!(answer.at("/contactId"), ALVA.id, "{value}");
        app.lookup(lookup.clone()).await.assert_ok().assert_hit();
    }
}

/// JSON values that are not strings, and a string of replacement characters.
fn of_wrong_type() -> Vec<Value> {
    vec![
        json!({"value": "x"}),
        json!(["x"]),
        json!([]),
        json!(true),
        json!(false),
        json!("\u{fffd}\u{fffd}"),
    ]
}

fn emails_of_others() -> Vec<Value> {
    let mut values = of_wrong_type();
    values.extend([
        json!("andré.person@example.com"),
        json!("alva.tests\u{ad}son@example.com"),
        json!("ａlva.testsson@example.com"),
        json!("alva.testsson@ｅxample.com"),
        json!("\u{430}lva.testsson@example.com"),
        json!("alva.te\u{17f}tsson@example.com"),
        json!("\"alva testsson\"@example.com"),
        json!("a***@example.com"),
        json!("alva.other@example.com"),
        json!("alva.one@example.com; alva.two@example.com"),
        json!(["alva.testsson@example.com"]),
    ]);
    values
}

fn phones_of_others() -> Vec<Value> {
    let mut values = of_wrong_type();
    values.extend([
        json!("+46701740699"),
        json!("+47701740605"),
        json!("070-174 06 99"),
        json!("070-174 ** **"),
        json!("+46701740６05"),
        json!("+46701740699; +46701740698"),
        json!("phone"),
        json!(46_701_740_699_u64),
    ]);
    values
}

fn national_ids_of_others() -> Vec<Value> {
    let mut values = of_wrong_type();
    values.extend([
        json!("19850709-****"),
        json!("198507099813"),
        json!("850709-9813"),
        json!("131052-308T"),
        json!("hidden"),
        json!("19850709９805"),
        json!(1985),
    ]);
    values
}

fn custom_keys_of_others() -> Vec<Value> {
    let mut values = of_wrong_type();
    values.extend([
        json!("100002"),
        json!("1000 01"),
        json!("１00001"),
        json!(100_002),
    ]);
    values
}

#[tokio::test]
async fn another_email_than_requested_is_a_mismatch() {
    let values = emails_of_others();
    assert_mismatch(json!({"email": ALVA.email}), "email", &values).await;
    assert_mismatch(json!({"any": ALVA.email}), "email", &values).await;
}

#[tokio::test]
async fn another_phone_number_than_requested_is_a_mismatch() {
    let values = phones_of_others();
    assert_mismatch(json!({"mobilePhone": ALVA.phone}), "mobilePhone", &values).await;
    assert_mismatch(json!({"any": "070-174 06 05"}), "mobilePhone", &values).await;
}

#[tokio::test]
async fn another_national_id_than_requested_is_a_mismatch() {
    let values = national_ids_of_others();
    let lookup = json!({"socialSecurityNumber": ALVA.national_id});
    assert_mismatch(lookup, "socialSecurityNumber", &values).await;
    assert_mismatch(
        json!({"any": "850709-9805"}),
        "socialSecurityNumber",
        &values,
    )
    .await;
}

#[tokio::test]
async fn another_custom_key_than_requested_is_a_mismatch() {
    let values = custom_keys_of_others();
    for lookup in ["customKey", "any"] {
        assert_mismatch(
            json!({ lookup: ALVA.member_number }),
            "memberNumber",
            &values,
        )
        .await;
    }
}

#[tokio::test]
async fn mismatch_is_neither_cached_nor_served() {
    let app = with_alva().await;
    let lookup = json!({"email": ALVA.email});
    app.engage
        .contact(ALVA.id)
        .email("andré.person@example.com");
    for _ in 0..2 {
        app.lookup(lookup.clone())
            .await
            .assert_problem(502, "IdentityMismatch");
    }
    assert_eq!(app.customers.counts().records, 0);
    assert!(logs().contains("engage response about another contact"));
    // By contact id the identifier does not matter.
    let by_id = app.lookup(json!({"contactId": ALVA.id})).await;
    assert_eq!(
        by_id.assert_ok().at("/profile/email"),
        "andré.person@example.com"
    );
    app.lookup(lookup)
        .await
        .assert_problem(502, "IdentityMismatch");
}

#[tokio::test]
async fn alias_ends_when_the_email_becomes_unreadable() {
    let app = with_alva().await;
    let lookup = json!({"email": ALVA.email, "parts": []});
    app.lookup(lookup.clone()).await.assert_ok();
    app.engage
        .contact(ALVA.id)
        .email("alva.tests\u{ad}son@example.com");
    let fresh = json!({"email": ALVA.email, "parts": [], "fresh": ["profile"]});
    app.lookup(fresh)
        .await
        .assert_problem(502, "IdentityMismatch");
    app.lookup(lookup)
        .await
        .assert_problem(502, "IdentityMismatch");
}

#[tokio::test]
async fn unusual_spellings_of_the_right_email_match() {
    let values = [
        json!(" Alva.Testsson@EXAMPLE.com\u{a0}"),
        json!("Alva Testsson <alva.testsson@example.com>"),
        json!("\"alva.testsson@example.com\""),
        json!("mailto:alva.testsson@example.com"),
        json!("other@example.com; alva.testsson@example.com"),
        json!("alva.testsson@example.com, other@example.com"),
        json!("alva.testsson@example.com / other@example.com"),
        json!("other@example.com or alva.testsson@example.com"),
    ];
    assert_match(json!({"email": ALVA.email}), "email", &values).await;
}

#[tokio::test]
async fn international_domain_is_compared_in_its_ascii_form() {
    let app = TestApp::spawn().await;
    let lookup = "anna@xn--rksmrgs-5wao1o.se";
    app.engage
        .contact(ALVA.id)
        .also_found_by("email", lookup)
        .email("Anna@Räksmörgås.se");
    let answer = app.lookup(json!({"email": lookup})).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    assert_eq!(answer.at("/contactability/email/status"), "ok");
    app.engage.contact(ALVA.id).email("anna@rаksmorgas.se");
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    app.lookup(json!({"email": lookup}))
        .await
        .assert_problem(502, "IdentityMismatch");
}

#[tokio::test]
async fn unusual_spellings_of_the_right_phone_number_match() {
    let values = [
        json!("0701740605"),
        json!("070-174 06 05"),
        json!("701740605"),
        json!(701_740_605),
        json!("46701740605"),
        json!(46_701_740_605_u64),
        json!("0046 (0)70 174 06 05"),
        json!("tel:+46-70-174-06-05"),
        json!("070\u{2011}174 06 05"),
        json!("08-465 004 04; 070-174 06 05"),
        json!("+46701740605/+46846500404"),
        json!("0701740605 0846500404"),
    ];
    assert_match(json!({"mobilePhone": ALVA.phone}), "mobilePhone", &values).await;
    assert_match(json!({"any": ALVA.phone}), "mobilePhone", &values[..2]).await;
}

#[tokio::test]
async fn unusual_spellings_of_the_right_national_id_match() {
    let values = [
        json!("19850709-9805"),
        json!("850709-9805"),
        json!("8507099805"),
        json!(198_507_099_805_u64),
        json!("1985 07 09 9805"),
        json!("850709\u{2013}9805"),
    ];
    let lookup = json!({"socialSecurityNumber": ALVA.national_id});
    assert_match(lookup, "socialSecurityNumber", &values).await;
}

#[tokio::test]
async fn custom_key_in_another_case_or_padded_is_left_to_engage() {
    let app = TestApp::spawn().await;
    app.engage.custom_key(CustomKey::ExternalId);
    let variants = ["shop-55501", "SHOP-55501 ", " Shop-55501"];
    for key in variants {
        app.lookup(json!({"customKey": key}))
            .await
            .assert_problem(404, "ContactNotFound");
    }
    app.customers
        .purge_everything()
        .await
        .expect("there is no shared tier");
    for key in variants {
        app.engage.contact(ALVA.id).also_found_by("externalId", key);
        for kind in ["customKey", "any"] {
            let answer = app.lookup(json!({ kind: key })).await;
            assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id, "{key:?}");
        }
    }
}

#[tokio::test]
async fn any_value_matched_by_engage_as_another_kind_is_accepted() {
    let app = with_alva().await;
    // Bare digits are a custom key to us, but may be a phone number to Engage.
    app.engage
        .contact(ALVA.id)
        .also_found_by("memberNumber", "46701740605");
    let answer = app.lookup(json!({"any": "46701740605"})).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    app.engage
        .contact(DORA.id)
        .also_found_by("memberNumber", "46701740699");
    app.lookup(json!({"any": "46701740699"}))
        .await
        .assert_problem(502, "IdentityMismatch");
}

#[tokio::test]
async fn absent_identifiers_are_no_mismatch() {
    let app = with_alva().await;
    for value in [json!(null), json!(""), json!(" \u{a0}")] {
        for key in [
            "email",
            "mobilePhone",
            "socialSecurityNumber",
            "memberNumber",
        ] {
            app.engage.contact(ALVA.id).attribute(key, value.clone());
        }
        app.engage.contact(ALVA.id).attribute("externalId", value);
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        for lookup in [
            json!({"email": ALVA.email}),
            json!({"mobilePhone": ALVA.phone}),
            json!({"socialSecurityNumber": ALVA.national_id}),
            json!({"customKey": ALVA.member_number}),
            json!({"any": ALVA.phone}),
        ] {
            let answer = app.lookup(lookup).await;
            assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
        }
    }
}

/// An overview of Alva with these attributes and this meta, as JSON text.
fn overview(attributes: &str, meta: &str) -> Fault {
    let id = ALVA.id;
    Fault::Body(format!(
        r#"{{"id":"{id}","attributes":{attributes},{meta}"preferences":{{}},"consents":[],
        "audiences":[],"promotions":[],"rewardVouchers":[],"bonusChecks":[]}}"#
    ))
}

#[tokio::test]
async fn identifying_keys_are_read_in_any_case_and_when_repeated() {
    let app = TestApp::spawn().await;
    let meta = r#""meta":{"contactType":"Member"},"#;
    for (attributes, status) in [
        (r#"{"Email":"alva.testsson@example.com"}"#, 200),
        (r#"{"EMAIL":"other@example.com"}"#, 502),
        (
            r#"{"email":"alva.testsson@example.com","Email":"ALVA.testsson@example.com"}"#,
            200,
        ),
        (r#"{"email":null,"Email":"alva.testsson@example.com"}"#, 200),
        (
            r#"{"email":"alva.testsson@example.com","email":"other@example.com"}"#,
            502,
        ),
        (
            r#"{"email":"alva.testsson@example.com","EMAIL":{"a":1}}"#,
            502,
        ),
        (r#"{"email":"\ud800alva.testsson@example.com"}"#, 502),
        (r#"{"email":"\ud800"}"#, 502),
        (r#"{},"attributes":{"email":"other@example.com"}"#, 502),
        ("{}", 200),
    ] {
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        app.engage
            .fault(Endpoint::Overview, overview(attributes, meta));
        let answer = app.lookup(json!({"email": ALVA.email, "parts": []})).await;
        assert_eq!(answer.status, status, "{attributes}: {}", answer.text());
    }
}

#[tokio::test]
async fn two_different_ids_are_an_invalid_answer() {
    let app = TestApp::spawn().await;
    let query = json!({"email": ALVA.email, "parts": []});
    for (other, is_valid) in [(ALVA.id, true), (DORA.id, false), ("", false)] {
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        let twice = overview("{}", &format!(r#""id":"{other}","#));
        app.engage.fault(Endpoint::Overview, twice);
        let answer = app.lookup(query.clone()).await;
        if is_valid {
            answer.assert_ok();
        } else {
            answer.assert_problem(502, "UpstreamInvalid");
        }
    }
}

#[tokio::test]
async fn unreadable_contact_type_is_404() {
    let app = TestApp::spawn().await;
    let attributes = r#"{"email":"alva.testsson@example.com"}"#;
    for (meta, status) in [
        (r#""meta":{"contactType":"member"},"#, 200),
        (r#""meta":{"contactType":" Member "},"#, 200),
        (r#""Meta":{"ContactType":"Member"},"#, 200),
        (r#""meta":{"contactType":""},"#, 200),
        (r#""meta":{"contactType":null},"#, 200),
        (r#""meta":{},"#, 200),
        (r#""meta":null,"#, 200),
        ("", 200),
        (r#""meta":{"contactType":"Contact"},"#, 404),
        (r#""meta":{"contactType":"Mem ber"},"#, 404),
        (r#""meta":{"contactType":"Ｍember"},"#, 404),
        (r#""meta":{"contactType":"\ud800"},"#, 404),
        (r#""meta":{"contactType":["Member"]},"#, 404),
        (r#""meta":{"contactType":{"id":"Member"}},"#, 404),
        (r#""meta":{"contactType":true},"#, 404),
        (
            r#""meta":{"contactType":"Member","ContactType":"Contact"},"#,
            404,
        ),
        (r#""meta":"Member","#, 404),
        (r#""meta":[],"#, 404),
        (r#""meta":5,"#, 404),
    ] {
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        app.engage
            .fault(Endpoint::Overview, overview(attributes, meta));
        let answer = app.lookup(json!({"email": ALVA.email, "parts": []})).await;
        assert_eq!(answer.status, status, "{meta}: {}", answer.text());
    }
}
