//! Data that is hidden: personal data in logs and errors; in responses, internal keys, the national id unless it is
//! listed, and in the storefront view the whereabouts of contacts with a protected identity.

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM, DORA},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{Answer, READER, SHOP, TILL, TestApp, logs, percent_encoded};

const EMAIL: &str = "quistelina.vallmo@example.org";
const PHONE: &str = "+46701740699";
const NATIONAL_ID: &str = "197708139816";
const MEMBER_NUMBER: &str = "M-7743190";
const NOTE: &str = "owes-us-a-favour";
const DISCOVERY_KEY: &str = "d15c0ve4-5eed";

/// Creates a contact whose every value is unique in the test.
fn create(app: &TestApp) -> String {
    let attributes = json!({
        "email": EMAIL, "mobilePhone": PHONE, "socialSecurityNumber": NATIONAL_ID,
        "memberNumber": MEMBER_NUMBER, "externalId": "X-9912377",
        "firstName": "Quistelina", "lastName": "Vallmoqvist", "birthDay": "1977-08-13",
        "street": "Smultronstigen 77", "careOf": "Ragnhildur", "zipCode": "998 87", "city": "Tystberga",
        "internalNote": NOTE, "discoveryKey": DISCOVERY_KEY,
    });
    app.engage.create(attributes, "Member")
}

/// All values of the contact in any spelling, and secrets: none may appear in logs or errors.
fn secrets(id: &str) -> Vec<String> {
    let plain = [
        EMAIL,
        "quistelina",
        "Vallmoqvist",
        PHONE,
        "0701740699",
        "46701740699",
        "070-174 06 99",
        NATIONAL_ID,
        "7708139816",
        "770813-9816",
        "1977-08-13",
        MEMBER_NUMBER,
        "9912377",
        "Smultronstigen",
        "Ragnhildur",
        "998 87",
        "Tystberga",
        NOTE,
        DISCOVERY_KEY,
        id,
        TILL,
        SHOP,
        READER,
        "test-engage-key",
        "sesame-open",
    ];
    let mut secrets: Vec<String> = plain.iter().map(|text| text.to_lowercase()).collect();
    secrets.extend(
        plain
            .iter()
            .map(|text| percent_encoded(text).to_lowercase()),
    );
    secrets.push(id.replace('-', ""));
    secrets
}

#[track_caller]
fn assert_contains_none(what: &str, text: &str, secrets: &[String]) {
    let text = text.to_lowercase();
    for secret in secrets {
        if let Some(place) = text.find(secret.as_str()) {
            let around = text.get(place.saturating_sub(200)..place + 100);
            panic!("{what} contains {secret}: {around:?}");
        }
    }
}

/// Lookups of the contact by every identifier, by query and by body.
async fn look_up_in_every_way(app: &TestApp, id: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (kind, value) in [
        ("contactId", id),
        ("email", EMAIL),
        ("mobilePhone", PHONE),
        ("mobilePhone", "070-174 06 99"),
        ("socialSecurityNumber", NATIONAL_ID),
        ("socialSecurityNumber", "770813-9816"),
        ("customKey", MEMBER_NUMBER),
        ("any", EMAIL),
        ("any", NATIONAL_ID),
    ] {
        answers.push(app.get(&format!("{kind}={}", percent_encoded(value))).await);
        answers.push(app.lookup(json!({kind: value})).await);
        answers.push(app.lookup(json!({kind: value, "fresh": ["all"]})).await);
        let body = json!({kind: value, "view": "storefront"});
        answers.push(app.lookup_as(SHOP, body).await);
    }
    answers
}

