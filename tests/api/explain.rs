//! Explanations and statistics for operators: parts, ages, aliases and fences of a contact, and counts; never a
//! personal value.

use std::time::Duration;

use engage_bff::domain::Part;
use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALL_CONTACTS, ALVA, BO},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    audit::{digest, spawn},
    harness::{Answer, OVERVIEW_HAS_POINTS, SHOP, TestApp, id, let_requests_arrive},
    operators::operate,
    sensitive::assert_no_sensitive_data,
};

/// Explains an identifier and asserts that the answer contains no sensitive data.
async fn explain(app: &TestApp, identifier: Value) -> Answer {
    let body = identifier.to_string();
    let answer = operate(app, Method::POST, "/cache/explain", &body).await;
    answer.assert_ok();
    assert_no_sensitive_data("an explanation", answer.text());
    answer
}

async fn stats(app: &TestApp) -> Answer {
    let answer = app.operations("/cache/stats").await;
    answer.assert_ok();
    answer
}

/// The number of elements in a list.
#[track_caller]
fn count(answer: &Answer, list: &str) -> usize {
    answer.at(list).as_array().expect("a list").len()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Allows for jitter: lifetimes are shortened at random by up to a tenth.
#[track_caller]
fn assert_ttl(answer: &Value, lifetime: i64, age: i64) {
    let ttl = answer["ttlSeconds"].as_i64().expect("seconds");
    let expected = lifetime * 9 / 10 - age - 1..=lifetime - age;
    assert!(expected.contains(&ttl), "{ttl} not in {expected:?}");
    assert_eq!(
        answer["ageSeconds"],
        json!(f64::from(u16::try_from(age).expect("small")))
    );
}

#[tokio::test]
async fn explanation_lists_source_age_aliases_and_fences_of_a_contact() {
    let app = spawn().await;
    let by_email = format!("email={}", ALVA.email);
    app.get(&by_email).await.assert_ok();
    app.advance(seconds(3));
    let fresh = format!(
        "mobilePhone={}&fresh=points",
        ALVA.phone.replace('+', "%2B")
    );
    app.get_as(SHOP, &fresh).await.assert_ok();
    app.get(&by_email).await.assert_hit();
    app.advance(seconds(4));
    let answer = explain(&app, json!({"email": ALVA.email})).await;
    assert_eq!(answer.at("/enabled"), true);
    assert_eq!(answer.at("/negative"), Value::Null);
    assert_eq!(answer.at("/name/contact"), digest(ALVA.id));
    assert_eq!(count(&answer, "/contacts"), 1);
    assert_eq!(answer.at("/contacts/0/contact"), digest(ALVA.id));
    // One response for the full view, and one for the storefront view.
    assert_eq!(answer.at("/contacts/0/rendered"), 2);
    for part in ["audiences", "promotions", "vouchers"] {
        let part = answer.at(&format!("/contacts/0/parts/{part}"));
        assert_eq!(part["source"], "overview");
        assert_eq!(part["freshness"], "fresh");
    }
    let points = answer.at("/contacts/0/parts/points");
    assert_eq!(points["source"], "entity");
    assert_eq!(points["asOf"], "2026-11-23T12:00:03.000Z");
    assert_ttl(&points, 30, 4);
    assert_ttl(&answer.at("/contacts/0/parts/audiences"), 3600, 4);
    // Where the overview never contains points, it has no copy to keep out.
    let fences = if OVERVIEW_HAS_POINTS {
        json!([{"part": "points", "raised": false, "entityOnlySeconds": 596.0}])
    } else {
        json!([])
    };
    assert_eq!(answer.at("/contacts/0/fences"), fences);
    for (index, (kind, age)) in [("email", 7), ("mobilePhone", 4)].into_iter().enumerate() {
        let name = answer.at(&format!("/contacts/0/names/{index}"));
        assert_eq!(name["kind"], kind);
        assert_eq!(name["contactType"], "member");
        assert_eq!(name["assured"], true);
        assert_eq!(name["source"], "overview");
        assert_ttl(&name, 60, age);
    }
    assert_eq!(count(&answer, "/contacts/0/names"), 2);
    let mut name = answer.at("/contacts/0/names/0");
    name["contact"] = json!(digest(ALVA.id));
    assert_eq!(answer.at("/name"), name);
}

#[tokio::test]
async fn explanation_finds_a_contact_by_any_of_its_identifiers() {
    let app = spawn().await;
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    app.get(&format!("contactId={}", BO.id)).await.assert_ok();
    for identifier in [
        json!({"contactId": ALVA.id}),
        json!({"email": ALVA.email, "contactType": "Member"}),
        json!({"mobilePhone": "070-174 06 05"}),
        json!({"socialSecurityNumber": ALVA.national_id}),
        json!({"customKey": ALVA.member_number}),
        json!({"any": ALVA.email}),
    ] {
        let answer = explain(&app, identifier.clone()).await;
        assert_eq!(answer.at("/name"), Value::Null, "{identifier}");
        assert_eq!(answer.at("/contacts/0/contact"), digest(ALVA.id));
        assert_eq!(answer.at("/contacts/0/parts/profile/freshness"), "fresh");
        assert_eq!(answer.at("/contacts/0/names"), json!([]));
        assert_eq!(count(&answer, "/contacts"), 1, "{identifier}");
    }
    let answer = explain(&app, json!({"email": "unknown@example.com"})).await;
    let nothing = json!({"enabled": true, "name": null, "negative": null, "contacts": [], "failures": [], "sharedTier": null});
    assert_eq!(answer.at(""), nothing);
    assert_eq!(app.overview_calls(), 2);
}

#[tokio::test]
async fn freshness_names_follow_the_lifetime_and_stale_windows() {
    let app = spawn().await;
    app.get(&format!("contactId={}&parts=none", ALVA.id))
        .await
        .assert_ok();
    let mut age = 0;
    for (at, expected) in [
        (53, "fresh"),
        (61, "stale"),
        (91, "expired"),
        (3661, "dead"),
    ] {
        app.advance(seconds(at - age));
        age = at;
        let answer = explain(&app, json!({"contactId": ALVA.id})).await;
        assert_eq!(answer.at("/contacts/0/parts/profile/freshness"), expected);
    }
}

#[tokio::test]
async fn fences_are_listed_after_invalidation_and_purge_until_they_expire() {
    let app = spawn().await;
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
    app.advance(seconds(100));
    let answer = explain(&app, json!({"contactId": ALVA.id})).await;
    let fence =
        |part: &str, left: f64| json!({"part": part, "raised": true, "entityOnlySeconds": left});
    let fences = answer
        .at("/contacts/0/fences")
        .as_array()
        .expect("a list")
        .clone();
    assert!(fences.contains(&fence("vouchers", 500.0)), "{fences:?}");
    assert_eq!(answer.at("/contacts/0/parts/vouchers"), Value::Null);
    assert_eq!(answer.at("/contacts/0/parts/promotions/source"), "overview");
    app.customers
        .purge(id(ALVA.id))
        .await
        .expect("there is no shared tier");
    let answer = explain(&app, json!({"contactId": ALVA.id})).await;
    let mut audiences = fence("audiences", 0.0);
    audiences["entityOnlySeconds"] = Value::Null;
    let mut expected = vec![fence("profile", 600.0), audiences];
    expected.extend(["promotions", "vouchers", "points"].map(|part| fence(part, 600.0)));
    assert_eq!(answer.at("/contacts/0/fences"), json!(expected));
    let none = json!({"profile": null, "audiences": null, "promotions": null, "vouchers": null, "points": null});
    assert_eq!(answer.at("/contacts/0/parts"), none);
    app.advance(seconds(3600));
    let answer = explain(&app, json!({"contactId": ALVA.id})).await;
    assert_eq!(answer.at("/contacts/0/fences"), json!([]));
}

#[tokio::test]
async fn cached_negative_is_explained_with_its_age() {
    let app = spawn().await;
    app.get("email=unknown@example.com")
        .await
        .assert_problem(404, "ContactNotFound");
    app.advance(seconds(10));
    let answer = explain(&app, json!({"email": "unknown@example.com"})).await;
    let negative = json!({"code": "ContactNotFound", "ageSeconds": 10.0, "ttlSeconds": 20.0});
    assert_eq!(answer.at("/negative"), negative);
    app.advance(seconds(20));
    let answer = explain(&app, json!({"email": "unknown@example.com"})).await;
    assert_eq!(answer.at("/negative"), Value::Null);
}

#[tokio::test]
async fn explanations_and_statistics_contain_no_personal_value() {
    let app = spawn().await;
    let kinds = |person: &engage_simulator::fixtures::FixtureContact| {
        [
            ("contactId", person.id),
            ("email", person.email),
            ("mobilePhone", person.phone),
            ("socialSecurityNumber", person.national_id),
            ("customKey", person.member_number),
        ]
    };
    let mut explained = 0;
    for _ in 0..2 {
        for person in ALL_CONTACTS {
            for (kind, value) in kinds(&person) {
                if value.is_empty() {
                    continue;
                }
                let contact_type = person.contact_type;
                let identifier = json!({kind: value, "contactType": contact_type});
                let answer = explain(&app, identifier.clone()).await;
                for word in ["Alva", "Testgatan", "VIP", "Exempel", "@"] {
                    assert!(!answer.text().contains(word), "{}", answer.text());
                }
                app.lookup(identifier).await;
                explained += 1;
            }
        }
    }
    assert!(explained > 20, "{explained}");
    assert_no_sensitive_data("the statistics", stats(&app).await.text());
}

#[tokio::test]
async fn explain_without_exactly_one_identifier_is_refused() {
    let app = spawn().await;
    for (body, code) in [
        ("", "InvalidParameter"),
        ("{}", "MissingIdentifier"),
        ("{\"all\": true}", "InvalidParameter"),
        (
            "{\"email\": \"a@example.com\", \"customKey\": \"1\"}",
            "AmbiguousIdentifier",
        ),
        ("{\"email\": \"nonsense\"}", "InvalidEmailAddress"),
        (
            "{\"email\": \"a@example.com\", \"fresh\": [\"all\"]}",
            "InvalidParameter",
        ),
    ] {
        let answer = operate(&app, Method::POST, "/cache/explain", body).await;
        answer.assert_problem(400, code);
    }
    let answer = operate(&app, Method::GET, "/cache/explain", "").await;
    answer.assert_problem(405, "MethodNotAllowed");
}

#[tokio::test]
async fn statistics_count_records_aliases_fences_and_flights() {
    let app = TestApp::with(|config| {
        config.cache.max_size = "64MiB".parse().expect("a size");
    })
    .await;
    let empty = stats(&app).await;
    let nothing = json!({
        "enabled": true, "maxBytes": 64 << 20, "records": 0, "recordBytes": 0, "names": 0, "negatives": 0,
        "failures": 0, "histories": 0, "historyBytes": 0, "fences": {"contacts": 0, "names": 0},
        "flights": {"overviews": 0, "resolutions": 0, "parts": 0, "histories": 0},
    });
    assert_eq!(empty.at(""), nothing);
    app.get(&format!("email={}", ALVA.email)).await.assert_ok();
    app.get("email=unknown@example.com").await;
    let filled = stats(&app).await;
    let counts = ["records", "names", "negatives"].map(|name| filled.at(&format!("/{name}")));
    assert_eq!(counts, [json!(1), json!(1), json!(1)]);
    assert!(filled.at("/recordBytes").as_u64() > Some(1000));
    assert_eq!(filled.at("/fences"), empty.at("/fences"));
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
    let hold = app.engage.hold(Endpoint::All);
    let waiting = app.spawn_get(&format!("email={}", ALVA.email));
    app.engage.wait_for_calls(Endpoint::Vouchers, 1).await;
    let other = app.spawn_get(&format!("contactId={}&parts=none", BO.id));
    app.engage.wait_for_calls(Endpoint::Overview, 3).await;
    let_requests_arrive().await;
    let busy = stats(&app).await;
    assert_eq!(busy.at("/fences/contacts"), 1);
    let flights = json!({"overviews": 1, "resolutions": 0, "parts": 1, "histories": 0});
    assert_eq!(busy.at("/flights"), flights);
    hold.release();
    waiting.await.expect("an answer").assert_ok();
    other.await.expect("an answer").assert_ok();
    assert_eq!(stats(&app).await.at("/flights"), empty.at("/flights"));
    operate(&app, Method::PUT, "/cache/enabled", "false").await;
    let off = stats(&app).await;
    assert_eq!(off.at("/enabled"), false);
    assert_eq!(off.at("/records"), 0);
}

#[tokio::test]
async fn calls_in_back_off_are_listed_with_their_error_code() {
    let app = spawn().await;
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    app.customers
        .invalidate(id(ALVA.id), Part::Vouchers.into())
        .await
        .expect("there is no shared tier");
    let failing = || Fault::Status(500, json!("no"));
    app.engage.fault(Endpoint::Vouchers, failing());
    app.get(&format!("contactId={}", ALVA.id)).await.assert_ok();
    app.engage.fault(Endpoint::Overview, failing());
    app.get(&format!("email={}", BO.email)).await;
    app.advance(seconds(10));
    let of_a_contact = explain(&app, json!({"contactId": ALVA.id})).await;
    assert_eq!(
        of_a_contact.at("/failures"),
        json!([{
            "call": "vouchers", "contact": digest(ALVA.id), "code": "UpstreamFailed",
            "retrySeconds": 20.0,
        }])
    );
    let by_identifier = explain(&app, json!({"email": BO.email})).await;
    assert_eq!(by_identifier.at("/failures/0/call"), "overview");
    assert_eq!(by_identifier.at("/failures/0/contact"), Value::Null);
    assert_eq!(stats(&app).await.at("/failures"), 2);
}
