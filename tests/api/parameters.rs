//! Strict parameters: an unknown, repeated, empty, overlong or malformed one is a 400 that names the parameter, repeats
//! none of the input and costs no upstream call.

use engage_simulator::fixtures::ALVA;
use serde_json::{Value, json};

use crate::harness::{Answer, READER, TILL, TestApp, percent_encoded};

/// Part of the input that must not be reflected.
const INPUT: &str = "reflected-input";

impl Answer {
    /// Asserts a 400 whose detail starts with the parameter's name and which reflects none of the input.
    #[track_caller]
    fn assert_names(&self, parameter: &str) -> &Self {
        self.assert_problem(400, "InvalidParameter");
        let detail = self.at("/detail");
        let detail = detail.as_str().expect("text");
        assert!(detail.starts_with(&format!("{parameter}: ")), "{detail}");
        self.assert_no_input_reflected()
    }

    #[track_caller]
    fn assert_no_input_reflected(&self) -> &Self {
        // The request id is random and may contain any four digits.
        let request_id = self.header("x-request-id");
        let text = format!("{}{:?}", self.text(), self.headers).replace(request_id, "");
        let text = text.to_lowercase();
        for input in [INPUT, "alva", "1985", "0701740", "%zz", "%c0", "%ff"] {
            assert!(!text.contains(input), "{input} in {text}");
        }
        self
    }
}

