//! The fault matrix: for every fault of Engage, what callers get with an empty, fresh or stale cache, how many calls it
//! costs, that nothing incomplete is cached, and that the effect ends with the fault.

mod rows;
mod time;

use std::time::Duration;

use engage_simulator::{
    Endpoint, Fault,
    fixtures::{ALVA, BO, CIM},
};
use serde_json::{Value, json};

pub(crate) use self::rows::busy;
use self::rows::{Row, raw};
use crate::harness::{Answer, POINTS_CALLS, TestApp, alarms};

const SECOND: Duration = Duration::from_secs(1);
/// How long a caller waits by default.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(2500);
/// How long a caller waits when a stale record may be served.
const STALE_IF_SLOW: Duration = Duration::from_millis(300);
/// Past every lifetime and its stale-while-revalidate window, except the audiences'.
const EXPIRED: Duration = Duration::from_secs(90);

fn by_email() -> String {
    format!("email={}&parts=none", ALVA.email)
}

/// Sends the request, and advances past the request timeout if the fault hangs.
async fn request(app: &TestApp, row: &Row, endpoint: Endpoint, query: &str) -> Answer {
    let calls = app.engage.calls(endpoint);
    let pending = app.spawn_get(query);
    if row.hangs {
        app.engage.wait_for_calls(endpoint, calls + 1).await;
        app.advance(REQUEST_TIMEOUT);
    }
    pending.await.expect("an answer")
}

/// Ends the fault, and advances past its recovery time.
fn end_fault(app: &TestApp, row: &Row) {
    app.engage.clear_faults();
    app.advance(row.recovers_within);
}

async fn calls_in_flight(app: &TestApp) -> Value {
    app.operations("/readyz").await.at("/engage/inFlight")
}

#[track_caller]
fn assert_error(row: &Row, answer: &Answer) {
    let what = row.what;
    assert_eq!(answer.status, row.status, "{what}: {}", answer.text());
    answer.assert_problem(row.status, row.code);
    for secret in ["alva", "Alva", "cim", ALVA.id] {
        assert!(!answer.text().contains(secret), "{what}: {}", answer.text());
    }
}

#[tokio::test]
async fn fault_on_a_miss_returns_its_error_and_caches_nothing() {
    for row in rows::all() {
        let what = row.what;
        let app = TestApp::spawn().await;
        let before = alarms();
        app.engage.fault(Endpoint::Overview, row.fault.clone());
        let answer = request(&app, &row, Endpoint::Overview, &by_email()).await;
        assert_error(&row, &answer);
        let wait = answer.header("retry-after");
        match &row.retry_after {
            Some(seconds) => {
                let wait: u64 = wait.parse().expect("seconds");
                assert!(seconds.contains(&wait), "{what}: {wait}");
            }
            None => assert_eq!(wait, "", "{what}"),
        }
        assert_eq!(app.engage.total_calls(), 1, "{what}");
        assert_eq!(alarms() - before, usize::from(row.is_alarm), "{what}");
        let counts = app.customers.counts();
        assert_eq!((counts.records, counts.aliases), (0, 0), "{what}");
        assert_eq!(counts.negatives, u64::from(row.is_negative), "{what}");

        end_fault(&app, &row);
        // A hanging call times out in the background.
        let recovered = app
            .get_until(&by_email(), |answer| answer.status == 200)
            .await;
        assert_eq!(recovered.at("/profile/email"), ALVA.email, "{what}");
        assert_eq!(recovered.at("/degraded"), json!([]), "{what}");
        let status = recovered.header("cache-status");
        assert!(status.starts_with("engage-bff; "), "{what}: {status}");
        assert_eq!(app.overview_calls(), 2, "{what}");
        assert_eq!(calls_in_flight(&app).await, 0, "{what}");
    }
}

#[tokio::test]
async fn faults_do_not_affect_fresh_hits() {
    let app = TestApp::spawn().await;
    let before = app.get(&by_email()).await;
    before.assert_ok();
    for row in rows::all() {
        app.engage.fault(Endpoint::All, row.fault);
        let hit = app.get(&by_email()).await;
        hit.assert_ok().assert_hit();
        assert!(hit.ttl() > 0, "{}", row.what);
        assert_eq!(hit.body, before.body, "{}", row.what);
        assert_eq!(hit.header("etag"), before.header("etag"), "{}", row.what);
    }
    assert_eq!(app.engage.total_calls(), 1);
}

