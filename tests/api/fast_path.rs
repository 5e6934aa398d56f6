//! A plain question that arrives whole and is held is answered from the connection's bytes; in pieces, it goes through
//! hyper. Nobody can tell the difference.

use std::time::Duration;

use engage_simulator::people::{ALVA, BO};
use proptest::{
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    harness::{READER, SHOP, TILL, TestApp},
    wire::{LIVEZ, PATIENCE, answer, answers, connect, rest},
};

const LAST: &str = "GET /livez HTTP/1.1\r\nHost: bff\r\nConnection: close\r\n\r\n";
/// How many requests are made up.
const REQUESTS: usize = 1000;
/// Gzip is made beside the answer, and so is what was stale: how often both ways are tried until they agree.
const TRIES: usize = 5;

/// How the bytes of a request arrive.
#[derive(Clone, Copy, Debug)]
enum Way {
    Whole,
    InPieces,
}

/// Sends the request that way, and says all that comes back until the connection has answered one more.
async fn told(app: &TestApp, request: &[u8], way: Way) -> String {
    let mut stream = connect(app).await;
    match way {
        Way::Whole => stream.write_all(request).await.expect("sent"),
        Way::InPieces => {
            let (first, others) = request.split_at(1);
            stream.write_all(first).await.expect("sent");
            // Once another connection is answered the service has read the first piece.
            let mut other = connect(app).await;
            other.write_all(LIVEZ.as_bytes()).await.expect("sent");
            answer(&mut other).await;
            stream.write_all(others).await.expect("sent");
        }
    }
    let mut text = head(&mut stream).await;
    let is_bare = request.starts_with(b"HEAD") || text.starts_with("HTTP/1.1 304");
    let mut body = vec![0; if is_bare { 0 } else { length(&text) }];
    stream.read_exact(&mut body).await.expect("a body");
    text.push_str(&String::from_utf8_lossy(&body));
    // Whatever the service thinks of this, both ways it must think the same.
    let _ = stream.write_all(LAST.as_bytes()).await;
    text.push_str(&rest(&mut stream).await);
    text
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
    };
    timeout(PATIENCE, read).await.expect("an answer in time");
    String::from_utf8(head).expect("a head in ASCII")
}

fn length(head: &str) -> usize {
    let length = head.split("content-length: ").nth(1).unwrap_or("0");
    length
        .lines()
        .next()
        .map_or(0, |line| line.parse().expect("a length"))
}

/// Without what is of the moment: when it was, how long it took, and an id that was made up.
fn lasting(text: &str) -> String {
    let is_of_the_moment =
        |line: &&str| line.starts_with("date: ") || line.starts_with("server-timing: ");
    let lines = text.split("\r\n").filter(|line| !is_of_the_moment(line));
    lines.map(without_made_up_id).collect::<Vec<_>>().join("\n")
}

fn without_made_up_id(line: &str) -> String {
    match line.strip_prefix("x-request-id: ") {
        Some(id) if id.len() == 36 => "x-request-id: made up".to_owned(),
        _ => match line.split_once("\"requestId\":\"") {
            Some((before, after)) if after.find('"') == Some(36) => {
                format!("{before}\"requestId\":\"{}", &after[36..])
            }
            _ => line.to_owned(),
        },
    }
}

pub(crate) async fn assert_both_ways_alike(app: &TestApp, request: &[u8]) {
    let mut both = (String::new(), String::new());
    for _ in 0..TRIES {
        let in_pieces = told(app, request, Way::InPieces).await;
        let whole = told(app, request, Way::Whole).await;
        both = (lasting(&in_pieces), lasting(&whole));
        if both.0 == both.1 {
            return;
        }
    }
    let request = String::from_utf8_lossy(request);
    assert_eq!(both.0, both.1, "in pieces and whole, of:\n{request}");
}

fn queries() -> impl Strategy<Value = String> {
    let who = select(vec![
        format!("email={}", ALVA.email),
        format!("email={}", ALVA.email.replace('@', "%40")),
        format!("EMAIL={}", ALVA.email),
        format!("email={}", ALVA.email.to_uppercase()),
        format!("email=+{}", BO.email),
        format!("email={}&email={}", ALVA.email, BO.email),
        format!("contactId={}", ALVA.id),
        format!("contactId={}", ALVA.id.to_uppercase()),
        format!("mobilePhone={}", ALVA.phone.replace('+', "%2B")),
        format!("mobilePhone={}", ALVA.phone),
        format!("customKey={}", ALVA.member_number),
        "email=nobody@example.com".to_owned(),
        "email=no%ff".to_owned(),
        "email=".to_owned(),
        "socialSecurityNumber=19121212-1212".to_owned(),
        String::new(),
    ]);
    let more = subsequence(
        vec![
            "&parts=none",
            "&parts=promotions,points",
            "&parts=promotions",
            "&parts=unheard",
            "&view=full",
            "&view=storefront",
            "&fresh=vouchers",
            "&channel=POS",
            "&contactType=Member",
            "&contactType=Other",
            "&expiringWithinDays=3",
            "&unheard=of",
            "#fragment",
            "&",
        ],
        0..3,
    );
    (who, more).prop_map(|(who, more)| format!("{who}{}", more.concat()))
}