#[tokio::test]
async fn invalid_query_parameter_is_400_naming_it() {
    let app = TestApp::spawn().await;
    let email = format!("email={}", ALVA.email);
    let too_long = INPUT.repeat(100);
    for (query, parameter) in [
        (format!("{email}&{INPUT}=1"), INPUT.to_owned()),
        (format!("{email}&bogus={INPUT}"), "bogus".to_owned()),
        (format!("{email}&Email={INPUT}"), "Email".to_owned()),
        (format!("{email}&contacttype=x"), "contacttype".to_owned()),
        (format!("{email}&{email}"), "email".to_owned()),
        (format!("%65mail={INPUT}&{email}"), "email".to_owned()),
        (format!("{email}&view=full&view=full"), "view".to_owned()),
        ("email=".to_owned(), "email".to_owned()),
        ("email".to_owned(), "email".to_owned()),
        (format!("{email}&contactType="), "contactType".to_owned()),
        (format!("{email}&view="), "view".to_owned()),
        (format!("{email}&parts="), "parts".to_owned()),
        (format!("{email}&fresh="), "fresh".to_owned()),
        (format!("{email}&channel="), "channel".to_owned()),
        (
            format!("{email}&expiringWithin="),
            "expiringWithin".to_owned(),
        ),
        (format!("email={too_long}"), "email".to_owned()),
        (format!("customKey={too_long}"), "customKey".to_owned()),
        (format!("{email}&view={too_long}"), "view".to_owned()),
        (format!("email={INPUT}%"), "email".to_owned()),
        (format!("email={INPUT}%4"), "email".to_owned()),
        (format!("email=%zz{INPUT}"), "email".to_owned()),
        (format!("customKey={INPUT}%ff"), "customKey".to_owned()),
        (format!("customKey=%C3%28{INPUT}"), "customKey".to_owned()),
        (format!("customKey=%C0%AF{INPUT}"), "customKey".to_owned()),
        (
            format!("email={}", ALVA.email.replace('.', "+")),
            "email".to_owned(),
        ),
        (
            "mobilePhone=+46701740605".to_owned(),
            "mobilePhone".to_owned(),
        ),
    ] {
        let answer = app.get(&query).await;
        if parameter == INPUT {
            // The parameter's name is an ordinary word, so the detail contains it.
            answer.assert_problem(400, "InvalidParameter");
            let detail = format!("{INPUT}: unknown parameter");
            assert_eq!(answer.at("/detail"), detail, "{query}");
        } else {
            answer.assert_names(&parameter);
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn invalid_body_field_is_400_naming_it() {
    let app = TestApp::spawn().await;
    let email = ALVA.email;
    for (body, parameter) in [
        (json!({"email": email, "bogus": INPUT}), "bogus"),
        (json!({"email": email, "bogus": {INPUT: [INPUT]}}), "bogus"),
        (json!({"email": ""}), "email"),
        (json!({"email": null}), "email"),
        (json!({"email": 19_850_709}), "email"),
        (json!({"email": 1.5e300}), "email"),
        (json!({"email": true}), "email"),
        (json!({"email": [email]}), "email"),
        (json!({"email": {"email": email}}), "email"),
        (json!({"email": INPUT.repeat(100)}), "email"),
        (json!({"email": email, "contactType": ""}), "contactType"),
        (json!({"email": email, "contactType": 1}), "contactType"),
        (json!({"email": email, "view": INPUT}), "view"),
        (json!({"email": email, "channel": null}), "channel"),
        (
            json!({"email": email, "expiringWithin": 14}),
            "expiringWithin",
        ),
        (json!({"email": email, "parts": "points"}), "parts"),
        (json!({"email": email, "parts": "none"}), "parts"),
        (json!({"email": email, "parts": ["none"]}), "parts"),
        (json!({"email": email, "parts": [INPUT]}), "parts"),
        (json!({"email": email, "parts": ["points", 1]}), "parts"),
        (json!({"email": email, "parts": [["points"]]}), "parts"),
        (json!({"email": email, "parts": {"points": true}}), "parts"),
        (json!({"email": email, "parts": null}), "parts"),
        (json!({"email": email, "fresh": "all"}), "fresh"),
        (json!({"email": email, "fresh": "points"}), "fresh"),
        (json!({"email": email, "fresh": ["all", "points"]}), "fresh"),
        (json!({"email": email, "fresh": [INPUT]}), "fresh"),
    ] {
        let answer = app.lookup(body.clone()).await;
        assert_eq!(answer.status, 400, "{body}");
        answer.assert_names(parameter);
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn first_of_several_mistakes_is_named() {
    let app = TestApp::spawn().await;
    let e = format!("email={}", ALVA.email);
    for (query, parameter) in [
        (format!("bogus=1&{e}&{e}"), "bogus"),
        (format!("{e}&{e}&bogus=1"), "email"),
        (format!("{e}&one=1&two=2"), "one"),
        (format!("{e}&one=1&one=2"), "one"),
    ] {
        app.get(&query).await.assert_names(parameter);
    }
    let body = format!(
        "{{\"bogus\":1,\"email\":\"{0}\",\"email\":\"{0}\"}}",
        ALVA.email
    );
    let answer = Answer::of(app.post(TILL).body(body)).await;
    answer.assert_names("bogus");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn unusual_parameter_name_is_not_reflected() {
    let app = TestApp::spawn().await;
    for name in [
        "alva.testsson%40example.com".to_owned(),
        "070-174%2006%2005".to_owned(),
        "%3Cscript%3E".to_owned(),
        "n%C3%A4mn".to_owned(),
        "a".repeat(33),
        String::new(),
        "%ff".to_owned(),
        "%".to_owned(),
    ] {
        let answer = app.get(&format!("email=b%40example.com&{name}=1")).await;
        answer.assert_names("a parameter");
    }
    let body = json!({"email": "b@example.com", ALVA.email: 1});
    app.lookup(body).await.assert_names("a parameter");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn body_that_is_no_json_object_or_repeats_a_name_is_400() {
    let app = TestApp::spawn().await;
    let nested = "[".repeat(5000);
    let object = format!("{{\"email\":\"{}\"}}", ALVA.email);
    for body in [
        String::new(),
        "null".to_owned(),
        format!("\"{INPUT}\""),
        format!("[\"email\",\"{INPUT}\"]"),
        format!("{{\"email\":\"{INPUT}\""),
        format!("{object}{object}"),
        format!("{object} {INPUT}"),
        format!("\u{feff}\u{feff}{object}"),
        format!("{{'email':'{INPUT}'}}"),
        format!("email={INPUT}"),
        "{\"email\":\"\\ud800\"}".to_owned(),
        "{\"email\":1e99999}".to_owned(),
        format!("{{\"email\":{nested}"),
    ] {
        let answer = Answer::of(app.post(TILL).body(body)).await;
        answer
            .assert_problem(400, "InvalidParameter")
            .assert_no_input_reflected();
    }
    let twice = format!("{{\"email\":\"{INPUT}\",\"email\":\"{}\"}}", ALVA.email);
    let answer = Answer::of(app.post(TILL).body(twice)).await;
    answer.assert_names("email");
    let not_utf8 = Answer::of(app.post(TILL).body(b"{\"email\":\"\xff\"}".to_vec())).await;
    not_utf8.assert_problem(400, "InvalidParameter");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn unescaped_plus_is_400_with_a_hint_at_its_escape() {
    let app = TestApp::spawn().await;
    for query in [
        "email=alva+shop@example.com",
        "mobilePhone=+46701740605",
        "email=a%40example.com&parts=points+vouchers",
        "a+b=1",
    ] {
        let answer = app.get(query).await;
        answer.assert_problem(400, "InvalidParameter");
        assert!(answer.text().contains("%2B"), "{}", answer.text());
    }
    assert_eq!(app.engage.total_calls(), 0);
    app.get("mobilePhone=%2B46701740605").await.assert_ok();
    app.lookup(json!({"mobilePhone": "+46701740605"}))
        .await
        .assert_hit();
}

#[tokio::test]
async fn non_ascii_email_is_refused_with_a_hint() {
    let app = TestApp::spawn().await;
    for address in [
        "älva@example.com",
        "alva@exämpel.example",
        "\u{212a}im@example.com",
    ] {
        for kind in ["email", "any"] {
            let answers = [
                app.get(&format!("{kind}={}", percent_encoded(address)))
                    .await,
                app.lookup(json!({kind: address})).await,
            ];
            for answer in answers {
                answer
                    .assert_problem(400, "InvalidEmailAddress")
                    .assert_no_input_reflected();
                assert!(answer.text().contains("ASCII"), "{}", answer.text());
            }
        }
    }
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn parts_and_fresh_accept_only_their_documented_values() {
    let app = TestApp::spawn().await;
    let id = ALVA.id;
    for (wrong, parameter) in [
        ("parts=all", "parts"),
        ("parts=profile", "parts"),
        ("parts=audiences", "parts"),
        ("parts=Points", "parts"),
        ("parts=points,", "parts"),
        ("parts=points,none", "parts"),
        ("parts=points,%20vouchers", "parts"),
        ("parts=points;vouchers", "parts"),
        ("fresh=audiences", "fresh"),
        ("fresh=none", "fresh"),
        ("fresh=All", "fresh"),
        ("fresh=points,all", "fresh"),
        ("parts=none&fresh=points", "fresh"),
        ("parts=vouchers&fresh=vouchers,points", "fresh"),
        ("fresh=points&parts=vouchers", "fresh"),
    ] {
        app.get(&format!("contactId={id}&{wrong}"))
            .await
            .assert_names(parameter);
    }
    let body = json!({"contactId": id, "parts": [], "fresh": ["points"]});
    app.lookup(body).await.assert_names("fresh");
    assert_eq!(app.engage.total_calls(), 0);
    let parts = ["points", "promotions", "vouchers"];
    for (query, body, present) in [
        ("parts=none", json!([]), [false, false, false]),
        ("parts=points", json!(["points"]), [true, false, false]),
        (
            "parts=vouchers,promotions",
            json!(["vouchers", "promotions"]),
            [false, true, true],
        ),
    ] {
        let by_query = app.get(&format!("contactId={id}&{query}")).await;
        let by_body = app.lookup(json!({"contactId": id, "parts": body})).await;
        assert_eq!(by_query.assert_ok().body, by_body.assert_ok().body);
        for (part, present) in parts.iter().zip(present) {
            assert_eq!(
                !by_query.at(&format!("/{part}")).is_null(),
                present,
                "{query}"
            );
        }
        assert_eq!(by_query.at("/degraded"), json!([]));
    }
    for fresh in [
        json!({"contactId": id, "fresh": ["all"], "parts": ["points"]}),
        json!({"contactId": id, "fresh": ["points", "profile"], "parts": ["points"]}),
    ] {
        app.lookup(fresh)
            .await
            .assert_ok()
            .assert_cache_status("engage-bff; fwd=request; stored");
    }
    app.lookup(json!({"contactId": id, "fresh": []}))
        .await
        .assert_hit();
}

#[tokio::test]
async fn view_channel_and_expiring_within_accept_only_documented_values() {
    let app = TestApp::spawn().await;
    app.fetch_points_separately(ALVA.id).await;
    let id = ALVA.id;
    for (wrong, parameter) in [
        ("view=Full", "view"),
        ("view=everything", "view"),
        ("channel=ecom", "channel"),
        ("channel=WEB", "channel"),
        ("expiringWithin=14", "expiringWithin"),
        ("expiringWithin=0d", "expiringWithin"),
        ("expiringWithin=366d", "expiringWithin"),
        ("expiringWithin=-1d", "expiringWithin"),
        ("expiringWithin=1.5d", "expiringWithin"),
        ("expiringWithin=2w", "expiringWithin"),
        ("expiringWithin=P14D", "expiringWithin"),
        ("expiringWithin=%D9%A1d", "expiringWithin"),
    ] {
        app.get(&format!("contactId={id}&{wrong}"))
            .await
            .assert_names(parameter);
    }
    assert_eq!(app.engage.total_calls(), 0);
    for right in [
        "view=full",
        "view=storefront",
        "channel=ECOM",
        "channel=POS",
        "channel=OTHER",
        "expiringWithin=1d",
        "expiringWithin=365d",
    ] {
        app.get(&format!("contactId={id}&{right}"))
            .await
            .assert_ok();
    }
    // Alva's items: a promotion expires in 8 days; a promotion, a voucher and points in 38; another voucher in 53.
    for (window, soon) in [("7d", 0), ("9d", 1), ("60d", 5)] {
        let answer = app
            .get(&format!("contactId={id}&expiringWithin={window}"))
            .await;
        let expiring = answer.at("/expiringSoon");
        assert_eq!(expiring.as_array().map(Vec::len), Some(soon), "{expiring}");
    }
}

#[tokio::test]
async fn national_id_is_refused_in_a_url_and_accepted_in_a_body() {
    let app = TestApp::spawn().await;
    for query in [
        "socialSecurityNumber=198507099805",
        "socialSecurityNumber=nonsense",
        "any=198507099805",
        "any=8507099805",
        "any=850709-9805",
        "any=19850709-9805",
        "any=%20850709-9805%20",
        "any=850709%2D9805",
        "any=198507699802",
        "any=131052-308T",
        "any=131052-308t",
        "any=070101-0001",
        "any=850709%209805",
        "any=19%2085%2007%2009%2098%2005",
        "any=850709%E2%80%919805",
        "any=850060-9808",
        "any=198507609801",
        "any=198502919809",
        "any=010594Y9032",
        "any=19850709T805",
        "any=850709-T805",
    ] {
        let answer = app.get(query).await;
        answer
            .assert_problem(400, "NationalIdInUrl")
            .assert_no_input_reflected();
        assert!(answer.text().contains("POST"), "{}", answer.text());
    }
    // Refused even before the client's rights are checked.
    app.get_as(READER, "socialSecurityNumber=198507099805")
        .await
        .assert_problem(400, "NationalIdInUrl");
    assert_eq!(app.engage.total_calls(), 0);
    for body in [
        json!({"socialSecurityNumber": "198507099805"}),
        json!({"any": "850709-9805"}),
    ] {
        app.lookup(body).await.assert_ok();
    }
}

#[tokio::test]
async fn value_resembling_a_national_id_is_accepted_in_a_url() {
    let app = TestApp::spawn().await;
    // The values are 07 and eight digits, a number with a wrong check digit, one that contains no date, and a member
    // number.
    for value in [
        "0701740605",
        "0701010001",
        "0701%2001%2000%2001",
        "198507099806",
        "198513099805",
        "100001",
    ] {
        let answer = app.get(&format!("any={value}")).await;
        assert!(matches!(answer.status, 200 | 404), "{}", answer.text());
    }
    assert_eq!(app.overview_calls(), 5);
}

#[tokio::test]
async fn national_id_in_a_url_is_accepted_if_configured() {
    let app = TestApp::with(|config| config.server.allow_national_id_in_url = true).await;
    for query in ["socialSecurityNumber=850709-9805", "any=198507099805"] {
        let answer = app.get(query).await;
        assert_eq!(answer.assert_ok().at("/contactId"), ALVA.id);
    }
}

#[tokio::test]
async fn lookup_by_body_equals_lookup_by_query() {
    let app = TestApp::spawn().await;
    let query = "email=alva.testsson%40example.com&contactType=Member&view=storefront\
                 &parts=vouchers,promotions&channel=ECOM&expiringWithin=60d";
    let body: Value = json!({
        "email": ALVA.email, "contactType": "Member", "view": "storefront",
        "parts": ["vouchers", "promotions"], "channel": "ECOM", "expiringWithin": "60d",
    });
    let by_query = app.get(query).await;
    let by_body = app.lookup(body).await;
    by_body.assert_ok().assert_hit();
    assert_eq!(by_query.body, by_body.body);
    assert_eq!(by_query.header("etag"), by_body.header("etag"));
}
