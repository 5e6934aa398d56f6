//! S7: nothing in the server is readable, nothing stays for ever, and a purged contact is gone.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    thread::{JoinHandle, spawn},
};

use engage_simulator::fixtures::ALVA;
use serde_json::json;

use crate::harness::{Replicas, TILL, until};

/// A mark with letters, which no timestamp contains by chance.
const MEMBER_NUMBER: &str = "zmark4711";

/// Everything that clients send to the server, and the commands of scripts, as `MONITOR` shows them.
struct Monitor {
    stream: TcpStream,
    reading: JoinHandle<Vec<u8>>,
}

impl Monitor {
    fn start(replicas: &Replicas) -> Self {
        let mut stream =
            TcpStream::connect(("127.0.0.1", replicas.redis.port())).expect("a running server");
        stream.write_all(b"MONITOR\r\n").expect("it reads");
        let mut reader = stream.try_clone().expect("a second handle");
        let reading = spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).expect("it can be read");
            bytes
        });
        Self { stream, reading }
    }

    /// The output, with its escapes decoded to bytes.
    fn stop(self) -> Vec<u8> {
        self.stream.shutdown(Shutdown::Both).expect("it is open");
        unescaped(&self.reading.join().expect("no panic"))
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let hex = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        };
        match rest {
            [b'x', high, low, tail @ ..] if hex(&[*high, *low]).is_some() => {
                bytes.extend(hex(&[*high, *low]));
                rest = tail;
            }
            [other, tail @ ..] => {
                bytes.push(match other {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                });
                rest = tail;
            }
            [] => {}
        }
    }
    bytes
}

