//! Learned aliases that turn out to be wrong: the identifier moves, a second contact has it, or it is purged.

use std::time::Duration;

use engage_simulator::{
    Endpoint,
    fixtures::{ALVA, DINA, DORA},
};
use reqwest::Method;
use serde_json::json;

use crate::{
    harness::{TestApp, id, logs},
    learned_aliases::{
        KINDS, assert_calls_engage, by, cache_by_id, identifiers, invalidate_profile, with_cached,
        with_unique,
    },
    operators::operate,
};

const LAG: Duration = Duration::from_secs(600);
const CONFLICT: &str = "unique identifier of two contacts";

/// The number of alarms about conflicts.
pub(crate) fn alarms() -> usize {
    logs()
        .lines()
        .filter(|line| line.contains(CONFLICT))
        .count()
}

async fn conflicts(app: &TestApp, kind: &str) -> u64 {
    let line = format!("engage_bff_unique_identifier_conflicts_total{{kind=\"{kind}\"}} ");
    let metrics = app.operations("/metrics").await;
    let value = metrics
        .text()
        .lines()
        .find_map(|text| text.strip_prefix(&line));
    value.expect("the counter").parse().expect("a number")
}

#[tokio::test]
async fn moved_email_leaves_the_old_contact_once_the_new_one_is_cached() {
    for (index, lag) in [Duration::ZERO, LAG].into_iter().enumerate() {
        let app = with_cached(ALVA).await;
        app.engage.set_overview_lag(lag);
        app.engage.move_email(ALVA.id, DORA.id);
        // The cache has not learned of the move yet.
        by(&app, "email", ALVA.email).await.assert_ok().assert_hit();
        invalidate_profile(&app, DORA).await;
        cache_by_id(&app, DORA).await;
        for _ in 0..12 {
            let answer = by(&app, "email", ALVA.email).await;
            assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
            app.advance(Duration::from_secs(70));
        }
        // For a moment both cached profiles showed the address.
        assert_eq!(alarms(), index + 1);
    }
}

#[tokio::test]
async fn moved_email_of_an_invalidated_profile_is_learned() {
    let app = with_unique(&KINDS).await;
    cache_by_id(&app, ALVA).await;
    app.engage.move_email(ALVA.id, DORA.id);
    invalidate_profile(&app, ALVA).await;
    cache_by_id(&app, DORA).await;
    let answer = by(&app, "email", ALVA.email).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    assert_eq!(app.engage.total_calls(), 0);
    assert_eq!(alarms(), 0);
}

#[tokio::test]
async fn email_of_two_cached_contacts_raises_an_alarm_and_calls_engage() {
    let app = with_cached(DORA).await;
    assert_eq!(conflicts(&app, "email").await, 0);
    let shared = by(&app, "email", DORA.email).await;
    assert_eq!(shared.assert_ok().at("/contactId"), DORA.id);
    for _ in 0..3 {
        cache_by_id(&app, DINA).await;
        cache_by_id(&app, DORA).await;
    }
    assert_eq!((alarms(), conflicts(&app, "email").await), (1, 1));
    for _ in 0..8 {
        app.engage.reset_log();
        by(&app, "email", DORA.email)
            .await
            .assert_problem(409, "MultipleMatches");
        assert_eq!(app.engage.calls(Endpoint::ContactIdLookup), 1);
        app.advance(Duration::from_secs(65));
        cache_by_id(&app, DORA).await;
        cache_by_id(&app, DINA).await;
    }
    assert_eq!((alarms(), conflicts(&app, "email").await), (1, 1));
    // Their other identifiers are not affected.
    by(&app, "mobilePhone", DORA.phone)
        .await
        .assert_ok()
        .assert_hit();
    by(&app, "mobilePhone", DINA.phone)
        .await
        .assert_ok()
        .assert_hit();
    assert_eq!(conflicts(&app, "mobilePhone").await, 0);
}

#[tokio::test]
async fn email_is_learned_again_after_the_overview_lag_has_passed() {
    let app = with_cached(DORA).await;
    cache_by_id(&app, DINA).await;
    assert_eq!(alarms(), 1);
    app.engage.contact(DINA.id).email("dina@example.com");
    app.advance(LAG);
    cache_by_id(&app, DINA).await;
    cache_by_id(&app, DORA).await;
    let shared = by(&app, "email", DORA.email).await;
    assert_eq!(shared.assert_ok().at("/contactId"), DORA.id);
    let dina = by(&app, "email", "dina@example.com").await;
    assert_eq!(dina.assert_ok().at("/contactId"), DINA.id);
    assert_eq!(app.engage.total_calls(), 0);
    // Once both have it again, there is another conflict.
    app.engage.contact(DINA.id).email(DORA.email);
    app.advance(Duration::from_secs(95));
    cache_by_id(&app, DORA).await;
    cache_by_id(&app, DINA).await;
    assert_eq!(alarms(), 2);
}