/// Malformed requests with the contact's values in wrong places.
async fn send_malformed(app: &TestApp, id: &str) -> Vec<Answer> {
    let email = percent_encoded(EMAIL);
    let target = format!("/customer?email={email}");
    vec![
        app.get(&format!("{email}=1")).await,
        app.get(&format!("email={email}&view={email}")).await,
        app.get(&format!("email={email}&parts={email}&fresh={email}"))
            .await,
        app.get(&format!("email={email}&contactType={email}")).await,
        app.get(&format!("email={NATIONAL_ID}")).await,
        app.get(&format!("email={email}&email={email}")).await,
        app.get(&format!("contactId={id}x")).await,
        app.get(&format!("mobilePhone={PHONE}")).await,
        app.lookup(json!({EMAIL: NATIONAL_ID})).await,
        app.lookup(json!({"email": {"email": EMAIL}})).await,
        Answer::of(app.post(TILL).body(format!("{{\"email\":\"{EMAIL}\""))).await,
        Answer::of(app.post(TILL).body(EMAIL)).await,
        Answer::of(app.request(&target)).await,
        Answer::of(app.request(&target).header("x-api-key", "sesame-open")).await,
        Answer::of(
            app.request(&target)
                .header("authorization", "Bearer sesame-open"),
        )
        .await,
        Answer::of(app.request(&target).header("x-request-id", EMAIL)).await,
        Answer::of(
            app.request(&format!("/customer/{email}"))
                .header("x-api-key", TILL),
        )
        .await,
        Answer::of(app.request(&format!("/{id}/{NATIONAL_ID}"))).await,
        Answer::of(
            app.customer(TILL, &format!("email={email}&nothing=1"))
                .header("user-agent", EMAIL)
                .header(
                    "referer",
                    format!("https://shop.example.com/?email={EMAIL}"),
                )
                .header("cookie", format!("email={EMAIL}")),
        )
        .await,
    ]
}

/// Sends bytes that are not a request.
async fn send_garbage(app: &TestApp) {
    for request in [
        format!("GET /customer?email={EMAIL} HTTP/9.9\r\n\r\n"),
        format!("{EMAIL}\r\n\r\n"),
        format!("GET /customer HTTP/1.1\r\nHost: a\r\n{EMAIL}\r\n\r\n"),
        format!("{EMAIL} /customer HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!(
            "GET /customer?any={} HTTP/1.1\r\nHost: a\r\n\r\n",
            EMAIL.repeat(2000)
        ),
    ] {
        let mut stream = TcpStream::connect(app.address).await.expect("a connection");
        // The service may close the connection meanwhile.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.contains("quistelina"), "{answer}");
    }
}

#[tokio::test]
async fn logs_and_errors_contain_no_personal_data_under_any_fault() {
    let app = TestApp::with(|config| config.engage.timeout = Duration::from_secs(2)).await;
    let clock = app.run_clock();
    let id = create(&app);
    let secrets = secrets(&id);
    let mut errors = Vec::new();
    let mut collect = |answers: Vec<Answer>| {
        errors.extend(answers.into_iter().filter(|answer| answer.status >= 400));
    };
    collect(look_up_in_every_way(&app, &id).await);
    collect(send_malformed(&app, &id).await);
    send_garbage(&app).await;
    let about = |message: &str| json!({"errorCode": "Odd", "message": message});
    let about_contact = format!("{EMAIL} {NATIONAL_ID} {id}");
    let broken = json!({"id": id, "attributes": EMAIL, "vouchers": NATIONAL_ID}).to_string();
    let broken_parts = json!({
        "id": id, "attributes": {"email": EMAIL, "socialSecurityNumber": NATIONAL_ID}, "meta": {},
        "consents": {EMAIL: EMAIL}, "promotions": [{"name": EMAIL}], "rewardVouchers": [EMAIL],
    });
    for fault in [
        Fault::Status(400, about(&about_contact)),
        Fault::Status(400, json!({"errorCode": EMAIL})),
        Fault::Status(500, json!(about_contact)),
        Fault::Status(404, json!(about_contact)),
        Fault::Status(409, json!({"multipleMatchesFound": [id, EMAIL]})),
        Fault::Status(302, json!(about_contact)),
        Fault::Html502,
        Fault::HtmlOk200,
        Fault::WrongContentType,
        Fault::TruncatedJson,
        Fault::ResetBeforeBody,
        Fault::ResetMidBody,
        Fault::Body(broken),
        Fault::Body(broken_parts.to_string()),
        Fault::WrongContact(BO.id.to_owned()),
        Fault::TooMany {
            retry_after: Some(EMAIL.to_owned()),
        },
    ] {
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        app.engage.fault(Endpoint::All, fault);
        collect(look_up_in_every_way(&app, &id).await);
        app.engage.clear_faults();
        app.advance(Duration::from_secs(120));
    }
    drop(clock);
    app.engage.fault(Endpoint::All, Fault::Hang);
    let pending = app.spawn_get(&format!("email={}", percent_encoded(EMAIL)));
    let overviews = app.overview_calls();
    app.engage
        .wait_for_calls(Endpoint::Overview, overviews.max(1))
        .await;
    while !pending.is_finished() {
        app.advance(Duration::from_millis(500));
        tokio::task::yield_now().await;
    }
    collect(vec![pending.await.expect("an answer")]);
    app.engage.clear_faults();
    app.engage.shutdown().await;
    let clock = app.run_clock();
    collect(look_up_in_every_way(&app, &id).await);

    assert!(errors.len() > 100, "{}", errors.len());
    for error in &errors {
        let text = format!("{} {:?}", error.text(), error.headers);
        assert_contains_none("an error", &text, &secrets);
    }
    drop(clock);
    app.stop().await.expect("a clean end");
    let logs = logs();
    assert!(
        logs.contains("answered") && logs.contains("\"alarm\":true"),
        "{logs}"
    );
    assert_contains_none("the log", &logs, &secrets);
}

