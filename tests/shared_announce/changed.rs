//! A change that a caller reports to one replica.

use std::time::Duration;

use engage_bff::{config::Config, domain::IdentifierKind};
use engage_simulator::{
    Endpoint, VoucherSeed,
    fixtures::{ALVA, DORA},
};
use serde_json::{Value, json};

use crate::{
    replicas::{Answer, Replica, World, by_email},
    standin::{Fault, Operation},
};

const VOUCHER: &str = "8d31c000-2001-4c22-b002-b2d200c00001";
const UNKNOWN: &str = "new@example.com";

fn alvas_email() -> Value {
    json!({"email": ALVA.email, "contactType": "Member"})
}

/// Starts two replicas. Those that `held` selects have Alva in memory; then one of her vouchers is redeemed.
async fn world(change: impl Fn(&mut Config), held: impl Fn(&World) -> Vec<&Replica>) -> World {
    let world = World::start(change).await;
    for replica in held(&world) {
        let query = by_email(ALVA.email);
        let first = world.while_time_passes(replica.get(&query)).await;
        first.assert_status(200);
        replica.get(&query).await.assert_hit();
    }
    world.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
    world
}

/// The number of operations of this kind by all replicas.
fn calls(world: &World, operation: Operation) -> usize {
    let calls = world.standin.calls();
    calls.iter().filter(|(_, call)| *call == operation).count()
}

#[track_caller]
fn assert_vouchers(answer: &Answer, expected: usize) {
    answer.assert_status(200);
    let vouchers = answer.at("/vouchers");
    assert_eq!(vouchers.as_array().map(Vec::len), Some(expected));
    assert_eq!(answer.at("/degraded"), json!([]));
}

async fn vouchers_of(world: &World, replica: &Replica, query: &str, expected: usize) {
    let answer = world.while_time_passes(replica.get(query)).await;
    assert_vouchers(&answer, expected);
}

#[tokio::test]
async fn report_by_contact_id_reaches_the_other_replica() {
    let with_lag = |config: &mut Config| {
        config.engage.overview_lag = Duration::from_secs(600);
    };
    let world = world(with_lag, |world| vec![&world.a, &world.b]).await;
    let body = json!({"contactId": ALVA.id, "parts": ["vouchers"]});
    let called = world.engage.total_calls();
    world.a.report(body).await.assert_status(204);
    world.settle().await;
    assert_eq!(world.engage.total_calls(), called);
    // One call serves both replicas.
    for replica in [&world.b, &world.a] {
        vouchers_of(&world, replica, &by_email(ALVA.email), 1).await;
    }
    assert_eq!(world.engage.calls(Endpoint::Vouchers), 1);
}

#[tokio::test]
async fn address_that_only_the_other_replica_knows_is_read_from_the_tier() {
    let world = world(|_| {}, |world| vec![&world.a]).await;
    let before = (
        calls(&world, Operation::Peek),
        calls(&world, Operation::Fetch),
        calls(&world, Operation::Invalidate),
    );
    world.b.report(alvas_email()).await.assert_status(204);
    let after = (
        calls(&world, Operation::Peek),
        calls(&world, Operation::Fetch),
        calls(&world, Operation::Invalidate),
    );
    // One `Peek`, which takes no lease, and the announcement.
    assert_eq!(after, (before.0 + 1, before.1, before.2 + 1));
    world.settle().await;
    for replica in [&world.a, &world.b] {
        vouchers_of(&world, replica, &by_email(ALVA.email), 1).await;
        vouchers_of(&world, replica, &format!("contactId={}", ALVA.id), 1).await;
    }
    // The alias in the tier is still valid, so it is not resolved again.
    assert_eq!(world.engage.calls(Endpoint::ContactIdLookup), 0);
}

#[tokio::test]
async fn address_only_in_another_replicas_memory_reaches_the_contact() {
    let with_short_aliases = |config: &mut Config| {
        config.cache.profile_lifetime = Duration::from_secs(10);
    };
    let world = world(with_short_aliases, |world| vec![&world.a]).await;
    // The alias in the tier expires; the vouchers there do not.
    world.run_for(Duration::from_secs(20)).await;
    let before = calls(&world, Operation::Invalidate);
    world.b.report(alvas_email()).await.assert_status(204);
    world.settle().await;
    // The other replica has also announced the contact that it found for the address.
    assert_eq!(calls(&world, Operation::Invalidate), before + 2);
    let query = format!("contactId={}", ALVA.id);
    for replica in [&world.b, &world.a] {
        assert_vouchers(&world.while_time_passes(replica.get(&query)).await, 1);
    }
}

