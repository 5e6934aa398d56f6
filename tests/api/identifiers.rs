//! One contact under many identifiers: spellings share an entry, kinds share a record, and Engage gets one canonical
//! form.

use engage_bff::config::NationalIdCountry;
use engage_simulator::{
    CustomKey, Endpoint,
    fixtures::{ALVA, BO, DORA},
};
use serde_json::json;

use crate::harness::{POINTS_CALLS, TestApp, percent_encoded};

/// The first spelling costs calls; every other one is a hit without calls and with the same answer.
async fn assert_one_entry(kind: &str, spellings: &[&str]) {
    let app = TestApp::spawn().await;
    let mut bodies = Vec::new();
    for (index, spelling) in spellings.iter().enumerate() {
        let calls = app.engage.total_calls();
        let answer = app.lookup(json!({ kind: spelling })).await;
        answer.assert_ok();
        assert_eq!(answer.at("/contactId"), ALVA.id, "{spelling:?}");
        if index == 0 {
            answer.assert_cache_status("engage-bff; fwd=miss; stored");
        } else {
            answer.assert_hit();
            assert_eq!(app.engage.total_calls(), calls, "{spelling:?}");
        }
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(app.customers.counts().records, 1);
}

#[tokio::test]
async fn all_spellings_of_a_phone_number_share_one_entry() {
    let spellings = [
        "070-174 06 05",
        "+46701740605",
        "0046701740605",
        "0701740605",
        "+46 (0)70-174 06 05",
        "(+46)\u{a0}70 174 06 05",
        "070/174.06.05",
    ];
    assert_one_entry("mobilePhone", &spellings).await;
}

#[tokio::test]
async fn all_spellings_of_an_email_address_share_one_entry() {
    let spellings = [
        "Alva.Testsson@Example.COM",
        "alva.testsson@example.com",
        "ALVA.TESTSSON@EXAMPLE.COM",
        "  alva.testsson@example.com ",
    ];
    assert_one_entry("email", &spellings).await;
}

#[tokio::test]
async fn all_spellings_of_a_personnummer_share_one_entry() {
    let spellings = [
        "850709-9805",
        "198507099805",
        "19850709-9805",
        "8507099805",
        " 850709-9805 ",
    ];
    assert_one_entry("socialSecurityNumber", &spellings).await;
    assert_one_entry("any", &spellings).await;
}

#[tokio::test]
async fn all_spellings_of_a_guid_share_one_entry() {
    let upper = ALVA.id.to_uppercase();
    let mut mixed = ALVA.id.to_owned();
    mixed.replace_range(..1, &ALVA.id[..1].to_uppercase());
    mixed.replace_range(2..4, &ALVA.id[2..4].to_uppercase());
    assert_one_entry("contactId", &[&upper, ALVA.id, &mixed]).await;
}

#[tokio::test]
async fn all_spellings_of_one_any_value_share_one_entry() {
    assert_one_entry("any", &["070-174 06 05", "+46701740605", "0701740605"]).await;
    assert_one_entry("any", &["ALVA.testsson@example.com", ALVA.email]).await;
}

#[tokio::test]
async fn case_of_the_contact_type_makes_no_separate_entry() {
    let app = TestApp::spawn().await;
    let query = |contact_type: &str| format!("email={}&contactType={contact_type}", ALVA.email);
    app.get(&query("member")).await.assert_ok();
    let calls = app.engage.total_calls();
    for contact_type in ["Member", "MEMBER", "mEmBeR"] {
        app.get(&query(contact_type)).await.assert_ok().assert_hit();
    }
    // The default contact type is Member.
    app.get(&format!("email={}", ALVA.email)).await.assert_hit();
    assert_eq!(app.engage.total_calls(), calls);
    assert_eq!(app.engage.log()[0].parameter("contactType"), Some("member"));
}

#[tokio::test]
async fn six_identifiers_of_one_contact_share_one_record() {
    let app = TestApp::spawn().await;
    let lookups = [
        json!({"contactId": ALVA.id}),
        json!({"email": ALVA.email}),
        json!({"mobilePhone": ALVA.phone}),
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"customKey": ALVA.member_number}),
        json!({"any": ALVA.email}),
    ];
    for lookup in &lookups {
        let answer = app.lookup(lookup.clone()).await;
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id, "{lookup}");
    }
    assert_eq!(app.customers.counts().records, 1);
    // A contact id is not an alias; the other five identifiers are.
    assert_eq!(app.customers.counts().aliases, 5);
    assert_eq!(app.engage.calls(Endpoint::PointAccounts), POINTS_CALLS);
    let calls = app.engage.total_calls();
    for lookup in lookups {
        app.lookup(lookup).await.assert_ok().assert_hit();
    }
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn same_value_as_another_kind_costs_its_own_lookup() {
    let app = TestApp::spawn().await;
    app.get(&format!("email={}", ALVA.email)).await.assert_ok();
    app.get(&format!("any={}", ALVA.email)).await.assert_ok();
    assert_eq!(app.overview_calls(), 2);
    app.get(&format!("any={}", ALVA.member_number))
        .await
        .assert_ok();
    app.get(&format!("customKey={}", ALVA.member_number))
        .await
        .assert_ok();
    assert_eq!(app.overview_calls(), 4);
    assert_eq!(app.customers.counts().records, 1);
}