#[tokio::test]
async fn national_id_is_shown_only_in_the_full_view_if_listed() {
    let named = |name: &str| vec!["*".to_owned(), name.to_owned()];
    for (full, is_shown) in [
        (vec!["*".to_owned()], false),
        (vec!["shoeSize".to_owned()], false),
        (named("SocialSecurityNumber"), false),
        (named("socialSecurityNumber"), true),
    ] {
        let app = TestApp::with(|config| {
            config.views.full.attributes = full.clone();
            config.views.storefront.attributes = vec!["SocialSecurityNumber".to_owned()];
        })
        .await;
        app.engage
            .contact(ALVA.id)
            .attribute("SocialSecurityNumber", json!(ALVA.national_id));
        let mut lookups = vec![json!({"contactId": ALVA.id})];
        lookups.push(json!({"socialSecurityNumber": ALVA.national_id}));
        lookups.push(json!({"any": ALVA.national_id, "fresh": ["all"]}));
        for mut lookup in lookups {
            let answer = app.lookup(lookup.clone()).await;
            let text = answer.assert_ok().text();
            assert_eq!(text.contains("9805"), is_shown, "{full:?} {text}");
            assert_eq!(text.contains("ocialSecurityNumber"), is_shown, "{text}");
            lookup["view"] = json!("storefront");
            let storefront = app.lookup(lookup).await;
            let text = storefront.assert_ok().text();
            assert!(!text.contains("9805"), "{text}");
            assert!(!text.contains("ocialSecurityNumber"), "{text}");
        }
    }
}

#[tokio::test]
async fn discovery_key_is_never_shown() {
    let app = TestApp::with(|config| {
        let keys = ["discoveryKey", "DiscoveryKey"].map(str::to_owned);
        config.views.full.attributes.extend(keys.clone());
        config.views.storefront.attributes = keys.to_vec();
    })
    .await;
    app.engage
        .contact(ALVA.id)
        .attribute("DiscoveryKey", json!("another-spelling"));
    for view in ["full", "storefront"] {
        for fresh in ["", "&fresh=profile"] {
            let query = format!("contactId={}&view={view}{fresh}", ALVA.id);
            let answer = app.get(&query).await;
            let text = answer.assert_ok().text().to_lowercase();
            assert!(!text.contains("discoverykey"), "{text}");
            assert!(!text.contains("3f5c7a10-aaaa") && !text.contains("another-spelling"));
        }
    }
}