#[tokio::test]
async fn fault_on_an_expired_record_serves_it_stale_and_degraded() {
    for row in rows::all() {
        let what = row.what;
        let app = TestApp::spawn().await;
        let before = app.get(&by_email()).await;
        app.advance(EXPIRED);
        app.engage.fault(Endpoint::All, row.fault.clone());
        let stale = request(&app, &row, Endpoint::Overview, &by_email()).await;
        if row.is_final {
            assert_error(&row, &stale);
        } else {
            assert_eq!(stale.status, 200, "{what}: {}", stale.text());
            if row.hangs {
                stale.assert_stale_if_slow();
            } else {
                stale.assert_stale_if_error();
            }
            assert_eq!(stale.at("/degraded"), json!(["profile"]), "{what}");
            assert_eq!(stale.at("/profile"), before.at("/profile"), "{what}");
            assert_eq!(stale.at("/freshness"), before.at("/freshness"), "{what}");
            let age: u64 = stale.header("age").parse().expect("seconds");
            assert!((90..=93).contains(&age), "{what}: {age}");
        }
        assert_eq!(app.overview_calls(), 1 + row.cost(), "{what}");

        if !row.is_final {
            // Older than lifetime plus window: never served.
            app.advance(3600 * SECOND);
            let answer = app.spawn_get(&by_email());
            if row.hangs {
                app.engage.wait_for_calls(Endpoint::Overview, 3).await;
                app.advance(REQUEST_TIMEOUT);
            }
            let answer = answer.await.expect("an answer");
            assert_eq!(
                (answer.status, &answer.at("/code")),
                (row.status, &json!(row.code)),
                "{what}"
            );
        }
        end_fault(&app, &row);
        app.advance(30 * SECOND);
        let recovered = app
            .get_until(&by_email(), |answer| answer.status == 200)
            .await;
        assert_eq!(recovered.at("/degraded"), json!([]), "{what}");
        let age: u64 = recovered.header("age").parse().expect("seconds");
        assert!(age < 60, "{what}: {age}");
    }
}

#[tokio::test]
async fn failed_part_is_null_and_degraded_and_other_parts_are_complete() {
    // A list with unreadable elements is still a list.
    let is_no_list = |row: &Row| row.what != "an array of numbers";
    for row in rows::all().into_iter().filter(is_no_list) {
        let what = row.what;
        let app = TestApp::spawn().await;
        // The owner of an empty list cannot be verified, so Cim gets points.
        app.engage.contact(CIM.id).points("5");
        let query = format!("contactId={}", ALVA.id);
        app.get(&query).await.assert_ok();
        app.engage.fault(Endpoint::PointAccounts, row.fault.clone());
        let fresh = format!("{query}&fresh=points");
        let answer = request(&app, &row, Endpoint::PointAccounts, &fresh).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        // Never the older points: the request wanted fresh ones.
        assert_eq!(answer.at("/points"), Value::Null, "{what}");
        assert_eq!(answer.at("/freshness/points"), Value::Null, "{what}");
        assert_eq!(answer.at("/degraded"), json!(["points"]), "{what}");
        assert_eq!(answer.at("/profile/firstName"), "Alva", "{what}");
        assert_eq!(
            answer.at("/vouchers").as_array().map(Vec::len),
            Some(2),
            "{what}"
        );
        let calls = app.engage.calls(Endpoint::PointAccounts);
        assert_eq!(calls, POINTS_CALLS + row.cost(), "{what}");
        assert_eq!(app.overview_calls(), 1, "{what}");

        end_fault(&app, &row);
        let recovered = app
            .get_until(&fresh, |answer| answer.at("/degraded") == json!([]))
            .await;
        assert_eq!(recovered.at("/points/balance"), json!(317.5), "{what}");
    }
}

