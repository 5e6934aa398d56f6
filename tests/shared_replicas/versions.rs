//! Replicas of two versions next to each other: data in another format is a miss, never an error.

use engage_simulator::fixtures::ALVA;
use serde_json::json;

use crate::harness::{Replicas, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_another_format_are_misses() {
    let replicas = Replicas::start().await;
    let [first, second, third] = &replicas.all[..] else {
        panic!("there are three");
    };
    let query = format!("email={}", ALVA.email);
    first.get(&query).await.assert_ok();
    let calls = replicas.engage.total_calls();
    let mut changed = 0;
    // The first byte of a sealed value is its format. It follows the fields that the server itself reads.
    for key in replicas
        .keys("*:c:*")
        .into_iter()
        .chain(replicas.keys("*:a:*"))
    {
        let fields = replicas.redis.command(&[b"HGETALL", &key[..]]);
        let fields: Vec<(Vec<u8>, Vec<u8>)> = redis::from_redis_value(fields).expect("a hash");
        for (field, mut value) in fields {
            // Values are long; all other fields of the hash are short.
            if let Some(format) = sealed(&mut value).and_then(|sealed| sealed.first_mut()) {
                *format ^= 0x40;
                changed += 1;
                replicas
                    .redis
                    .command(&[b"HSET", &key[..], &field[..], &value[..]]);
            }
        }
    }
    assert!(changed >= 5, "{changed}");
    let answer = second.get(&query).await;
    assert_eq!(answer.assert_ok().at("/contactId"), json!(ALVA.id));
    assert_eq!(answer.at("/degraded"), json!([]));
    assert!(replicas.engage.total_calls() > calls);
    assert!(second.shared.is_available());
    // It stored its own value, which others of its version can read.
    let calls = replicas.engage.total_calls();
    until(async || third.get(&query).await.cache_status().contains("; hit;")).await;
    assert!(replicas.engage.total_calls() <= calls + 1);
    replicas.stop().await;
}

/// The sealed bytes of a value, which begin after two numbers; `None` for other fields.
fn sealed(value: &mut [u8]) -> Option<&mut [u8]> {
    let mut spaces = value.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    let (second, _) = spaces.nth(1)?;
    let is_numbers = |byte: &u8| byte.is_ascii_digit() || *byte == b' ';
    if !value[..second].iter().all(is_numbers) {
        return None;
    }
    Some(&mut value[second + 1..]).filter(|sealed| sealed.len() > 16)
}
