//! Engage's formats: spelling variants that may occur are all read; ids and money are read strictly or not at all.

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO},
};
use serde_json::{Value, json};

use crate::harness::{Answer, SHOP, TestApp};

pub(crate) const GUID: &str = "8d31c000-2009-4c22-b002-b2d200c00009";

pub(crate) fn fresh(part: &str) -> String {
    format!("contactId={}&parts={part}&fresh={part}", BO.id)
}

pub(crate) fn answer_with(app: &TestApp, endpoint: Endpoint, body: impl Into<String>) {
    app.engage.fault(endpoint, Fault::Body(body.into()));
}

/// An overview of Bo with these additional keys.
pub(crate) fn overview(more: &Value) -> String {
    let mut body =
        json!({"id": BO.id, "attributes": {"email": BO.email}, "meta": {"contactType": "Contact"}});
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body.to_string()
}

#[track_caller]
pub(crate) fn assert_missing(answer: &Answer, part: &str, why: &str) {
    assert_eq!(
        answer.assert_ok().at(&format!("/{part}")),
        Value::Null,
        "{why}"
    );
    assert_eq!(answer.at("/degraded"), json!([part]), "{why}");
}

#[tokio::test]
async fn overview_lists_are_read_under_every_known_key() {
    let vouchers = json!([{"id": GUID, "voucherNumber": "0012"}]);
    let checks = json!([{"id": GUID, "checkNumber": "0012"}]);
    let promotions = json!([{"id": GUID, "redemptionChannels": null}]);
    let audiences = json!([{"id": GUID, "name": "Gold"}]);
    for (key, list, pointer) in [
        ("rewardVouchers", &vouchers, "/vouchers/0/code"),
        ("bonusChecks", &checks, "/vouchers/0/code"),
        ("bonusChecks", &vouchers, "/vouchers/0/code"),
        ("rewardVouchers", &checks, "/vouchers/0/code"),
        ("availableRewardVouchers", &vouchers, "/vouchers/0/code"),
        ("availableBonusChecks", &checks, "/vouchers/0/code"),
        ("promotions", &promotions, "/promotions/0/id"),
        ("availablePromotions", &promotions, "/promotions/0/id"),
        ("audiences", &audiences, "/audiences/0/name"),
        ("targetAudiences", &audiences, "/audiences/0/name"),
        ("profiles", &audiences, "/audiences/0/name"),
    ] {
        let app = TestApp::spawn().await;
        answer_with(&app, Endpoint::Overview, overview(&json!({key: list})));
        let answer = app.get(&format!("contactId={}", BO.id)).await;
        let value = answer.assert_ok().at(pointer);
        let known = [json!("0012"), json!(GUID), json!("Gold")];
        assert!(known.contains(&value), "{key}: {value}");
        assert_eq!(answer.at("/degraded"), json!([]));
    }
}

#[tokio::test]
async fn voucher_endpoint_is_read_with_either_key_of_the_number() {
    let app = TestApp::spawn().await;
    for (key, number) in [
        ("voucherNumber", json!("0012")),
        ("checkNumber", json!("0012")),
        ("voucherNumber", json!(12)),
    ] {
        let voucher = json!({"id": GUID, key: number, "name": null, "unknown": [1]});
        let page = json!({"items": [voucher], "totalCount": 1});
        answer_with(&app, Endpoint::Vouchers, page.to_string());
        let answer = app.get(&fresh("vouchers")).await;
        let code = answer.assert_ok().at("/vouchers/0/code");
        let code = code.as_str().expect("a text").to_owned();
        assert_eq!(code, number.as_str().unwrap_or("12"));
        assert_eq!(answer.at("/vouchers/0/value"), Value::Null);
        assert_eq!(answer.at("/vouchers/0/localValues"), json!([]));
    }
}

#[tokio::test]
async fn missing_null_or_unreadable_lists_affect_only_their_part() {
    for (more, audiences, degraded) in [
        (json!({}), json!([]), json!([])),
        (
            json!({"audiences": null, "warnings": null, "consents": null}),
            json!([]),
            json!([]),
        ),
        (
            json!({"audiences": [], "warnings": [], "preferences": "none"}),
            json!([]),
            json!([]),
        ),
        (
            json!({"audiences": [], "warnings": "none"}),
            json!([]),
            json!(["audiences"]),
        ),
        (json!({"warnings": [1, {"code": 1}]}), json!([]), json!([])),
        (
            json!({"warnings": [null, ["x"]]}),
            json!([]),
            json!(["audiences"]),
        ),
        (
            json!({"consents": [{"value": true}, 1, "x"]}),
            json!([]),
            json!(["profile"]),
        ),
        (
            json!({"audiences": [{"id": 7}]}),
            json!([{"id": "7", "name": null}]),
            json!([]),
        ),
        (json!({"meta": null}), json!([]), json!([])),
        // There are audiences; `degraded` says that the list is incomplete.
        (
            json!({"audiences": [{"name": "Gold"}]}),
            json!([]),
            json!(["audiences"]),
        ),
        (
            json!({"audiences": ["Gold"]}),
            json!([]),
            json!(["audiences"]),
        ),
        (
            json!({"audiences": {"id": GUID}}),
            Value::Null,
            json!(["audiences"]),
        ),
    ] {
        let app = TestApp::spawn().await;
        answer_with(&app, Endpoint::Overview, overview(&more));
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        assert_eq!(answer.assert_ok().at("/profile/email"), BO.email, "{more}");
        assert_eq!(answer.at("/audiences"), audiences, "{more}");
        assert_eq!(answer.at("/degraded"), degraded, "{more}");
    }
}

