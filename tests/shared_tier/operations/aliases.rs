//! Aliases: those that lead to a contact, and negative values.

use std::time::Duration;

use engage_bff::{
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        FetchCommand, FetchOutcome, NewValue, ServerTime, StoreCommand, Subject,
    },
};

use crate::harness::{
    ANNA, ANNAS_MAIL, BERT, DAY, SECOND, Tier, assert_busy, assert_leased, fetch, negative,
    nothing, parts_of, purge, store, value, wait,
};

const ALIAS: Subject = Subject::Alias(ANNAS_MAIL);

async fn is_leased(tier: &Tier) -> bool {
    let reply = tier
        .fetch(FetchCommand {
            waits: false,
            ..fetch(ALIAS)
        })
        .await;
    assert_eq!(
        reply.alias.is_none(),
        reply.outcome != FetchOutcome::Served,
        "{reply:?}"
    );
    reply.outcome != FetchOutcome::Served
}

#[tokio::test]
async fn an_alias_leads_to_the_values_of_its_contact() {
    let tier = Tier::start().await;
    let stored = tier.fill_alias(ANNAS_MAIL, ANNA).await;
    assert!(stored.alias_stored && stored.stored == PartSet::ALL);
    let reply = tier.fetch(fetch(ALIAS)).await;
    assert_eq!(reply.outcome, FetchOutcome::Served);
    let alias = reply.alias.expect("it is returned");
    assert_eq!(alias.contact, Some(ANNA));
    assert_eq!(alias.value.sealed, "alias");
    assert_eq!(
        reply.parts[Part::Points]
            .as_ref()
            .expect("it is served")
            .sealed,
        "by alias points"
    );
    let peeked = tier.peek(ALIAS).await;
    assert_eq!(peeked.alias.expect("it is returned").contact, Some(ANNA));
    assert!(peeked.parts.iter().all(|(_, value)| value.is_some()));
}

#[tokio::test]
async fn an_alias_serves_a_flight_that_needs_no_parts() {
    let tier = Tier::start().await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    tier.invalidate(parts_of(ANNA, &[Part::Profile])).await;
    let alone = FetchCommand {
        needed: PartSet::EMPTY,
        ..fetch(ALIAS)
    };
    let reply = tier.fetch(alone).await;
    assert_eq!(reply.outcome, FetchOutcome::Served);
    assert!(reply.alias.is_some() && reply.parts[Part::Profile].is_none());
    assert!(reply.parts[Part::Points].is_some());
    assert!(reply.entity_only[Part::Profile] > 500 * SECOND);
}

#[tokio::test]
async fn a_purge_ends_every_alias_of_its_contact() {
    let tier = Tier::start().await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    tier.invalidate(purge(ANNA)).await;
    assert!(is_leased(&tier).await);
    // The contact that is stored anew is another generation, to which the alias does not lead.
    tier.fill(ANNA, "new").await;
    assert!(is_leased(&tier).await);
    let peeked = tier.peek(ALIAS).await;
    assert!(peeked.alias.is_some(), "operators see it");
    assert_eq!(peeked.parts, PartMap::default());
}

#[tokio::test]
async fn an_evicted_contact_ends_its_aliases() {
    let tier = Tier::start().await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    tier.server.command(&[b"DEL", &tier.contact_key(ANNA)[..]]);
    assert!(is_leased(&tier).await);
    tier.fill(ANNA, "new").await;
    assert!(is_leased(&tier).await);
}

#[tokio::test]
async fn a_contact_lives_as_long_as_its_alias() {
    let tier = Tier::start().await;
    let lease = tier.lease(ALIAS).await;
    let short = |text| NewValue {
        lifetime: Duration::from_millis(30),
        ..value(text)
    };
    let command = StoreCommand {
        alias: Some(value("alias")),
        parts: PartMap::from_fn(|_| Some(short("short"))),
        ..store(lease, ANNA, "")
    };
    tier.store(command).await;
    wait(Duration::from_millis(50)).await;
    let alone = FetchCommand {
        needed: PartSet::EMPTY,
        ..fetch(ALIAS)
    };
    assert_eq!(tier.fetch(alone).await.outcome, FetchOutcome::Served);
    assert!(tier.served(ANNA).await.is_empty());
}

#[tokio::test]
async fn an_alias_of_the_accepted_age_or_older_is_not_returned() {
    let tier = Tier::start().await;
    let lease = tier.lease(ALIAS).await;
    let command = StoreCommand {
        alias: Some(value("alias")),
        requested_at: ServerTime(lease.at.0 - 5000),
        ..store(lease, ANNA, "old")
    };
    tier.store(command).await;
    let accepts = |age| FetchCommand {
        max_alias_age: age,
        ..fetch(ALIAS)
    };
    assert_eq!(tier.fetch(accepts(DAY)).await.outcome, FetchOutcome::Served);
    let reply = tier.fetch(accepts(5 * SECOND)).await;
    assert_leased(&reply);
    assert!(reply.alias.is_none());
    assert_eq!(
        reply.parts,
        PartMap::default(),
        "without the alias, no contact is known"
    );
}

