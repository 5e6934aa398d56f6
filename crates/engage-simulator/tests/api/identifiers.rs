//! Look-ups by the six kinds of identifiers.

use engage_simulator::{
    CustomKey,
    fixtures::{ALVA, BO, CIM, DINA, DORA},
};
use serde_json::json;

use crate::harness::Engage;

#[tokio::test]
async fn every_identifier_finds_its_contact() {
    let engage = Engage::start().await;
    for (name, value) in [
        ("email", "ALVA.Testsson@example.com"),
        ("mobilePhone", ALVA.phone),
        ("socialSecurityNumber", ALVA.national_id),
        ("socialSecurityNumber", "850709-9805"),
        ("customKey", ALVA.member_number),
        ("any", ALVA.email),
        ("any", ALVA.phone),
        ("any", ALVA.national_id),
        ("any", ALVA.member_number),
    ] {
        let query = [(name, value), ("contactType", "member")];
        let body = engage.overview(&query).await.ok();
        assert_eq!(body["id"], ALVA.id, "{name}={value}");
        let id = engage.get("/api/v3/contacts/id", &[(name, value)]).await;
        assert_eq!(id.ok(), ALVA.id, "{name}={value}");
    }
    let upper = ALVA.id.to_uppercase();
    assert_eq!(engage.overview_of(&upper).await.ok()["id"], ALVA.id);
    assert_eq!(engage.simulator.unexpected(), Vec::<String>::new());
}

#[tokio::test]
async fn malformed_identifiers_have_codes_of_their_own() {
    let engage = Engage::start().await;
    for (name, value, code) in [
        ("email", "plain", "InvalidEmailAddress"),
        ("mobilePhone", "0701740605", "InvalidPhoneNumber"),
        ("mobilePhone", "46701740605", "InvalidPhoneNumber"),
        (
            "socialSecurityNumber",
            "198507099806",
            "InvalidSocialSecurityNumber",
        ),
        ("contactId", "not-a-guid", "InvalidContactId"),
        ("any", "", "InvalidSearchQuery"),
    ] {
        let query = [(name, value), ("contactType", "Member")];
        engage.overview(&query).await.refuses_with(400, code);
    }
}

#[tokio::test]
async fn unescaped_plus_is_a_space() {
    let engage = Engage::start().await;
    let path = format!(
        "/api/v3/contactoverview?mobilePhone={}&contactType=Member",
        ALVA.phone
    );
    engage
        .get(&path, &[])
        .await
        .refuses_with(400, "InvalidPhoneNumber");
}

#[tokio::test]
async fn overview_needs_a_known_contact_type_unless_by_id() {
    let engage = Engage::start().await;
    let by_email = [("email", ALVA.email)];
    let answer = engage.overview(&by_email).await;
    answer.refuses_with(400, "InvalidContactType");
    let unknown = [("email", ALVA.email), ("contactType", "Ghost")];
    let answer = engage.overview(&unknown).await;
    answer.refuses_with(400, "InvalidContactType");
    engage.overview_of(ALVA.id).await.ok();
    let other_type = [("email", ALVA.email), ("contactType", "Contact")];
    let answer = engage.overview(&other_type).await;
    answer.refuses_with(404, "ContactNotFound");
    let answer = engage.get("/api/v3/contacts/id", &by_email).await;
    assert_eq!(answer.ok(), ALVA.id);
}

#[tokio::test]
async fn exactly_one_identifier_must_be_sent() {
    let engage = Engage::start().await;
    let none = [("contactType", "Member")];
    let answer = engage.overview(&none).await;
    answer.refuses_with(400, "InvalidSearchQuery");
    let two = [
        ("email", ALVA.email),
        ("any", ALVA.email),
        ("contactType", "Member"),
    ];
    let answer = engage.overview(&two).await;
    answer.refuses_with(400, "InvalidSearchQuery");
}

#[tokio::test]
async fn any_uses_the_first_matching_format() {
    let engage = Engage::start().await;
    let looks_like_a_phone = json!({"memberNumber": "+46700000000", "email": "x@example.com"});
    engage.simulator.create(looks_like_a_phone, "Member");
    let by_any = [("any", "+46700000000"), ("contactType", "Member")];
    let answer = engage.overview(&by_any).await;
    answer.refuses_with(404, "ContactNotFound");
    let by_key = [("customKey", "+46700000000"), ("contactType", "Member")];
    engage.overview(&by_key).await.ok();
}

#[tokio::test]
async fn shared_address_is_a_conflict_with_all_ids() {
    let engage = Engage::start().await;
    let shared = [("email", DORA.email), ("contactType", "Member")];
    let answer = engage.overview(&shared).await;
    answer.refuses_with(409, "MultipleMatches");
    let matches = &answer.json()["messageDetails"]["multipleMatchesFound"];
    assert_eq!(*matches, json!([DORA.id, DINA.id]));
}

#[tokio::test]
async fn contacts_id_needs_no_type_and_matches_contacts_of_every_type() {
    let engage = Engage::start().await;
    let member = json!({"email": BO.email});
    let member = engage.simulator.create(member, "Member");
    for version in ["v3", "v2"] {
        let path = format!("/api/{version}/contacts/id");
        let alone = engage.get(&path, &[("email", ALVA.email)]).await.ok();
        assert_eq!(alone, json!(ALVA.id), "{version}");
        let several = engage.get(&path, &[("email", BO.email)]).await;
        several.refuses_with(409, "MultipleMatches");
        let matches = &several.json()["messageDetails"]["multipleMatchesFound"];
        assert_eq!(*matches, json!([BO.id, member]), "{version}");
        let of_type = [("email", BO.email), ("contactType", "member")];
        assert_eq!(engage.get(&path, &of_type).await.ok(), json!(member));
    }
}

#[tokio::test]
async fn custom_key_is_one_attribute_or_none() {
    let engage = Engage::start().await;
    let member_number = [("customKey", ALVA.member_number), ("contactType", "Member")];
    let external_id = [("customKey", ALVA.external_id), ("contactType", "Member")];
    engage.overview(&member_number).await.ok();
    let answer = engage.overview(&external_id).await;
    answer.refuses_with(404, "ContactNotFound");
    engage.simulator.custom_key(CustomKey::ExternalId);
    engage.overview(&external_id).await.ok();
    engage.simulator.custom_key(CustomKey::Off);
    let answer = engage.overview(&external_id).await;
    answer.refuses_with(500, "InvalidSystemConfiguration");
}

#[tokio::test]
async fn fixed_contacts_are_as_documented() {
    let engage = Engage::start().await;
    let bo = engage.overview_of(BO.id).await.ok();
    assert_eq!(bo["meta"]["contactType"], "Contact");
    assert_eq!(bo["attributes"]["firstName"], json!(null));
    let cim = engage.overview_of(CIM.id).await.ok();
    assert_eq!(cim["meta"]["approved"], false);
    assert_eq!(cim["attributes"]["secrecyMarked"], true);
    assert_eq!(cim["warnings"][0]["id"], "invalidEmail");
    for contact in [DORA, DINA] {
        let query = [("socialSecurityNumber", contact.national_id)];
        let answer = engage.get("/api/v2/contacts/id", &query).await;
        assert_eq!(answer.ok(), contact.id);
    }
}