#[tokio::test]
async fn warnings_are_read_as_objects_and_as_strings() {
    let app = TestApp::spawn().await;
    let warnings =
        json!([{"id": "invalidEmail", "message": "bounced"}, "The e-mail address bounced"]);
    answer_with(
        &app,
        Endpoint::Overview,
        overview(&json!({"warnings": warnings})),
    );
    let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
    assert_eq!(
        answer.assert_ok().at("/contactability/email/warnings"),
        json!([{"id": "invalidEmail", "message": "bounced"},
               {"id": null, "message": "The e-mail address bounced"}])
    );
}

#[tokio::test]
async fn preferences_are_read_in_every_spelling_from_both_endpoints() {
    let app = TestApp::spawn().await;
    for preferences in [
        json!({"acceptsEmail": true, "acceptsSms": false, "acceptsPostal": true}),
        json!({"AcceptsEmails": true, "AcceptsSms": false, "AcceptsPostals": true}),
        json!({"acceptsemail": "true", "ACCEPTSSMS": "False", "acceptsPostal": "TRUE"}),
    ] {
        let body = overview(&json!({"preferences": preferences}));
        answer_with(&app, Endpoint::All, body);
        for fresh in ["", "&fresh=profile"] {
            let answer = app
                .get(&format!("contactId={}&parts=none{fresh}", BO.id))
                .await;
            let expected =
                json!({"acceptsEmail": true, "acceptsSms": false, "acceptsPostal": true});
            assert_eq!(answer.assert_ok().at("/preferences"), expected);
        }
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
    }
}

#[tokio::test]
async fn attributes_are_read_in_every_spelling() {
    let app = TestApp::spawn().await;
    for (attributes, pointer, expected) in [
        (
            json!({"birthDay": "1985-07-09"}),
            "/profile/birthDay",
            json!("1985-07-09"),
        ),
        (
            json!({"birthDay": "09/07/1985"}),
            "/profile/birthDay",
            json!("1985-07-09"),
        ),
        (
            json!({"language": "sv", "lang": "fi"}),
            "/profile/language",
            json!("sv"),
        ),
        (
            json!({"language": null, "lang": "fi"}),
            "/profile/language",
            json!("fi"),
        ),
        (
            json!({"memberNumber": 100_001}),
            "/profile/memberNumber",
            json!("100001"),
        ),
        (
            json!({"currentStore": null}),
            "/profile/homeStore",
            Value::Null,
        ),
        (
            json!({"currentStore": "1001"}),
            "/profile/homeStore",
            Value::Null,
        ),
        (
            json!({"firstName": "  "}),
            "/profile/firstName",
            Value::Null,
        ),
    ] {
        let body = json!({"id": BO.id, "attributes": attributes});
        answer_with(&app, Endpoint::Overview, body.to_string());
        let answer = app.get(&format!("contactId={}&parts=none", BO.id)).await;
        assert_eq!(answer.assert_ok().at(pointer), expected, "{attributes}");
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
    }
}

#[tokio::test]
async fn unreadable_secrecy_mark_protects_the_contact() {
    let app = TestApp::spawn().await;
    for (mark, protects) in [
        (json!(true), true),
        (json!("True"), true),
        (json!(1), true),
        (json!("yes"), true),
        (json!({"since": "2026-01-01"}), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(""), false),
        (json!(null), false),
    ] {
        let attributes = json!({"firstName": "Bo", "email": BO.email, "secrecyMarked": mark});
        let body = json!({"id": BO.id, "attributes": attributes});
        answer_with(&app, Endpoint::Overview, body.to_string());
        let query = format!("contactId={}&parts=none", BO.id);
        let answer = app.get_as(SHOP, &query).await;
        assert_eq!(answer.assert_ok().at("/profile/firstName"), "Bo");
        let is_hidden = answer.at("/profile/email") == Value::Null;
        assert_eq!(is_hidden, protects, "{mark}");
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
    }
}