#[tokio::test]
async fn tenant_attribute_is_shown_in_storefront_only_if_listed() {
    let quiz = json!({"nested": [1, "två", null, {"deep": true}], "amount": 10.25});
    for (listed, is_shown) in [(vec![], false), (vec!["loyaltyQuiz".to_owned()], true)] {
        let app = TestApp::with(|config| config.views.storefront.attributes = listed).await;
        app.engage
            .contact(ALVA.id)
            .attribute("loyaltyQuiz", quiz.clone());
        let full = app.get(&format!("contactId={}", ALVA.id)).await;
        assert_eq!(full.at("/profile/attributes/loyaltyQuiz"), quiz);
        assert_eq!(full.at("/profile/attributes/favouriteSports/1"), "yoga");
        assert_eq!(full.at("/profile/attributes/rfm"), 63);
        let storefront = app
            .get(&format!("contactId={}&view=storefront", ALVA.id))
            .await;
        let attributes = storefront.at("/profile/attributes");
        let expected = if is_shown {
            json!({"loyaltyQuiz": quiz})
        } else {
            json!({})
        };
        assert_eq!(attributes, expected);
    }
}

#[tokio::test]
async fn full_view_with_an_attribute_list_shows_only_that_list() {
    let app = TestApp::with(|config| {
        config.views.full.attributes = ["shoeSize", "rfm", "noSuchThing"]
            .map(str::to_owned)
            .to_vec();
    })
    .await;
    let answer = app.get(&format!("contactId={}", ALVA.id)).await;
    let attributes = answer.at("/profile/attributes");
    assert_eq!(attributes, json!({"rfm": 63, "shoeSize": 39}));
}

#[tokio::test]
async fn storefront_hides_the_whereabouts_of_a_protected_identity() {
    let app = TestApp::with(|config| {
        // Whereabouts are hidden even if they are listed.
        let listed = [
            "street",
            "city",
            "country",
            "createdInStore",
            "currentStore",
            "email",
        ];
        config.views.storefront.attributes = listed.map(str::to_owned).to_vec();
    })
    .await;
    let store = json!({"id": "s-1", "name": "Exempelstad City", "externalId": "1001"});
    app.engage
        .contact(CIM.id)
        .attribute("street", json!("Hemliga gatan 5"))
        .attribute("careOf", json!("Skyddaren"))
        .attribute("zipCode", json!("543 21"))
        .attribute("city", json!("Undanskymd"))
        .attribute("country", json!("Sverige"))
        .attribute("createdInStore", store);
    let by_name = format!("email={}", CIM.email);
    for query in [format!("contactId={}", CIM.id), by_name] {
        let answer = app.get(&format!("{query}&view=storefront")).await;
        answer.assert_ok();
        for key in [
            "/profile/address",
            "/profile/mobilePhone",
            "/profile/email",
            "/profile/homeStore",
            "/contactability",
        ] {
            assert_eq!(answer.at(key), Value::Null, "{key}");
        }
        assert_eq!(answer.at("/profile/firstName"), "Cim");
        for secret in [
            "Hemliga",
            "Skyddaren",
            "543 21",
            "Undanskymd",
            "Sverige",
            "Exempelstad",
            CIM.email,
            CIM.phone,
            "bounced",
        ] {
            assert!(
                !answer.text().contains(secret),
                "{secret} in {}",
                answer.text()
            );
        }
    }
    let staff = app.get(&format!("contactId={}", CIM.id)).await;
    assert_eq!(staff.at("/profile/address/street"), "Hemliga gatan 5");
    assert_eq!(staff.at("/profile/email"), CIM.email);
    assert_eq!(staff.at("/contactability/email/status"), "warned");
}

#[tokio::test]
async fn secrecy_mark_takes_effect_with_the_answer_that_contains_it() {
    let app = TestApp::spawn().await;
    let query = format!("contactId={}&view=storefront", DORA.id);
    let before = app.get(&query).await;
    assert_eq!(before.at("/profile/email"), DORA.email);
    app.engage
        .contact(DORA.id)
        .attribute("secrecyMarked", json!("true"));
    app.get(&format!("{query}&fresh=profile")).await.assert_ok();
    let after = app.get(&query).await;
    after.assert_hit();
    assert_eq!(after.at("/profile/email"), Value::Null);
    assert!(!after.text().contains(DORA.phone));
}
