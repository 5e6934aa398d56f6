//! What an invalidation drops, marks and remembers.

use std::time::Duration;

use engage_bff::{
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        Covered, FetchCommand, InvalidateReply, MessageName, StoreCommand, Subject,
    },
};

use crate::harness::{
    ANNA, BERT, LAG, SECOND, Tier, assert_busy, assert_leased, fetch, nothing, parts_of, purge,
    store, wait,
};

const CONTACT: Subject = Subject::Contact(ANNA);
/// The least time that is left of [`LAG`] during a test.
const ALMOST_LAG: Duration = Duration::from_secs(LAG.as_secs() - 1);
const MESSAGE: MessageName = MessageName(*b"a message's name");

#[tokio::test]
async fn values_of_covered_parts_are_dropped_and_others_stay() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    tier.fill(BERT, "data").await;
    tier.invalidate(parts_of(ANNA, &[Part::Points, Part::Promotions]))
        .await;
    let left = tier.served(ANNA).await;
    assert_eq!(left, ["data profile", "data audiences", "data vouchers"]);
    assert_eq!(tier.served(BERT).await.len(), Part::COUNT);
}

#[tokio::test]
async fn one_command_covers_several_contacts() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    tier.fill(BERT, "data").await;
    let mut command = purge(ANNA);
    command.contacts.push(Covered {
        contact: BERT,
        parts: PartSet::of(&[Part::Profile]),
        is_purge: false,
    });
    tier.invalidate(command).await;
    assert!(tier.served(ANNA).await.is_empty());
    assert_eq!(tier.served(BERT).await.len(), Part::COUNT - 1);
}

#[tokio::test]
async fn leases_of_covered_parts_end_and_others_stay() {
    let tier = Tier::start().await;
    let of = |parts| FetchCommand {
        fetched: parts,
        ..fetch(CONTACT)
    };
    tier.fetch(of(PartSet::of(&[Part::Points, Part::Profile])))
        .await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    let profile = tier.fetch(of(PartSet::of(&[Part::Profile]))).await;
    assert_busy(&profile);
    let points = tier.fetch(of(PartSet::of(&[Part::Points]))).await;
    assert_leased(&points);
}

#[tokio::test]
async fn covered_parts_are_filled_only_by_the_entity_endpoint() {
    let tier = Tier::start().await;
    tier.invalidate(parts_of(ANNA, &[Part::Points, Part::Audiences]))
        .await;
    let lease = tier.lease(CONTACT).await;
    let rest = tier.fetch(fetch(CONTACT)).await.entity_only;
    assert!(rest[Part::Points] > ALMOST_LAG && rest[Part::Points] <= LAG);
    assert_eq!(
        rest[Part::Audiences],
        Duration::ZERO,
        "they have no other endpoint"
    );
    assert_eq!(rest[Part::Profile], Duration::ZERO);
    let overview = StoreCommand {
        from_overview: PartSet::ALL,
        ..store(lease, ANNA, "overview")
    };
    let reply = tier.store(overview).await;
    assert_eq!(reply.overtaken, PartSet::EMPTY);
    assert_eq!(
        reply.stored,
        PartSet::of(&[
            Part::Profile,
            Part::Audiences,
            Part::Promotions,
            Part::Vouchers
        ])
    );
    let lease = tier.lease(CONTACT).await;
    let mut entity = store(lease, ANNA, "entity");
    entity.parts =
        PartMap::from_fn(|part| entity.parts[part].clone().filter(|_| part == Part::Points));
    assert_eq!(
        tier.store(entity).await.stored,
        PartSet::of(&[Part::Points])
    );
}

#[tokio::test]
async fn a_mark_ends_by_itself() {
    let tier = Tier::start().await;
    let mut command = parts_of(ANNA, &[Part::Points]);
    command.entity_only = Duration::from_millis(400);
    tier.invalidate(command).await;
    assert!(tier.peek(CONTACT).await.entity_only[Part::Points] > Duration::ZERO);
    wait(Duration::from_millis(420)).await;
    assert_eq!(tier.peek(CONTACT).await.entity_only, PartMap::default());
    let lease = tier.lease(CONTACT).await;
    let overview = StoreCommand {
        from_overview: PartSet::ALL,
        ..store(lease, ANNA, "overview")
    };
    assert_eq!(tier.store(overview).await.stored, PartSet::ALL);
}

#[tokio::test]
async fn a_shorter_mark_never_shortens_a_longer_one() {
    let tier = Tier::start().await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    let mut shorter = parts_of(ANNA, &[Part::Points]);
    shorter.entity_only = SECOND;
    tier.invalidate(shorter).await;
    assert!(tier.peek(CONTACT).await.entity_only[Part::Points] > ALMOST_LAG);
}

#[tokio::test]
async fn something_new_from_an_entity_endpoint_marks_its_part() {
    let tier = Tier::start().await;
    let lease = tier.lease(CONTACT).await;
    let mut command = store(lease, ANNA, "entity");
    command.entity_only[Part::Vouchers] = LAG;
    tier.store(command).await;
    let marks = tier.peek(CONTACT).await.entity_only;
    assert!(marks[Part::Vouchers] > ALMOST_LAG && marks[Part::Points].is_zero());
}

#[tokio::test]
async fn a_purge_drops_everything_and_marks_what_can_be_marked() {
    let tier = Tier::start().await;
    tier.fill(ANNA, "data").await;
    tier.lease(CONTACT).await;
    tier.invalidate(purge(ANNA)).await;
    let peeked = tier.peek(CONTACT).await;
    assert_eq!(
        (peeked.parts, peeked.busy),
        (PartMap::default(), Duration::ZERO)
    );
    for (part, mark) in peeked.entity_only.iter() {
        assert_eq!(
            !mark.is_zero(),
            PartSet::INVALIDATABLE.contains(part),
            "{part:?}"
        );
    }
    let key = tier.contact_key(ANNA);
    assert_eq!(
        tier.server.command(&[b"EXISTS", &key[..]]),
        redis::Value::Int(0)
    );
}

#[tokio::test]
async fn a_remembered_message_does_nothing_again() {
    let tier = Tier::start().await;
    let mut command = parts_of(ANNA, &[Part::Points]);
    command.message = Some((MESSAGE, 60 * SECOND));
    let first = tier.invalidate(command.clone()).await;
    assert!(matches!(first, InvalidateReply::Written(_)), "{first:?}");
    tier.fill(ANNA, "data").await;
    let length = tier.server.command(&["XLEN", &tier.stream()]);
    assert_eq!(
        tier.invalidate(command.clone()).await,
        InvalidateReply::Repeated
    );
    assert_eq!(tier.served(ANNA).await.len(), Part::COUNT);
    assert_eq!(tier.server.command(&["XLEN", &tier.stream()]), length);
    command.message = Some((MessageName(*b"another message!"), 60 * SECOND));
    assert!(matches!(
        tier.invalidate(command).await,
        InvalidateReply::Written(_)
    ));
}

#[tokio::test]
async fn a_message_is_forgotten_after_its_time() {
    let tier = Tier::start().await;
    let mut command = nothing();
    command.message = Some((MESSAGE, Duration::from_millis(40)));
    tier.invalidate(command.clone()).await;
    wait(Duration::from_millis(60)).await;
    assert!(matches!(
        tier.invalidate(command).await,
        InvalidateReply::Written(_)
    ));
}
