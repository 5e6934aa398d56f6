//! SIGHUP: the real process reads its real files again.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_simulator::fixtures::{ALVA, BO};
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{
    harness::{MINIMAL, Service, Started, engage, path, temp_file},
    wire::{Tally, answer, ask, get},
};

const RELOADED: &str = "configuration reloaded";
const FAILED: &str = "configuration reload failed; nothing changed";
/// The events that end a reload.
const ENDS: [&str; 2] = [RELOADED, FAILED];

/// The key of the client that [`MINIMAL`] has.
const TILL: &str = "test-till-key";
/// The keys of a second client, with their digests.
const SHOP: (&str, &str) = (
    "test-shop-key",
    "e5249de586268b731d323d859d06ff8f401cefe0e350238514840edfd8c6995f",
);
const READER: (&str, &str) = (
    "test-reader-key",
    "c84e0916ac2bc43a1821afb14a4daac8ecc1d16aa4f6bbb47e998f557074058b",
);

/// The number of connections that are kept open, and the pause between two requests on each.
const CONNECTIONS: usize = 40;
const PAUSE: Duration = Duration::from_millis(5);

/// A second client with the keys of these digests.
fn shop(digests: &[&str]) -> String {
    format!(
        "[[auth.clients]]\nid = \"shop\"\nkey_sha256 = {digests:?}\nscopes = [\"customer:read\"]\n"
    )
}

fn look_up(key: &str, contact: &str) -> String {
    format!(
        "GET /customer?contactId={contact} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {key}\r\n\r\n"
    )
}

async fn status(address: SocketAddr, key: &str) -> u16 {
    let answer = ask(address, &look_up(key, ALVA.id)).await;
    answer.expect("a response").status
}

/// Writes the configuration, sends SIGHUP, and returns the event that ends the reload.
fn reload(service: &mut Started, toml: &str) -> Value {
    service.configure(toml);
    service.signal("HUP");
    service.event(&ENDS)
}

/// The value of a metric, as it is written.
async fn metric(service: &Started, name: &str) -> String {
    let metrics = ask(service.operations, &get("/metrics"))
        .await
        .expect("a response");
    let mut lines = metrics.body.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.expect("the metric").to_owned()
}

#[tokio::test]
async fn bad_file_changes_nothing_and_a_good_one_takes_effect() {
    let engage = engage().await;
    let mut service = Service::new().asks(&engage).file(&shop(&[SHOP.1])).start();
    assert_eq!(status(service.data, SHOP.0).await, 200);
    let before = metric(&service, "engage_bff_last_reload_success_timestamp_seconds").await;
    for bad in [
        "",
        "[auth\n",
        &format!("{MINIMAL}[cache]\nbogus = 1\n"),
        &format!("{MINIMAL}{}", shop(&["too short"])),
    ] {
        let event = reload(&mut service, bad);
        assert_eq!(event["message"], FAILED, "{bad}");
        assert_eq!(
            (&event["level"], &event["alarm"]),
            (&"ERROR".into(), &true.into())
        );
        assert_eq!(status(service.data, SHOP.0).await, 200);
        assert_eq!(metric(&service, "engage_bff_last_reload_failed").await, "1");
    }
    let after = metric(&service, "engage_bff_last_reload_success_timestamp_seconds").await;
    assert_eq!(before, after);
    let event = reload(&mut service, MINIMAL);
    assert_eq!(event["message"], RELOADED);
    assert_eq!(event["changed"], "auth.clients[shop]");
    assert_eq!(
        [
            status(service.data, SHOP.0).await,
            status(service.data, TILL).await
        ],
        [401, 200]
    );
    assert_eq!(metric(&service, "engage_bff_last_reload_failed").await, "0");
    assert_eq!(
        metric(&service, "engage_bff_reloads_total{outcome=\"failed\"}").await,
        "4"
    );
}

/// Sends look-ups over one connection until `stop`, or until a response is not a 200.
async fn keep_asking(
    address: SocketAddr,
    key: &str,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Tally {
    let request = look_up(key, ALVA.id);
    let mut stream = TcpStream::connect(address).await.expect("accepted");
    let mut ticks = tokio::time::interval(PAUSE);
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) && tally.ask(&mut stream, &request).await {
        answered.fetch_add(1, Ordering::Relaxed);
        ticks.tick().await;
    }
    tally
}