#[tokio::test]
async fn custom_key_is_sent_unchanged() {
    let app = TestApp::spawn().await;
    app.engage.custom_key(CustomKey::ExternalId);
    let key = ALVA.external_id;
    let answer = app.lookup(json!({"customKey": key})).await;
    assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    for other in [key.to_lowercase(), format!(" {key}"), format!("{key} ")] {
        app.lookup(json!({"customKey": other}))
            .await
            .assert_problem(404, "ContactNotFound");
        let log = app.engage.log();
        let call = log.last().expect("a call");
        assert_eq!(call.parameter("customKey"), Some(other.as_str()));
    }
}

#[tokio::test]
async fn upstream_call_has_canonical_identifier_contact_type_and_headers() {
    for (kind, value, sent) in [
        ("email", " Alva.Testsson@EXAMPLE.com", ALVA.email),
        ("mobilePhone", "070-174 06 05", ALVA.phone),
        ("socialSecurityNumber", "850709-9805", ALVA.national_id),
        ("customKey", "100001", ALVA.member_number),
        ("any", "0701740605", ALVA.phone),
    ] {
        let app = TestApp::spawn().await;
        app.lookup(json!({kind: value, "parts": []}))
            .await
            .assert_ok();
        let log = app.engage.log();
        assert_eq!(log.len(), 1, "{kind}");
        assert!(log[0].path.ends_with("/contactoverview"));
        let query = [(kind, sent), ("contactType", "Member")];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(log[0].query, query);
        let headers = log[0].headers;
        assert!(headers.api_key && headers.user_agent && headers.content_type && headers.accept);
    }
}