#[tokio::test]
async fn protected_contact_with_the_same_email_is_a_conflict() {
    for first_is_protected in [true, false] {
        let app = with_unique(&KINDS).await;
        let (protected, other) = if first_is_protected {
            (DORA, DINA)
        } else {
            (DINA, DORA)
        };
        app.engage
            .contact(protected.id)
            .attribute("secrecyMarked", json!(true));
        cache_by_id(&app, other).await;
        cache_by_id(&app, protected).await;
        assert_eq!(alarms(), if first_is_protected { 1 } else { 2 });
        by(&app, "email", DORA.email)
            .await
            .assert_problem(409, "MultipleMatches");
    }
}

#[tokio::test]
async fn ambiguous_answer_of_engage_keeps_an_identifier_from_being_learned() {
    let app = with_unique(&KINDS).await;
    by(&app, "email", DORA.email)
        .await
        .assert_problem(409, "MultipleMatches");
    assert_eq!((alarms(), conflicts(&app, "email").await), (1, 1));
    cache_by_id(&app, DORA).await;
    by(&app, "email", DORA.email)
        .await
        .assert_problem(409, "MultipleMatches");
    app.advance(Duration::from_secs(35));
    by(&app, "email", DORA.email)
        .await
        .assert_problem(409, "MultipleMatches");
    assert_eq!(alarms(), 1);
}

#[tokio::test]
async fn purge_by_email_ends_a_learned_alias() {
    let app = with_cached(ALVA).await;
    let body = json!({"email": ALVA.email}).to_string();
    let purged = operate(&app, Method::POST, "/cache/purge", &body).await;
    assert_eq!(purged.status, 204);
    assert_calls_engage(&app, "mobilePhone", ALVA.phone)
        .await
        .assert_ok();
    app.engage.reset_log();
    by(&app, "customKey", ALVA.member_number)
        .await
        .assert_ok()
        .assert_hit();
    assert_eq!(app.engage.total_calls(), 0);
    // Until the overview's lag has passed, nothing is learned for a purged identifier.
    assert_calls_engage(&app, "email", ALVA.email)
        .await
        .assert_ok();
}

#[tokio::test]
async fn purge_by_email_discards_aliases_of_a_call_in_flight() {
    let app = with_unique(&KINDS).await;
    let held = app.engage.hold(Endpoint::Overview);
    let by_id = app.spawn_get(&format!("contactId={}&parts=none", ALVA.id));
    app.engage.wait_for_calls(Endpoint::Overview, 1).await;
    let body = json!({"email": ALVA.email}).to_string();
    operate(&app, Method::POST, "/cache/purge", &body).await;
    app.engage
        .contact(ALVA.id)
        .attribute("firstName", json!("Alvina"));
    held.release();
    by_id.await.expect("an answer").assert_ok();
    for (kind, value) in identifiers(ALVA) {
        let answer = by(&app, kind, value).await;
        assert_eq!(
            answer.assert_ok().at("/profile/firstName"),
            "Alvina",
            "{kind}"
        );
    }
}

#[tokio::test]
async fn deleted_contact_is_not_found_by_its_learned_aliases() {
    let app = with_cached(ALVA).await;
    app.engage.contact(ALVA.id).delete();
    let purged = app.customers.purge(id(ALVA.id)).await;
    purged.expect("there is no shared tier");
    app.customers
        .drop_negatives()
        .await
        .expect("there is no shared tier");
    for (kind, value) in identifiers(ALVA) {
        by(&app, kind, value)
            .await
            .assert_problem(404, "ContactNotFound");
    }
}

#[tokio::test]
async fn updated_contact_is_found_by_the_aliases_that_it_still_has() {
    let app = with_cached(ALVA).await;
    app.engage.contact(ALVA.id).email("alva.new@example.com");
    invalidate_profile(&app, ALVA).await;
    app.engage.reset_log();
    let answer = by(&app, "mobilePhone", ALVA.phone).await;
    assert_eq!(
        answer.assert_ok().at("/profile/email"),
        "alva.new@example.com"
    );
    assert_eq!(app.engage.calls(Endpoint::Contact), 1);
    by(&app, "email", "alva.new@example.com")
        .await
        .assert_ok()
        .assert_hit();
    assert_eq!(app.engage.total_calls(), 1);
    by(&app, "email", ALVA.email)
        .await
        .assert_problem(404, "ContactNotFound");
}

#[tokio::test]
async fn overview_that_contradicts_an_entity_profile_is_resolved() {
    let app = with_cached(ALVA).await;
    invalidate_profile(&app, ALVA).await;
    cache_by_id(&app, ALVA).await;
    app.engage.move_email(ALVA.id, DORA.id);
    app.advance(Duration::from_secs(91));
    let answer = by(&app, "email", ALVA.email).await;
    assert_eq!(answer.assert_ok().at("/contactId"), DORA.id);
    assert!(app.engage.total_calls() <= 3);
}