/// Every key, its TTL in milliseconds, and its value as `DUMP` serializes it and as its type's command shows it.
fn dump(replicas: &Replicas) -> Vec<(Vec<u8>, i64, Vec<u8>)> {
    let keys = replicas.keys("*").into_iter();
    keys.map(|key| {
        let command = |words: &[&[u8]]| replicas.redis.command(words);
        let ttl = redis::from_redis_value(command(&[b"PTTL", &key])).expect("a number");
        let kind: String = redis::from_redis_value(command(&[b"TYPE", &key])).expect("a type");
        let mut value = flat(&command(&[b"DUMP", &key]));
        // `DUMP` may compress values, which would hide text in them.
        value.extend(match kind.as_str() {
            "hash" => flat(&command(&[b"HGETALL", &key])),
            "zset" => flat(&command(&[b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"])),
            "stream" => flat(&command(&[b"XRANGE", &key, b"-", b"+"])),
            "string" => flat(&command(&[b"GET", &key])),
            kind => panic!("a key of type {kind}"),
        });
        (key, ttl, value)
    })
    .collect()
}

/// All bytes of a reply.
fn flat(value: &redis::Value) -> Vec<u8> {
    match value {
        redis::Value::BulkString(bytes) => bytes.clone(),
        redis::Value::Array(values) => values.iter().flat_map(flat).collect(),
        redis::Value::Map(pairs) => {
            let both = pairs
                .iter()
                .flat_map(|(key, value)| [flat(key), flat(value)]);
            both.flatten().collect()
        }
        redis::Value::SimpleString(text) => text.clone().into_bytes(),
        _ => Vec::new(),
    }
}

/// What must not be found: text in several forms, and contact ids as text and as bytes.
fn marked(ids: &[String], more: &[&str]) -> BTreeSet<Vec<u8>> {
    let mut marked = BTreeSet::new();
    for text in [
        ALVA.email,
        ALVA.phone,
        ALVA.national_id,
        MEMBER_NUMBER,
        ALVA.external_id,
        "Alva",
        "Testsson",
        "alva.testsson",
        "0701740605",
        "Provgatan",
        "test-engage-key",
        TILL,
        "firstName",
        "zmark",
    ]
    .iter()
    .chain(more)
    {
        marked.insert(text.as_bytes().to_vec());
        marked.insert(text.to_lowercase().into_bytes());
    }
    for id in ids {
        let hex = id.replace('-', "");
        marked.insert(id.clone().into_bytes());
        let bytes = (0..16).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16));
        marked.insert(bytes.collect::<Result<Vec<u8>, _>>().expect("hexadecimal"));
        marked.insert(hex.into_bytes());
    }
    marked
}

#[track_caller]
fn assert_has_none(what: &str, bytes: &[u8], marked: &BTreeSet<Vec<u8>>) {
    for value in marked {
        let found = memchr::memmem::find(bytes, value);
        if let Some(place) = found {
            let around = &bytes[place.saturating_sub(200)..(place + 100).min(bytes.len())];
            let (value, around) = (value.escape_ascii(), around.escape_ascii());
            panic!("{what} contains {value}: {around}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_personal_data_is_readable_in_the_server_or_on_the_wire() {
    let replicas = Replicas::start().await;
    let monitor = Monitor::start(&replicas);
    let mut messages = Vec::new();
    let people = replicas.people();
    let people = &people[..40];
    for (number, (id, email)) in people.iter().enumerate() {
        let [one, other] = [0, 1].map(|next| &replicas.all[(number + next) % 3]);
        let editor = replicas.engage.contact(id);
        editor.attribute("firstName", json!(format!("zmark {number}")));
        one.get(&format!("email={email}")).await.assert_ok();
        other.of(id).await.assert_ok();
        let event = [
            "contact.updated",
            "point.balance.updated",
            "contact.deleted",
        ][number % 3];
        let (headers, body) = replicas.engage.webhook(event, id);
        let message = headers["svix-id"].to_str().expect("text").to_owned();
        assert_eq!(other.deliver((headers, body)).await, 204);
        messages.push(message);
        one.get(&format!("contactId={id}&fresh=all")).await;
    }
    let editor = replicas.engage.contact(ALVA.id);
    editor.attribute("memberNumber", json!(MEMBER_NUMBER));
    let alva = [
        format!("email={}", ALVA.email),
        format!("mobilePhone={}", ALVA.phone.replace('+', "%2B")),
        format!("customKey={MEMBER_NUMBER}"),
        format!("contactId={}", ALVA.id),
        "email=zmark.unknown@example.com".to_owned(),
    ];
    for query in &alva {
        for replica in &replicas.all {
            let answer = replica.get(query).await;
            assert!(matches!(answer.status, 200 | 404), "{answer:?}");
        }
    }
    assert_eq!(replicas.all[1].purge(&people[1].0).await, 204);
    // Before the epoch ends, and after.
    let mut dumped = dump(&replicas);
    assert_eq!(
        replicas.all[2]
            .purge_by(&json!({"email": people[2].1}))
            .await,
        204
    );
    replicas.until_available().await;
    for query in &alva {
        replicas.all[0].get(query).await;
    }
    dumped.extend(dump(&replicas));
    let log = monitor.stop();
    assert!(log.len() > 10_000, "{}", log.len());
    assert!(dumped.len() > 100, "{}", dumped.len());

    let mut ids: Vec<String> = people.iter().map(|(id, _)| id.clone()).collect();
    ids.push(ALVA.id.to_owned());
    let more = people.iter().map(|(_, email)| &**email);
    let more = more
        .chain(messages.iter().map(String::as_str))
        .collect::<Vec<_>>();
    let marked = marked(&ids, &more);
    assert_has_none("the log of commands", &log, &marked);
    for (key, ttl, value) in &dumped {
        assert_has_none("a key", key, &marked);
        assert_has_none("a value", value, &marked);
        let key = key.escape_ascii();
        assert!(
            (1..=8 * 24 * 3600 * 1000).contains(ttl),
            "{key} lives for {ttl} ms"
        );
    }
    println!("{} bytes of commands, {} keys", log.len(), dumped.len());
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_contact_leaves_no_key_of_its_own() {
    let replicas = Replicas::start().await;
    let first = &replicas.all[0];
    first
        .get(&format!("email={}", ALVA.email))
        .await
        .assert_ok();
    first.of(ALVA.id).await.assert_ok();
    let contacts = replicas.keys("*:c:*");
    assert_eq!(contacts.len(), 1, "{contacts:?}");
    assert_eq!(replicas.all[1].purge(ALVA.id).await, 204);
    assert_eq!(replicas.keys("*:c:*"), Vec::<Vec<u8>>::new());
    // The contact's name may be left only in the marks, in aliases and in the stream.
    let name = &contacts[0][contacts[0].len() - 16..];
    for (key, _, value) in dump(&replicas) {
        let is_marks = key.ends_with(b":e");
        let has_name = memchr::memmem::find(&value, name).is_some();
        let is_alias = memchr::memmem::find(&key, b":a:").is_some();
        let is_stream = key.ends_with(b":s");
        assert!(
            !has_name || is_marks || is_alias || is_stream,
            "{}",
            key.escape_ascii()
        );
    }
    replicas.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_purge_by_identifier_the_old_epoch_is_swept() {
    let replicas = Replicas::start().await;
    for (id, email) in &replicas.people()[..20] {
        replicas.all[0]
            .get(&format!("email={email}"))
            .await
            .assert_ok();
        replicas.all[1].of(id).await.assert_ok();
    }
    let old: BTreeSet<_> = replicas
        .keys("*:c:*")
        .into_iter()
        .chain(replicas.keys("*:a:*"))
        .collect();
    assert!(old.len() >= 40, "{}", old.len());
    assert_eq!(
        replicas.all[0]
            .purge_by(&json!({"email": ALVA.email}))
            .await,
        204
    );
    until(async || {
        let left = replicas.keys("*:?:*");
        !left.iter().any(|key| old.contains(key))
    })
    .await;
    replicas.stop().await;
}