#[tokio::test]
async fn default_contact_type_is_not_applied_to_a_contact_id() {
    let app = TestApp::spawn().await;
    let bo = app.get(&format!("contactId={}", BO.id)).await;
    assert_eq!(bo.assert_ok().at("/contactType"), "Contact");
    assert_eq!(app.engage.log()[0].parameter("contactType"), None);
    let typed = format!("contactId={}&contactType=Contact", BO.id);
    app.get(&typed).await.assert_ok();
    app.get(&format!("contactId={}&contactType=Member", BO.id))
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn identifier_is_found_under_its_contact_type_only() {
    let app = TestApp::spawn().await;
    let query = |contact_type: &str| format!("email={}&contactType={contact_type}", BO.email);
    app.get(&query("Contact")).await.assert_ok();
    app.get(&query("Member"))
        .await
        .assert_problem(404, "ContactNotFound");
    app.get(&query("Contact")).await.assert_ok().assert_hit();
}

#[tokio::test]
async fn ten_digits_starting_with_07_in_any_are_a_phone_number() {
    let app = TestApp::spawn().await;
    // Also the personnummer of a person born on 1 January 2007.
    app.get("any=0701010001")
        .await
        .assert_problem(404, "ContactNotFound");
    assert_eq!(
        app.engage.log()[0].parameter("any"),
        Some("+46701010001"),
        "Engage would read the bare digits as a national id first"
    );
}

#[tokio::test]
async fn wrong_check_digit_is_left_to_engage_if_not_checked() {
    let wrong = json!({"socialSecurityNumber": "198507099806"});
    let app = TestApp::spawn().await;
    app.lookup(wrong.clone())
        .await
        .assert_problem(400, "InvalidSocialSecurityNumber");
    assert_eq!(app.engage.total_calls(), 0);
    let lenient = TestApp::with(|config| config.identifiers.check_digits = false).await;
    lenient
        .lookup(wrong)
        .await
        .assert_problem(400, "InvalidSocialSecurityNumber");
    assert_eq!(lenient.engage.total_calls(), 1);
}

#[tokio::test]
async fn national_phone_numbers_use_the_configured_region() {
    let app = TestApp::with(|config| config.identifiers.phone_region = "FI".to_owned()).await;
    app.engage
        .contact(DORA.id)
        .attribute("mobilePhone", json!("+358401234567"));
    let answer = app
        .get(&format!("mobilePhone={}", percent_encoded("040 1234567")))
        .await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
}

#[tokio::test]
async fn finnish_identity_code_keeps_its_century_sign() {
    let app = TestApp::spawn().await;
    let attributes = json!({"socialSecurityNumber": "150390Y901C", "email": "f@example.com"});
    let id = app.engage.create(attributes, "Member");
    let lower = app
        .lookup(json!({"socialSecurityNumber": "150390y901c"}))
        .await;
    assert_eq!(lower.assert_ok().at("/contactId"), id);
    app.lookup(json!({"socialSecurityNumber": "150390-901C"}))
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn finnish_code_is_read_as_swedish_only_if_configured() {
    let (finnish, swedish) = ("010672-9346", "200106729346");
    for (country, sent) in [
        (None, finnish),
        (Some("FI"), finnish),
        (Some("SE"), swedish),
    ] {
        let app = TestApp::with(|config| {
            config.identifiers.national_id_country = country.map(|country| match country {
                "FI" => NationalIdCountry::Fi,
                _ => NationalIdCountry::Se,
            });
        })
        .await;
        let create = |id: &str| {
            app.engage
                .create(json!({"socialSecurityNumber": id}), "Member")
        };
        let (finnish_id, swedish_id) = (create(finnish), create(swedish));
        for kind in ["socialSecurityNumber", "any"] {
            let answer = app.lookup(json!({ kind: finnish })).await;
            let expected = if sent == finnish {
                &finnish_id
            } else {
                &swedish_id
            };
            assert_eq!(
                answer.assert_ok().at("/contactId"),
                *expected,
                "{country:?}"
            );
            let log = app.engage.log();
            let call = log.iter().rfind(|call| call.parameter(kind).is_some());
            assert_eq!(call.and_then(|call| call.parameter(kind)), Some(sent));
            let answer = app.lookup(json!({ kind: swedish })).await;
            assert_eq!(answer.assert_ok().at("/contactId"), swedish_id);
        }
    }
}

#[tokio::test]
async fn national_number_may_start_with_its_calling_code() {
    let app = TestApp::with(|config| config.identifiers.phone_region = "NO".to_owned()).await;
    app.engage
        .contact(ALVA.id)
        .attribute("mobilePhone", json!("+4747000000"));
    for spelling in [
        "47 00 00 00",
        "4747000000",
        "+47 47 00 00 00",
        "tel:+47-47000000",
    ] {
        let answer = app.lookup(json!({"mobilePhone": spelling})).await;
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id, "{spelling:?}");
    }
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn number_unknown_to_the_numbering_plan_is_sent_to_engage() {
    let app = TestApp::with(|config| config.identifiers.phone_region = "NO".to_owned()).await;
    app.lookup(json!({"mobilePhone": "11 00 00 00"}))
        .await
        .assert_problem(404, "ContactNotFound");
    let log = app.engage.log();
    assert_eq!(log[0].parameter("mobilePhone"), Some("+4711000000"));
}

#[tokio::test]
async fn pasted_phone_numbers_share_one_entry() {
    let spellings = [
        "\t070-174 06 05\r\n",
        "\u{202d}+46 70-174 06 05\u{202c}",
        "\u{200e}070-174 06 05\u{200f}",
        "070\u{2011}174\u{2012}06\u{2013}05",
        "070\u{2212}174 06 05",
        "tel:+46-70-174-06-05",
        "TEL:0701740605",
    ];
    assert_one_entry("mobilePhone", &spellings).await;
    assert_one_entry("any", &spellings).await;
}

#[tokio::test]
async fn phone_number_that_starts_with_a_minus_is_refused() {
    let app = TestApp::spawn().await;
    for text in [
        "-46701740605",
        "\u{2212}46701740605",
        "\u{2011} 0701740605",
        "tel:-46701740605",
    ] {
        app.lookup(json!({"mobilePhone": text}))
            .await
            .assert_problem(400, "InvalidPhoneNumber");
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn refused_email_hints_at_punycode_for_its_domain_only() {
    let app = TestApp::spawn().await;
    for (email, hints) in [("anna@räksmörgås.se", true), ("andré@example.com", false)] {
        for kind in ["email", "any"] {
            let answer = app.lookup(json!({ kind: email })).await;
            answer.assert_problem(400, "InvalidEmailAddress");
            assert_eq!(answer.text().contains("xn--"), hints, "{email}");
        }
    }
}