#[tokio::test]
async fn response_with_points_of_another_contact_makes_the_part_null() {
    let accounts = |contact: Value| {
        let accounts = json!([
            {"contactId": ALVA.id, "definitionId": 1, "balance": 1},
            {"contactId": contact, "definitionId": 2, "balance": 99},
        ]);
        Fault::Body(accounts.to_string())
    };
    for fault in [
        Fault::WrongContact(BO.id.to_owned()),
        accounts(json!(BO.id)),
        accounts(json!("")),
        accounts(json!(7)),
    ] {
        let what = format!("{fault:?}");
        let app = TestApp::spawn().await;
        app.engage.contact(BO.id).points("99");
        let query = format!("contactId={}", ALVA.id);
        app.get(&query).await.assert_ok();
        app.fetch_points_separately(ALVA.id).await;
        app.engage.fault(Endpoint::PointAccounts, fault);
        for query in [format!("{query}&fresh=points"), query] {
            app.advance(EXPIRED);
            let answer = app.get(&query).await;
            assert_eq!(answer.assert_ok().at("/points"), Value::Null, "{what}");
            assert_eq!(answer.at("/degraded"), json!(["points"]), "{what}");
            assert!(!answer.text().contains("99"), "{what}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn each_fault_costs_one_call_plus_a_retry_where_useful() {
    for row in rows::all() {
        let what = row.what;
        let app = TestApp::spawn().await;
        for id in app.engage.contact_ids().iter().rev().take(10) {
            app.get(&format!("contactId={id}&parts=none"))
                .await
                .assert_ok();
        }
        let _clock = app.run_clock();
        app.engage.fault(Endpoint::Overview, row.fault.clone());
        assert_error(&row, &app.get(&by_email()).await);
        let cost = app.overview_calls() - 10;
        assert_eq!(cost, row.cost() + usize::from(row.is_retried), "{what}");
        app.engage.clear_faults();
        app.advance(row.recovers_within);
        app.get_until(&by_email(), |answer| answer.status == 200)
            .await;
        // A fault of a single call is covered by the retry.
        app.customers
            .purge_everything()
            .await
            .expect("there is no shared tier");
        if row.is_retried {
            for id in app.engage.contact_ids().iter().take(10) {
                app.get(&format!("contactId={id}")).await;
            }
            app.engage
                .fault_times(Endpoint::Overview, row.fault.clone(), 1);
            assert_eq!(app.get(&by_email()).await.status, 200, "{what}");
        }
    }
}

#[tokio::test]
async fn redirect_is_not_followed_and_the_key_is_not_sent() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    elsewhere.set_nonblocking(true).expect("a socket");
    let there = elsewhere.local_addr().expect("an address");
    for status in [301, 302, 303, 307, 308] {
        for target in [
            format!("http://{there}/api/v3/contactoverview"),
            format!("//{there}/"),
        ] {
            let app = TestApp::spawn().await;
            let answer = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n"
            );
            app.engage.fault(Endpoint::All, raw(answer));
            let answer = app.get(&by_email()).await;
            answer.assert_problem(502, "UpstreamFailed");
            assert!(
                !answer.text().contains(&there.to_string()),
                "{}",
                answer.text()
            );
            assert_eq!(app.engage.total_calls(), 1, "{status} to {target}");
        }
    }
    let no_connection = elsewhere.accept().expect_err("no connection");
    assert_eq!(no_connection.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn oversized_and_compressed_bomb_answers_use_little_memory() {
    let app = TestApp::spawn().await;
    app.get(&by_email()).await.assert_ok();
    let bomb = rows::gzip_bomb();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
         content-length: {}\r\n\r\n",
        bomb.len()
    );
    let bomb = Fault::Raw([head.as_bytes(), &bomb].concat().into());
    // At most a twentieth of the 64 MiB is in transit at any time.
    let mut large = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_vec();
    large.resize(64 << 20, b' ');
    let large = Fault::Raw(large.into());
    let ids = app.engage.contact_ids();
    for (fault, ids) in [(bomb, &ids[1..6]), (large, &ids[6..11])] {
        app.engage.fault(Endpoint::All, fault);
        let before = memory("VmRSS:");
        for id in ids {
            app.get(&format!("contactId={id}&parts=none"))
                .await
                .assert_problem(502, "UpstreamInvalid");
        }
        // A peak before the loop counts too, so that it can't hide one of the service.
        let grown = memory("VmHWM:") - before;
        assert!(grown < 32 << 10, "{grown} KiB");
    }
}

/// A figure of the process, which is the service and the simulator together, in KiB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let size = status.lines().find_map(|line| line.strip_prefix(field));
    let size = size.and_then(|size| size.trim().strip_suffix(" kB"));
    size.expect("a line").trim().parse().expect("a number")
}
