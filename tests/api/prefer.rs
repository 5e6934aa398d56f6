//! With `prefer` a look-up finds the only contact with the identifier, whatever its type; if there are several, the
//! only one of the preferred type.

mod doubt;

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, DINA, DORA},
};
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::{
    harness::{
        Answer, POINTS_CALLS, READER, SHOP, TILL, TestApp, let_requests_arrive, percent_encoded,
        wait_until,
    },
    issuer::Issuer,
    tokens::{claims, with_config},
};

const MEMBER: &str = "email=shared@example.com&prefer=Member";
const CONTACT: &str = "email=shared@example.com&prefer=Contact";
const EXPIRED: Duration = Duration::from_secs(90);

/// A service where Dora is of type `Member` and Dina, with the same e-mail address, of type `Contact`.
async fn spawn() -> TestApp {
    let app = TestApp::spawn().await;
    app.engage.contact(DINA.id).contact_type("Contact");
    app
}

#[track_caller]
fn assert_found(answer: &Answer, id: &str) {
    assert_eq!(answer.assert_ok().at("/contactId"), id);
}

async fn drop_negatives(app: &TestApp) {
    let dropped = app.customers.drop_negatives().await;
    dropped.expect("there is no shared tier");
}

#[tokio::test]
async fn only_contact_is_found_whatever_its_type() {
    let app = TestApp::spawn().await;
    for (person, query) in [
        (BO, format!("email={}&prefer=Member", BO.email)),
        (ALVA, format!("email={}&prefer=Contact", ALVA.email)),
        (
            ALVA,
            format!("mobilePhone={}&prefer=Other", percent_encoded(ALVA.phone)),
        ),
        (ALVA, format!("any={}&prefer=Contact", ALVA.member_number)),
        (
            ALVA,
            format!("customKey={}&prefer=Contact", ALVA.member_number),
        ),
    ] {
        let answer = app.get(&query).await;
        assert_found(&answer, person.id);
        assert_eq!(answer.at("/contactType"), person.contact_type);
        assert_eq!(answer.at("/degraded"), json!([]));
    }
    app.engage.reset_log();
    let by_national_id = json!({"socialSecurityNumber": ALVA.national_id, "prefer": "Contact"});
    assert_found(&app.lookup(by_national_id).await, ALVA.id);
}

#[tokio::test]
async fn first_request_resolves_and_the_second_is_a_hit() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&prefer=Member", BO.email);
    let first = app.get(&query).await;
    first.assert_cache_status("engage-bff; fwd=miss; stored");
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(app.overview_calls(), 1);
    assert_eq!(app.engage.total_calls(), 2 + POINTS_CALLS);
    let second = app.get(&query).await;
    second.assert_hit();
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(app.engage.total_calls(), 2 + POINTS_CALLS);
}

#[tokio::test]
async fn of_several_the_only_one_of_the_type_is_found() {
    let app = spawn().await;
    for key in [TILL, SHOP, READER] {
        let member = app.get_as(key, MEMBER).await;
        assert_found(&member, DORA.id);
        assert_eq!(member.at("/contactType"), "Member");
        assert_eq!(member.at("/profile/email"), DORA.email);
        assert_found(&app.get_as(key, CONTACT).await, DINA.id);
        let body = json!({"email": "Shared@Example.com", "prefer": "CONTACT"});
        assert_found(&app.lookup_as(key, body).await, DINA.id);
    }
}

#[tokio::test]
async fn choice_is_a_hit_the_second_time() {
    let app = spawn().await;
    let first = app.get(MEMBER).await;
    first.assert_cache_status("engage-bff; fwd=miss; stored");
    // The resolution, two profiles, Dora's overview, and in v3 her points.
    let calls = 4 + POINTS_CALLS;
    assert_eq!(app.engage.total_calls(), calls);
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(app.engage.calls(Endpoint::Contact), 2);
    app.advance(Duration::from_secs(20));
    let second = app.get(MEMBER).await;
    assert_found(&second, DORA.id);
    second.assert_hit();
    assert_eq!(app.engage.total_calls(), calls);
    assert_found(&app.get(CONTACT).await, DINA.id);
    assert_eq!(app.engage.total_calls(), calls + 1 + POINTS_CALLS);
}