#[tokio::test]
async fn address_of_a_deleted_contact_reaches_the_one_that_has_it_now() {
    let world =
        World::start(|config| config.identifiers.unique = vec![IdentifierKind::Email]).await;
    vouchers_of(&world, &world.a, &by_email(ALVA.email), 2).await;
    world.engage.contact(ALVA.id).delete();
    world.a.purge_contact(ALVA.id).await.assert_status(204);
    world.settle().await;
    // The tier still has the address's alias, of a contact that it no longer has. Only replica `b` knows the new one.
    world.engage.contact(DORA.id).email(ALVA.email);
    let query = format!("contactId={}", DORA.id);
    vouchers_of(&world, &world.b, &query, 0).await;
    let voucher = VoucherSeed::worth("10", "SEK").id(VOUCHER);
    world.engage.contact(DORA.id).add_voucher(voucher);
    world.a.report(alvas_email()).await.assert_status(204);
    world.settle().await;
    vouchers_of(&world, &world.b, &query, 1).await;
}

#[tokio::test]
async fn negative_entry_ends_at_every_replica() {
    let world = World::start(|config| {
        config.engage.overview_lag = Duration::from_secs(600);
    })
    .await;
    world.engage.set_overview_lag(Duration::from_secs(600));
    let (query, other) = (by_email(UNKNOWN), by_email("other@example.com"));
    for replica in [&world.a, &world.b] {
        replica.get(&query).await.assert_status(404);
        replica.get(&other).await.assert_status(404);
    }
    let attributes = json!({"email": UNKNOWN, "firstName": "Nova"});
    world.engage.create(attributes, "Member");
    let body = json!({"email": UNKNOWN, "contactType": "Member"});
    world.a.report(body).await.assert_status(204);
    world.settle().await;
    for replica in [&world.a, &world.b] {
        let answer = world.while_time_passes(replica.get(&query)).await;
        assert_eq!(answer.first_name(), "Nova");
    }
    let called = world.engage.total_calls();
    for replica in [&world.a, &world.b] {
        replica.get(&other).await.assert_status(404);
    }
    assert_eq!(world.engage.total_calls(), called, "other entries stand");
}

#[tokio::test]
async fn call_in_flight_at_another_replica_is_not_served() {
    for body in [alvas_email(), json!({"contactId": ALVA.id})] {
        let world = World::start(|_| {}).await;
        let query = by_email(ALVA.email);
        let hold = world.engage.hold(Endpoint::Overview);
        let reports = async {
            world.engage.wait_for_calls(Endpoint::Overview, 1).await;
            world.engage.contact(ALVA.id).redeem_voucher(VOUCHER);
            world.a.report(body.clone()).await.assert_status(204);
            world.run_for(Duration::from_millis(300)).await;
            drop(hold);
        };
        let answers = async { tokio::join!(world.b.get(&query), reports) };
        let (answer, ()) = world.while_time_passes(answers).await;
        assert_vouchers(&answer, 1);
        for replica in [&world.a, &world.b] {
            let answer = world.while_time_passes(replica.get(&query)).await;
            assert_vouchers(&answer, 1);
        }
    }
}

#[tokio::test]
async fn report_that_cannot_be_announced_is_503_and_holds_here() {
    for body in [alvas_email(), json!({"contactId": ALVA.id})] {
        let world = world(|_| {}, |world| vec![&world.a, &world.b]).await;
        let query = by_email(ALVA.email);
        world.a.connection.cut(true);
        let answer = world.a.report(body).await;
        answer.assert_not_shared();
        let detail = answer.at("/detail");
        let detail = detail.as_str().expect("text");
        assert!(detail.contains("at this one alone"), "{detail}");
        vouchers_of(&world, &world.a, &query, 1).await;
        vouchers_of(&world, &world.b, &query, 2).await;
        // The report is announced automatically once the tier can be reached.
        world.a.connection.cut(false);
        world.run_for(Duration::from_secs(6)).await;
        vouchers_of(&world, &world.b, &query, 1).await;
    }
}

#[tokio::test]
async fn unknown_address_is_503_where_the_tier_cannot_be_read() {
    let world = world(|_| {}, |world| vec![&world.a]).await;
    let query = by_email(ALVA.email);
    world
        .standin
        .fault_next(Operation::Peek, Fault::Unreachable);
    world.b.report(alvas_email()).await.assert_not_shared();
    world.run_for(Duration::from_secs(6)).await;
    world.b.report(alvas_email()).await.assert_status(204);
    world.settle().await;
    for replica in [&world.a, &world.b] {
        vouchers_of(&world, replica, &query, 1).await;
    }
}
