//! Calls that Engage refuses, and calls that the simulator refuses as unknown.

use engage_simulator::fixtures::ALVA;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::harness::{Engage, send};

const PATH: &str = "/api/v3/contactoverview";
const QUERY: [(&str, &str); 1] = [("contactId", ALVA.id)];

#[tokio::test]
async fn wrong_or_missing_key_is_unauthorized() {
    let engage = Engage::start().await;
    let url = format!("{}{PATH}", engage.simulator.base_url());
    let bare = || engage.client.get(&url).query(&QUERY);
    let answer = send(bare().header("content-type", "application/json")).await;
    assert_eq!(answer.expect("an answer").status, 401);
    let mut wrong = HeaderMap::new();
    wrong.insert("apikey", HeaderValue::from_static("wrong"));
    wrong.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answer = send(bare().headers(wrong)).await.expect("an answer");
    assert_eq!(answer.status, 401);
    let message = &answer.json()["message"];
    assert_eq!(message, "Authorization has been denied for this request.");
}

#[tokio::test]
async fn get_without_content_type_fails() {
    let engage = Engage::start().await;
    let url = format!("{}{PATH}", engage.simulator.base_url());
    let request = engage.client.get(url).query(&QUERY);
    let request = request.header("apikey", engage.simulator.api_key());
    let answer = send(request).await.expect("an answer");
    assert_eq!(answer.status, 500);
    assert_eq!(answer.body, r#"{"message":"An error has occurred."}"#);
}

#[tokio::test]
async fn key_without_rights_is_forbidden() {
    let engage = Engage::start().await;
    engage.simulator.forbid(true);
    assert_eq!(engage.get(PATH, &QUERY).await.status, 403);
    engage.simulator.forbid(false);
    engage.get(PATH, &QUERY).await.ok();
}

#[tokio::test]
async fn calls_beyond_the_rate_limit_are_429() {
    let engage = Engage::with(|builder| builder.rate_limit(Some(3))).await;
    for _ in 0..3 {
        engage.get(PATH, &QUERY).await.ok();
    }
    let answer = engage.get(PATH, &QUERY).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.body, "Too Many Requests");
    assert!(answer.content_type.starts_with("text/plain"), "{answer:?}");
    engage.simulator.rate_limit(None);
    engage.get(PATH, &QUERY).await.ok();
}

#[tokio::test]
async fn unknown_routes_and_parameters_are_reported() {
    let engage = Engage::start().await;
    for (path, query) in [
        ("/api/v3/contacts/1/kpis", &[][..]),
        ("/api/v2/reward-vouchers", &[("contactId", ALVA.id)][..]),
        ("/api/v4/contactoverview", &[("contactId", ALVA.id)][..]),
        (PATH, &[("contactid", ALVA.id)][..]),
        ("/api/v3/contacts/id", &[("contactId", ALVA.id)][..]),
    ] {
        let answer = engage.get(path, query).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.body.contains("engage-simulator: no such"),
            "{answer:?}"
        );
    }
    assert_eq!(engage.simulator.unexpected().len(), 5);
    let url = format!("{}{PATH}", engage.simulator.base_url());
    let answer = send(engage.client.post(url)).await.expect("an answer");
    assert_eq!(answer.status, 404);
    assert_eq!(engage.simulator.unexpected().len(), 6);
}

#[tokio::test]
async fn entities_of_unknown_contacts_are_not_found() {
    let engage = Engage::start().await;
    let unknown = "00000000-0000-4000-8000-000000000000";
    for path in [
        "/api/v3/contacts/ID",
        "/api/v3/contacts/ID/promotions",
        "/api/v2/contacts/ID/bonuschecks",
    ] {
        let answer = engage.get(&path.replace("ID", unknown), &[]).await;
        answer.refuses_with(404, "ContactNotFound");
        let answer = engage.get(&path.replace("ID", "nonsense"), &[]).await;
        answer.refuses_with(400, "InvalidContactId");
    }
    for path in [
        "/api/v3/reward-vouchers/available",
        "/api/v3/point-accounts",
    ] {
        let answer = engage.get(path, &[("contactId", unknown)]).await;
        answer.refuses_with(404, "ContactNotFound");
        engage
            .get(path, &[])
            .await
            .refuses_with(400, "InvalidContactId");
    }
}