/// Waits for that many more responses.
async fn until_answered(answered: &AtomicUsize, more: usize) {
    let goal = answered.load(Ordering::Relaxed) + more;
    let mut ticks = tokio::time::interval(PAUSE);
    while answered.load(Ordering::Relaxed) < goal {
        ticks.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_under_load_without_a_failed_request() {
    let engage = engage().await;
    let mut service = Service::new().asks(&engage).file(&shop(&[SHOP.1])).start();
    assert_eq!(status(service.data, TILL).await, 200);
    let calls = engage.total_calls();
    let (answered, stop) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (mut others, mut rotating) = (JoinSet::new(), JoinSet::new());
    for _ in 0..CONNECTIONS {
        others.spawn(keep_asking(
            service.data,
            TILL,
            answered.clone(),
            stop.clone(),
        ));
        rotating.spawn(keep_asking(
            service.data,
            SHOP.0,
            answered.clone(),
            stop.clone(),
        ));
    }
    until_answered(&answered, 4 * CONNECTIONS).await;
    // Both keys are accepted, then the new one alone.
    reload(
        &mut service,
        &format!("{MINIMAL}{}", shop(&[SHOP.1, READER.1])),
    );
    until_answered(&answered, 4 * CONNECTIONS).await;
    assert_eq!(status(service.data, READER.0).await, 200);
    assert_eq!(rotating.len(), CONNECTIONS);
    reload(&mut service, &format!("{MINIMAL}{}", shop(&[READER.1])));
    // Everything sent from here on with the old key is refused, also on connections that are kept open.
    while let Some(one) = rotating.join_next().await {
        let lost = one.expect("no panic").lost;
        assert!(lost.len() == 1 && lost[0].starts_with("401 "), "{lost:?}");
    }
    assert_eq!(
        [
            status(service.data, SHOP.0).await,
            status(service.data, READER.0).await
        ],
        [401, 200]
    );
    until_answered(&answered, 4 * CONNECTIONS).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(one) = others.join_next().await {
        let lost = one.expect("no panic").lost;
        assert!(lost.is_empty(), "{lost:?}");
    }
    // All of them were hits.
    assert_eq!(engage.total_calls(), calls);
}

#[tokio::test]
async fn removed_key_is_refused_with_the_next_request_of_an_open_connection() {
    let engage = engage().await;
    let mut service = Service::new().asks(&engage).file(&shop(&[SHOP.1])).start();
    let mut kept = TcpStream::connect(service.data).await.expect("accepted");
    for (expected, toml) in [(200, None), (200, None), (401, Some(MINIMAL))] {
        if let Some(toml) = toml {
            reload(&mut service, toml);
        }
        let request = look_up(SHOP.0, ALVA.id);
        kept.write_all(request.as_bytes()).await.expect("sent");
        let answer = answer(&mut kept).await.expect("one").expect("a response");
        assert_eq!(answer.status, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn secret_from_a_file_is_reread_and_one_from_a_variable_stays() {
    let engage = engage().await;
    let key = temp_file(engage.api_key());
    let mut service = Service::new()
        .env("BFF_ENGAGE__BASE_URL", &engage.base_url())
        .env("BFF_ENGAGE__API_KEY_FILE", path(&key))
        .env("BFF_OPERATIONS__TOKEN", "an-operators-token")
        .start_with(&MINIMAL.replace("api_key = \"a-key\"", ""));
    assert_eq!(status(service.data, TILL).await, 200);
    engage.accept_api_keys(&["another-engage-key"]);
    fs::write(key.path(), "another-engage-key\n").expect("a writable file");
    service.signal("HUP");
    let event = service.event(&ENDS);
    assert_eq!(
        (&event["message"], &event["changed"]),
        (&RELOADED.into(), &"engage.api_key".into())
    );
    let fetched = ask(service.data, &look_up(TILL, BO.id))
        .await
        .expect("a response");
    assert_eq!(fetched.status, 200, "{fetched:?}");
    // The token of the variable is accepted as before, and no other.
    let mut statuses = Vec::new();
    for authorization in ["Authorization: Bearer an-operators-token\r\n", ""] {
        let request = format!(
            "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{authorization}\r\n"
        );
        let answer = ask(service.operations, &request).await;
        statuses.push(answer.expect("a response").status);
    }
    assert_eq!(statuses, [200, 401]);
    assert_eq!(service.event(&ENDS)["message"], RELOADED);
    // The file of the key is gone: nothing changes.
    fs::remove_file(key.path()).expect("a file");
    service.signal("HUP");
    let event = service.event(&ENDS);
    assert_eq!(event["message"], FAILED);
    let mistakes = event["mistakes"].as_str().expect("text");
    assert!(
        mistakes.starts_with("engage.api_key_file: can't be read"),
        "{mistakes}"
    );
}

#[tokio::test]
async fn log_filter_is_replaced_and_the_rest_needs_a_restart() {
    let mut service = Service::new().start();
    let ready = async |service: &Started| {
        let answer = ask(service.operations, &get("/readyz"))
            .await
            .expect("a response");
        serde_json::from_str::<Value>(&answer.body).expect("JSON")
    };
    assert_eq!(ready(&service).await["reload"]["at"], Value::Null);
    let more = "[telemetry]\nlog = \"debug\"\n[server]\nidle_timeout = \"76s\"\n";
    let event = reload(&mut service, &format!("{MINIMAL}{more}"));
    assert_eq!(
        (&event["message"], &event["changed"]),
        (&RELOADED.into(), &"telemetry.log".into())
    );
    let event = service.event(&["setting changed; needs a restart"]);
    assert_eq!(event["key"], "server.idle_timeout");
    let reload_status = ready(&service).await["reload"].clone();
    assert!(reload_status["at"].is_string(), "{reload_status}");
    assert_eq!(
        reload_status["needsRestart"],
        serde_json::json!(["server.idle_timeout"])
    );
    // The probe's event, at debug.
    let event = service.event(&["answered"]);
    assert_eq!(event["level"], "DEBUG");
    // A value that the open-files limit or the free ports changed does not count as a change.
    let event = reload(&mut service, MINIMAL);
    assert_eq!(event["changed"], "telemetry.log");
    assert_eq!(
        ready(&service).await["reload"]["needsRestart"],
        serde_json::json!([])
    );
}