#[tokio::test]
async fn none_or_several_of_the_type_are_a_409() {
    let app = spawn().await;
    for query in [
        "email=shared@example.com&prefer=Other",
        "email=shared@example.com&prefer=Membe",
    ] {
        let answer = app.get(query).await;
        answer.assert_problem(409, "MultipleMatches");
        let candidates = answer.at("/candidates");
        assert_eq!(candidates.as_array().map(Vec::len), Some(2), "{query}");
        let hidden = app.get_as(SHOP, query).await;
        hidden.assert_problem(409, "MultipleMatches");
        assert_eq!(hidden.json().get("candidates"), None);
    }
    app.engage.contact(DINA.id).contact_type("Member");
    drop_negatives(&app).await;
    app.customers.purge_everything().await.expect("no tier");
    app.get(MEMBER).await.assert_problem(409, "MultipleMatches");
    // The profiles that decided also name the candidates.
    assert_eq!(app.engage.calls(Endpoint::Contact), 4);
}

#[tokio::test]
async fn prefer_excludes_contact_type_and_contact_id() {
    let app = TestApp::spawn().await;
    let both = format!("{MEMBER}&contactType=Member");
    let by_id = format!("contactId={}&prefer=Member", ALVA.id);
    for (query, code) in [
        (both.as_str(), "InvalidParameter"),
        (&by_id, "InvalidParameter"),
        ("email=shared@example.com&prefer=", "InvalidParameter"),
        ("email=shared@example.com&prefer=a%20b", "InvalidParameter"),
        (
            "email=shared@example.com&prefer=Member&prefer=Member",
            "InvalidParameter",
        ),
        ("prefer=Member", "MissingIdentifier"),
    ] {
        let answer = app.get(query).await;
        answer.assert_problem(400, code);
        if code == "InvalidParameter" {
            let detail = answer.at("/detail");
            assert!(
                detail
                    .as_str()
                    .is_some_and(|text| text.starts_with("prefer: ")),
                "{detail}"
            );
        }
    }
    for prefer in [json!(7), json!(["Member"]), json!(null), json!({})] {
        let answer = app
            .lookup(json!({"email": DORA.email, "prefer": prefer}))
            .await;
        answer.assert_problem(400, "InvalidParameter");
    }
    app.get_as(READER, "socialSecurityNumber=198507099805&prefer=Member")
        .await
        .assert_problem(400, "NationalIdInUrl");
    let body = json!({"socialSecurityNumber": ALVA.national_id, "prefer": "Member"});
    app.lookup_as(READER, body)
        .await
        .assert_problem(403, "Forbidden");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn prefer_needs_no_default_contact_type() {
    let app = TestApp::with(|config| config.engage.default_contact_type = None).await;
    let query = format!("email={}", ALVA.email);
    app.get(&query)
        .await
        .assert_problem(400, "MissingContactType");
    assert_found(&app.get(&format!("{query}&prefer=Member")).await, ALVA.id);
}

#[tokio::test]
async fn shopper_is_found_only_by_its_own_email() {
    let issuer = Issuer::new();
    let app = with_config(&issuer, |_| {}).await;
    app.engage.contact(DINA.id).contact_type("Contact");
    let get = async |own: Value, target: &str| {
        let token = issuer.sign(&claims(own));
        let request = app.request(target);
        Answer::of(request.header(AUTHORIZATION, format!("Bearer {token}"))).await
    };
    let by_email = json!({"email": DORA.email, "email_verified": true});
    let member = get(by_email.clone(), "/customer/me?prefer=Member").await;
    assert_found(&member, DORA.id);
    assert_eq!(member.header("cache-status"), "");
    let contact = get(by_email.clone(), "/customer/me?prefer=Contact").await;
    assert_found(&contact, DINA.id);
    let calls = app.engage.total_calls();
    let several = get(by_email.clone(), "/customer/me?prefer=Other").await;
    several.assert_problem(409, "MultipleMatches");
    assert_eq!(several.json().get("candidates"), None);
    let other = format!("/customer?email={}&prefer=Member", ALVA.email);
    get(by_email.clone(), &other)
        .await
        .assert_problem(404, "ContactNotFound");
    // A token that names one of them by its id leaves nothing to choose.
    let by_id = json!({"contactId": DINA.id, "email": DORA.email, "email_verified": true});
    let own = get(by_id.clone(), "/customer/me?prefer=Member").await;
    assert_found(&own, DINA.id);
    for token in [&by_id, &by_email] {
        get(
            token.clone(),
            "/customer/me?prefer=Member&contactType=Member",
        )
        .await
        .assert_problem(400, "InvalidParameter");
    }
    get(by_id.clone(), &format!("/customer?{MEMBER}"))
        .await
        .assert_problem(404, "ContactNotFound");
    assert_found(&get(by_id, &format!("/customer?{CONTACT}")).await, DINA.id);
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn fresh_profile_resolves_and_chooses_anew() {
    let app = spawn().await;
    assert_found(&app.get(MEMBER).await, DORA.id);
    app.engage.contact(DORA.id).contact_type("Contact");
    app.engage.contact(DINA.id).contact_type("Member");
    assert_found(&app.get(MEMBER).await, DORA.id);
    let fresh = app.get(&format!("{MEMBER}&fresh=profile")).await;
    assert_found(&fresh, DINA.id);
    fresh.assert_cache_status("engage-bff; fwd=request; stored");
    // Requests without `fresh` use the result of the fresh request.
    assert_found(&app.get(MEMBER).await, DINA.id);
    app.engage.contact(DORA.id).email("dora@example.com");
    let alone = app.get(&format!("{CONTACT}&fresh=profile")).await;
    assert_found(&alone, DINA.id);
}

#[tokio::test]
async fn fresh_points_are_those_of_the_chosen_contact() {
    let app = spawn().await;
    app.get(MEMBER).await.assert_ok();
    app.engage.contact(DORA.id).points("742.25");
    let fresh = app.get(&format!("{MEMBER}&fresh=points")).await;
    assert_found(&fresh, DORA.id);
    assert_eq!(fresh.at("/points/balance"), json!(742.25));
}

#[tokio::test]
async fn only_if_cached_costs_no_call() {
    let app = spawn().await;
    for query in [MEMBER, &format!("email={}&prefer=Member", ALVA.email)] {
        app.get_with(query, "only-if-cached")
            .await
            .assert_problem(504, "NotCached");
        app.get(query).await.assert_ok();
        let calls = app.engage.total_calls();
        app.get_with(query, "only-if-cached").await.assert_hit();
        assert_eq!(app.engage.total_calls(), calls);
        app.engage.reset_log();
    }
    app.advance(EXPIRED);
    app.get_with(MEMBER, "only-if-cached")
        .await
        .assert_problem(504, "NotCached");
    assert_eq!(app.engage.total_calls(), 0);
}

#[tokio::test]
async fn guard_counts_unknown_identifiers_and_allows_hits() {
    let app = TestApp::with(|config| {
        let shop = config
            .auth
            .clients
            .iter_mut()
            .find(|client| client.id == "shop");
        shop.expect("a client of the harness").unknown_per_minute = Some(1);
    })
    .await;
    app.engage.contact(DINA.id).contact_type("Contact");
    app.get_as(SHOP, MEMBER).await.assert_ok();
    app.get_as(SHOP, "email=unknown@example.com&prefer=Member")
        .await
        .assert_problem(404, "ContactNotFound");
    let calls = app.engage.total_calls();
    app.get_as(SHOP, MEMBER).await.assert_hit();
    app.get_as(SHOP, &format!("email={}&prefer=Member", ALVA.email))
        .await
        .assert_problem(429, "RateLimited");
    assert_eq!(app.engage.total_calls(), calls);
}

#[tokio::test]
async fn concurrent_choices_share_every_call() {
    let app = spawn().await;
    let hold = app.engage.hold(Endpoint::ContactIdLookup);
    let waiting: Vec<_> = (0..20).map(|_| app.spawn_get(MEMBER)).collect();
    wait_until(|| hold.waiting() == 1).await;
    let_requests_arrive().await;
    hold.release();
    for answer in waiting {
        assert_found(&answer.await.expect("an answer"), DORA.id);
    }
    assert_eq!(app.engage.total_calls(), 4 + POINTS_CALLS);
}

#[tokio::test]
async fn moved_email_is_followed_after_a_webhook() {
    let app = TestApp::with(|config| {
        config.webhooks.secrets = vec![engage_simulator::DEFAULT_WEBHOOK_SECRET.into()];
    })
    .await;
    app.send_webhooks();
    let query = format!("email={}&prefer=Member", ALVA.email);
    assert_found(&app.get(&query).await, ALVA.id);
    app.engage.contact(ALVA.id).email("alva.ny@example.com");
    app.engage.contact(BO.id).email(ALVA.email);
    app.engage.webhooks_settled().await;
    assert_found(&app.get(&query).await, BO.id);
    app.engage.contact(DORA.id).email(ALVA.email);
    app.engage.webhooks_settled().await;
    // Like every alias, this one may be outdated within its lifetime.
    app.advance(EXPIRED);
    assert_found(&app.get(&query).await, DORA.id);
}

#[tokio::test]
async fn expired_contact_found_with_prefer_is_served_while_engage_fails() {
    let app = spawn().await;
    let query = format!("email={}&prefer=Member", ALVA.email);
    app.get(&query).await.assert_ok();
    app.advance(EXPIRED);
    app.engage
        .fault(Endpoint::All, Fault::Status(500, json!("no")));
    let stale = app.get(&query).await;
    stale.assert_stale_if_error();
    assert_eq!(stale.at("/contactId"), ALVA.id);
}

#[tokio::test]
async fn stale_alias_is_refreshed_in_the_background() {
    let app = TestApp::spawn().await;
    let query = format!("email={}&parts=none&prefer=Member", ALVA.email);
    app.get(&query).await.assert_ok();
    app.engage.reset_log();
    app.advance(Duration::from_secs(61));
    app.get(&query).await.assert_hit();
    wait_until(|| app.engage.calls(Endpoint::ContactIdLookup) == 1).await;
    let_requests_arrive().await;
    app.advance(Duration::from_secs(20));
    app.get(&query).await.assert_hit();
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    assert_eq!(app.overview_calls(), 1);
}

#[tokio::test]
async fn contact_that_the_overview_does_not_know_yet_is_found() {
    let app = TestApp::spawn().await;
    app.engage.set_overview_lag(Duration::from_secs(300));
    let id = app
        .engage
        .create(json!({"email": "new@example.com"}), "Member");
    app.advance(Duration::from_secs(1));
    let alone = app.get("email=new@example.com&prefer=Contact").await;
    assert_found(&alone, &id);
    assert_eq!(alone.at("/degraded"), json!(["audiences"]));
    app.engage
        .create(json!({"email": "new@example.com"}), "Contact");
    drop_negatives(&app).await;
    app.advance(EXPIRED);
    let chosen = app.get("email=new@example.com&prefer=Member").await;
    assert_found(&chosen, &id);
}

#[tokio::test]
async fn cache_that_is_off_is_bypassed() {
    let app = spawn().await;
    app.customers.switch_cache(false);
    for _ in 0..2 {
        let answer = app.get(MEMBER).await;
        assert_found(&answer, DORA.id);
        answer.assert_cache_status("engage-bff; fwd=bypass");
    }
}

#[tokio::test]
async fn hidden_identifier_contradicts_no_choice() {
    let app = spawn().await;
    for contact in [DORA, DINA] {
        app.engage
            .contact(contact.id)
            .also_found_by("email", DORA.email)
            .attribute("email", json!(null));
    }
    for _ in 0..2 {
        assert_found(&app.get(MEMBER).await, DORA.id);
        assert_found(&app.get(CONTACT).await, DINA.id);
    }
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
    // The list from Engage is trusted for no longer than a negative entry.
    app.advance(Duration::from_secs(31));
    app.get(MEMBER).await.assert_ok();
    assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 2);
}

#[tokio::test]
async fn profiles_are_read_five_at_once() {
    let app = spawn().await;
    for _ in 0..8 {
        app.engage.create(json!({"email": DORA.email}), "Contact");
    }
    let hold = app.engage.hold(Endpoint::Contact);
    let waiting = app.spawn_get(MEMBER);
    wait_until(|| hold.waiting() == 5).await;
    let_requests_arrive().await;
    assert_eq!(hold.waiting(), 5);
    hold.release();
    assert_found(&waiting.await.expect("an answer"), DORA.id);
    assert_eq!(app.engage.calls(Endpoint::Contact), 10);
}
