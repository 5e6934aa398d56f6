//! S3: data that was requested before an invalidation never enters the server or any memory after it.

use engage_simulator::{Endpoint, fixtures::ALVA};
use serde_json::json;

use crate::harness::{Replicas, until};

/// What happens to the server before the old data is stored: before or after the invalidation.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Nothing,
    Keys(&'static str),
    Evicted,
    Flushed,
    Restarted,
}

const LOSSES: [Loss; 9] = [
    Loss::Nothing,
    Loss::Keys("*:s"),
    Loss::Keys("*:c:*"),
    Loss::Keys("*:a:*"),
    Loss::Keys("*:e"),
    Loss::Keys("*epoch"),
    Loss::Evicted,
    Loss::Flushed,
    Loss::Restarted,
];

async fn lose(replicas: &mut Replicas, loss: Loss) {
    match loss {
        Loss::Nothing => {}
        Loss::Keys(pattern) => {
            for key in replicas.keys(pattern) {
                replicas.redis.command(&[&b"DEL"[..], &key[..]]);
            }
        }
        Loss::Evicted => {
            replicas.redis.set("maxmemory-policy", "allkeys-random");
            replicas.redis.set("maxmemory", "1");
            // Replicas write all the time.
            until(async || replicas.redis.info("stats", "evicted_keys").as_deref() != Some("0"))
                .await;
            replicas.redis.set("maxmemory", "0");
        }
        Loss::Flushed => replicas.redis.flush(),
        Loss::Restarted => replicas.redis.restart_with_keys(),
    }
}

/// A flight of one replica has the old data while another replica acknowledges an invalidation.
async fn store_after(loss: Loss, is_purge: bool, loses_first: bool) {
    let mut replicas = Replicas::start().await;
    let query = format!("email={}", ALVA.email);
    let hold = replicas.engage.hold(Endpoint::All);
    let early = replicas.all[0].spawn_get(&query);
    replicas.engage.wait_for_calls(Endpoint::Overview, 1).await;
    until(async || hold.waiting() >= 1).await;
    if loses_first {
        lose(&mut replicas, loss).await;
        replicas.until_available().await;
    }
    let editor = replicas.engage.contact(ALVA.id);
    editor.attribute("firstName", json!("New")).points("1234");
    for event in ["contact.updated", "point.balance.updated"] {
        // The sender repeats a delivery that failed because the server had no epoch.
        let signed = replicas.engage.webhook(event, ALVA.id);
        until(async || {
            let status = if is_purge {
                replicas.all[1].purge(ALVA.id).await
            } else {
                replicas.all[1].deliver(signed.clone()).await
            };
            status == 204
        })
        .await;
    }
    if !loses_first {
        lose(&mut replicas, loss).await;
    }
    hold.release();
    early.await.expect("no panic").assert_ok();
    replicas.until_available().await;
    // A replica with an empty memory shows the server's data.
    replicas.all.push(replicas.another().await);
    replicas.until_available().await;
    for replica in replicas.all.iter().rev() {
        for query in [&query, &format!("contactId={}", ALVA.id)] {
            let answer = replica.get(query).await;
            answer.assert_ok();
            assert_eq!(answer.at("/profile/firstName"), "New", "{loss:?}");
            assert_eq!(answer.at("/points/balance"), json!(1234), "{loss:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_after_a_webhook_and_a_loss_brings_nothing_back() {
    for loss in LOSSES {
        store_after(loss, false, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_after_a_loss_and_a_webhook_brings_nothing_back() {
    for loss in LOSSES {
        store_after(loss, false, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_after_a_purge_and_a_loss_brings_nothing_back() {
    for loss in LOSSES {
        store_after(loss, true, false).await;
    }
}