#[tokio::test]
async fn an_alias_has_one_lease_for_all_parts() {
    let tier = Tier::start().await;
    let of = |part| FetchCommand {
        fetched: PartSet::of(&[part]),
        ..fetch(ALIAS)
    };
    tier.fetch(of(Part::Profile)).await;
    let reply = tier.fetch(of(Part::Points)).await;
    assert_busy(&reply);
    assert!(tier.peek(ALIAS).await.busy > 8 * SECOND);
}

#[tokio::test]
async fn a_negative_value_serves_until_negative_values_are_invalidated() {
    let tier = Tier::start().await;
    let lease = tier.lease(ALIAS).await;
    assert!(tier.store(negative(lease)).await.alias_stored);
    let reply = tier.fetch(fetch(ALIAS)).await;
    assert_eq!(reply.outcome, FetchOutcome::Served);
    assert_eq!(reply.alias.expect("it is returned").contact, None);
    tier.invalidate(parts_of(BERT, &[Part::Profile])).await;
    assert!(!is_leased(&tier).await);
    let mut command = nothing();
    command.negatives = true;
    tier.invalidate(command).await;
    assert!(is_leased(&tier).await);
}

#[tokio::test]
async fn a_negative_value_requested_before_an_invalidation_never_serves() {
    let tier = Tier::start().await;
    let lease = tier.lease(ALIAS).await;
    let mut command = nothing();
    command.negatives = true;
    tier.invalidate(command).await;
    tier.store(negative(lease)).await;
    assert!(is_leased(&tier).await);
}

#[tokio::test]
async fn an_invalidation_of_negatives_leaves_aliases_that_lead_somewhere() {
    let tier = Tier::start().await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    let mut command = nothing();
    command.negatives = true;
    tier.invalidate(command).await;
    assert!(!is_leased(&tier).await);
}

#[tokio::test]
async fn the_value_that_was_requested_later_replaces_the_other() {
    let tier = Tier::start().await;
    let (first, second) = (tier.lease(ALIAS).await, tier.lease(ALIAS).await);
    let later = StoreCommand {
        requested_at: ServerTime(second.at.0 + 10),
        ..negative(second)
    };
    assert!(tier.store(later).await.alias_stored);
    let earlier = StoreCommand {
        alias: Some(value("alias")),
        ..store(first, ANNA, "data")
    };
    let reply = tier.store(earlier).await;
    assert!(!reply.alias_stored && !reply.alias_overtaken && reply.stored == PartSet::ALL);
    let found = tier.fetch(fetch(ALIAS)).await.alias.expect("the later one");
    assert_eq!(found.contact, None);
    let third = tier.lease(ALIAS).await;
    let latest = StoreCommand {
        alias: Some(value("alias")),
        requested_at: ServerTime(third.at.0 + 20),
        ..store(third, ANNA, "data")
    };
    assert!(tier.store(latest).await.alias_stored);
    let found = tier
        .fetch(fetch(ALIAS))
        .await
        .alias
        .expect("the latest one");
    assert_eq!(found.contact, Some(ANNA));
}

#[tokio::test]
async fn an_alias_needs_only_parts_that_its_call_could_fill() {
    let tier = Tier::start().await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    let reply = tier.fetch(fetch(ALIAS)).await;
    assert_eq!(reply.outcome, FetchOutcome::Served);
    assert!(reply.alias.is_some() && reply.parts[Part::Points].is_none());
    assert!(reply.entity_only[Part::Points] > Duration::ZERO);
    // A flight for the contact itself needs the part. A flight by the alias needs a part that is only too old.
    let reply = tier.fetch(fetch(Subject::Contact(ANNA))).await;
    assert_leased(&reply);
    let mut command = fetch(ALIAS);
    command.max_age[Part::Vouchers] = Duration::ZERO;
    let reply = tier.fetch(command).await;
    assert_leased(&reply);
}

#[tokio::test]
async fn an_alias_and_its_lease_are_dropped_without_their_contact() {
    let tier = Tier::start().await;
    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    tier.lease(ALIAS).await;
    let mut command = nothing();
    command.aliases = vec![ANNAS_MAIL];
    tier.invalidate(command).await;
    let reply = tier.fetch(fetch(ALIAS)).await;
    assert_leased(&reply);
    assert_eq!(tier.served(ANNA).await.len(), Part::COUNT);
}