#[tokio::test]
async fn redeemed_items_are_left_out_in_every_notation() {
    let app = TestApp::spawn().await;
    for (state, is_left_out) in [
        (json!({"redeemed": true}), true),
        (json!({"redeemed": "True"}), true),
        (json!({"redeemedOn": "2026-11-01T00:00:00Z"}), true),
        (json!({"redeemed": false, "redeemedOn": null}), false),
        (json!({"redeemedOn": null}), false),
        (json!({}), false),
    ] {
        let mut item = state.clone();
        item["id"] = json!(GUID);
        let page = json!({"items": [item], "totalCount": 1});
        answer_with(&app, Endpoint::Vouchers, page.to_string());
        answer_with(&app, Endpoint::Promotions, json!([item]).to_string());
        let answer = app
            .get(&format!("contactId={}&fresh=vouchers,promotions", BO.id))
            .await;
        for list in ["/vouchers", "/promotions"] {
            let items = answer.assert_ok().at(list);
            let is_empty = items.as_array().expect("a list").is_empty();
            assert_eq!(is_empty, is_left_out, "{list} {state}");
        }
    }
}

#[tokio::test]
async fn account_of_another_or_unreadable_contact_is_missing() {
    let app = TestApp::spawn().await;
    let upper = BO.id.to_uppercase();
    for (account, is_shown) in [
        (
            json!({"id": 123, "contactId": BO.id, "definitionId": 1}),
            true,
        ),
        (
            json!({"id": GUID, "contactId": upper, "definitionId": "1"}),
            true,
        ),
        (
            json!({"definitionId": 1, "balanceExpires": null, "pendingPoints": null}),
            true,
        ),
        (json!({"contactId": null, "definitionId": 1}), true),
        (json!({"contactId": ALVA.id, "definitionId": 1}), false),
        (json!({"contactId": "", "definitionId": 1}), false),
        (json!({"contactId": &BO.id[..35], "definitionId": 1}), false),
        (
            json!({"contactId": {"id": ALVA.id}, "definitionId": 1}),
            false,
        ),
        (json!({"contactId": [ALVA.id], "definitionId": 1}), false),
    ] {
        let mut body = account.clone();
        body["balance"] = json!(5);
        answer_with(&app, Endpoint::PointAccounts, json!([body]).to_string());
        let answer = app.get(&fresh("points")).await;
        if is_shown {
            let id = answer.assert_ok().at("/points/accounts/0/definitionId");
            assert_eq!(id, "1", "{account}");
        } else {
            assert_missing(&answer, "points", &account.to_string());
        }
    }
}

/// Asserts that this many items are left and that the part is marked as degraded.
#[track_caller]
pub(crate) fn assert_incomplete(answer: &Answer, part: &str, left: usize, why: &str) {
    let list = if part == "points" { "/accounts" } else { "" };
    let items = answer.assert_ok().at(&format!("/{part}{list}"));
    assert_eq!(items.as_array().map(Vec::len), Some(left), "{why}");
    assert_eq!(answer.at("/degraded"), json!([part]), "{why}");
}

#[tokio::test]
async fn items_without_an_id_or_currency_are_left_out() {
    let app = TestApp::spawn().await;
    let good = json!({"id": GUID});
    for id in [
        json!(null),
        json!(""),
        json!("  "),
        json!({}),
        json!(true),
        json!([GUID]),
    ] {
        let page = json!({"items": [good, {"id": id}], "totalCount": 2});
        answer_with(&app, Endpoint::Vouchers, page.to_string());
        let answer = app.get(&fresh("vouchers")).await;
        assert_incomplete(&answer, "vouchers", 1, &id.to_string());
        let list = json!([good, {"id": id}]);
        answer_with(&app, Endpoint::Promotions, list.to_string());
        let answer = app.get(&fresh("promotions")).await;
        assert_incomplete(&answer, "promotions", 1, &id.to_string());
    }
    for value in [
        json!({"amount": 5}),
        json!({"amount": 5, "currency": ""}),
        json!({"amount": 5, "currency": null}),
        json!({"currency": "SEK"}),
        json!(5),
        json!("5 SEK"),
    ] {
        let page = json!({"items": [{"id": GUID, "value": value}], "totalCount": 1});
        answer_with(&app, Endpoint::Vouchers, page.to_string());
        let answer = app.get(&fresh("vouchers")).await;
        assert_incomplete(&answer, "vouchers", 0, &value.to_string());
    }
}

#[tokio::test]
async fn error_code_is_read_under_either_key() {
    let app = TestApp::spawn().await;
    for key in ["errorCode", "ErrorCode"] {
        for (status, code) in [(404, "ContactNotFound"), (409, "MultipleMatches")] {
            let refusal = Fault::Status(status, json!({key: code}));
            app.engage.fault_times(Endpoint::Overview, refusal, 1);
            app.get(&format!("contactId={}", BO.id))
                .await
                .assert_problem(status, code);
            app.customers
                .drop_negatives()
                .await
                .expect("there is no shared tier");
        }
    }
}