fn fields(etag: &str) -> impl Strategy<Value = Vec<String>> + use<> {
    let field = select(vec![
        "Accept-Encoding: gzip\r\n".to_owned(),
        "accept-encoding: br, gzip;q=0.5\r\n".to_owned(),
        "Accept-Encoding: gzip;q=0, *\r\n".to_owned(),
        "Accept-Encoding: \r\n".to_owned(),
        format!("If-None-Match: {etag}\r\n"),
        format!("if-none-match: \"other\", W/{etag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        "If-None-Match: \"\u{e5}\"\r\n".to_owned(),
        "Cache-Control: no-cache\r\n".to_owned(),
        "Cache-Control: only-if-cached\r\n".to_owned(),
        "Cache-Control: max-age=0\r\n".to_owned(),
        "Connection: keep-alive\r\n".to_owned(),
        "Connection: close\r\n".to_owned(),
        "Connection: Keep-Alive, X-Api-Key\r\n".to_owned(),
        "Keep-Alive: timeout=5\r\n".to_owned(),
        "X-Request-Id: shop-4711\r\n".to_owned(),
        "X-Request-ID: not well formed\r\n".to_owned(),
        "x-request-id:\t shop-4712 \t\r\n".to_owned(),
        "Authorization: Bearer nothing\r\n".to_owned(),
        "Content-Length: 0\r\n".to_owned(),
        "Content-Length: 2\r\n".to_owned(),
        "Content-Type: application/json\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".to_owned(),
        "Expect: 100-continue\r\n".to_owned(),
        "Upgrade: h2c\r\n".to_owned(),
        "Origin: https://shop.example.com\r\n".to_owned(),
        "Host: other\r\n".to_owned(),
        "Cookie: \u{1}\r\n".to_owned(),
        "No-Colon\r\n".to_owned(),
        "Space : before\r\n".to_owned(),
        " folded: line\r\n".to_owned(),
        format!("X-Api-Key: {SHOP}\r\n"),
        format!("X-Long: {}\r\n", "a".repeat(3_000)),
        "X-Many: a\r\n".repeat(101),
    ]);
    proptest::collection::vec(field, 0..4)
}

fn requests(etag: &str) -> impl Strategy<Value = String> + use<> {
    let method =
        prop_oneof![12 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST"), 1 => Just("get")];
    let path = prop_oneof![12 => Just("/customer"), 1 => Just("/customer/"), 1 => Just("//customer"), 1 => Just("http://bff/customer")];
    let version = prop_oneof![15 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0")];
    let line_end = prop_oneof![15 => Just("\r\n"), 1 => Just("\n")];
    let host = prop_oneof![15 => Just("Host: bff\r\n"), 1 => Just("")];
    let key = prop_oneof![8 => Just(SHOP), 4 => Just(TILL), 2 => Just(READER), 1 => Just("unknown"), 1 => Just("")];
    (
        method,
        path,
        queries(),
        version,
        line_end,
        host,
        key,
        fields(etag),
    )
        .prop_map(
            |(method, path, query, version, line_end, host, key, fields)| {
                let key = if key.is_empty() {
                    String::new()
                } else {
                    format!("X-Api-Key: {key}\r\n")
                };
                let fields = fields.concat();
                format!("{method} {path}?{query} {version}{line_end}{host}{key}{fields}\r\n")
            },
        )
}

fn hit(more: &str) -> String {
    format!(
        "GET /customer?email={} HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {SHOP}\r\n{more}\r\n",
        ALVA.email
    )
}

async fn etag(app: &TestApp) -> String {
    let first = told(app, hit("").as_bytes(), Way::Whole).await;
    let etag = first.split("etag: ").nth(1).expect("an ETag");
    etag.lines().next().expect("a line").to_owned()
}

#[tokio::test]
async fn a_request_that_arrives_whole_is_answered_as_one_in_pieces() {
    let app = TestApp::spawn().await;
    let requests = requests(&etag(&app).await);
    let mut runner = TestRunner::deterministic();
    for _ in 0..REQUESTS {
        let request = requests.new_tree(&mut runner).expect("a request").current();
        assert_both_ways_alike(&app, request.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_held_answer_is_told_alike_as_it_ages_goes_stale_and_is_renewed() {
    let app = TestApp::spawn().await;
    let etag = etag(&app).await;
    for step in [1, 20, 3600, 1, 30 * 24 * 3600, 0] {
        app.advance(Duration::from_secs(step));
        for more in [
            String::new(),
            "Accept-Encoding: gzip\r\n".to_owned(),
            format!("If-None-Match: {etag}\r\n"),
        ] {
            assert_both_ways_alike(&app, hit(&more).as_bytes()).await;
        }
    }
}

#[tokio::test]
async fn requests_behind_each_other_are_answered_in_their_order_whichever_way_each_goes() {
    let app = TestApp::spawn().await;
    let known = hit("X-Request-Id: known\r\n");
    let unknown = |who: &str| {
        format!(
            "GET /customer?email={who}@example.com HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\nX-Request-Id: {who}\r\n\r\n"
        )
    };
    let body = format!(r#"{{"email":"{}"}}"#, ALVA.email);
    let posted = format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: bff\r\nX-Api-Key: {TILL}\r\nX-Request-Id: posted\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    told(&app, known.as_bytes(), Way::Whole).await;
    let all = [
        known.clone(),
        unknown("a"),
        known.clone(),
        posted,
        known.clone(),
        unknown("b"),
        known,
    ];
    let ids = ["known", "a", "known", "posted", "known", "b", "known"];
    let text = all.concat();
    // Cut anywhere, so that pieces end and begin within heads, within the body, and between.
    for cut in (1..text.len()).step_by(7) {
        let mut stream = connect(&app).await;
        let (first, second) = text.split_at(cut);
        stream.write_all(first.as_bytes()).await.expect("sent");
        let whole_in_first = (1..=all.len())
            .filter(|n| all[..*n].concat().len() <= cut)
            .count();
        let mut seen = Vec::new();
        for _ in 0..whole_in_first {
            seen.push(id_of(&answer(&mut stream).await));
        }
        stream.write_all(second.as_bytes()).await.expect("sent");
        for _ in whole_in_first..all.len() {
            seen.push(id_of(&answer(&mut stream).await));
        }
        assert_eq!(seen, ids, "cut at {cut}");
        stream.write_all(LAST.as_bytes()).await.expect("sent");
        assert_eq!(answers(&rest(&mut stream).await), 1, "cut at {cut}");
    }
}

fn id_of(answer: &str) -> String {
    let id = answer.split("x-request-id: ").nth(1).expect("an id");
    id.lines().next().expect("a line").to_owned()
}

#[tokio::test]
async fn each_request_counts_once_against_the_clients_rate_whichever_way_it_goes() {
    for ways in [
        [Way::Whole, Way::Whole],
        [Way::Whole, Way::InPieces],
        [Way::InPieces, Way::Whole],
    ] {
        let app = TestApp::with(|config| {
            let shop = config
                .auth
                .clients
                .iter_mut()
                .find(|client| client.id == "shop");
            shop.expect("the shop").requests_per_second = Some(6);
        })
        .await;
        let mut statuses = Vec::new();
        for way in ways.into_iter().cycle().take(8) {
            let text = told(&app, hit("").as_bytes(), way).await;
            statuses.push(text[9..12].to_owned());
        }
        assert_eq!(
            statuses,
            ["200", "200", "200", "200", "200", "200", "429", "429"],
            "{ways:?}"
        );
    }
}

#[tokio::test]
async fn every_answer_is_in_the_metrics_whichever_way_it_went() {
    let app = TestApp::spawn().await;
    told(&app, hit("").as_bytes(), Way::Whole).await;
    let before = app.operations("/metrics").await;
    told(&app, hit("").as_bytes(), Way::InPieces).await;
    let between = app.operations("/metrics").await;
    told(&app, hit("").as_bytes(), Way::Whole).await;
    let after = app.operations("/metrics").await;
    let by_hyper = counted(&text(&before), &text(&between));
    let by_us = counted(&text(&between), &text(&after));
    assert!(
        by_us
            .iter()
            .any(|(name, by)| name.contains("customer") && *by > 0.0),
        "{by_us:?}"
    );
    // The request that brought the first piece along.
    let by_hyper: Vec<_> = by_hyper
        .into_iter()
        .filter(|(name, _)| !name.contains("/livez"))
        .collect();
    let by_us: Vec<_> = by_us
        .into_iter()
        .filter(|(name, _)| !name.contains("/livez"))
        .collect();
    assert_eq!(by_us, by_hyper);
}

fn text(answer: &crate::harness::Answer) -> String {
    String::from_utf8(answer.body.clone()).expect("text")
}

/// What of the service's counts of requests and answers rose, and by how much.
fn counted(before: &str, after: &str) -> Vec<(String, f64)> {
    let read = |text: &str| -> Vec<(String, f64)> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        pairs
            .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
            .collect()
    };
    let is_steady = |name: &str| {
        !name.contains("_sum") && !name.contains("_bucket") && !name.contains("process_")
    };
    let before = read(before);
    let was = |name: &str| {
        before
            .iter()
            .find(|(known, _)| known == name)
            .map_or(0.0, |(_, value)| *value)
    };
    let rose = read(after).into_iter().map(|(name, value)| {
        let by = value - was(&name);
        (name, by)
    });
    rose.filter(|(name, by)| is_steady(name) && *by != 0.0)
        .collect()
}
