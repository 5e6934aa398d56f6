//! Shutdown: every request that was sent is answered, and no connection closes without notice.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_bff::clock::Clock;
use engage_simulator::fixtures::ALVA;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::{
    harness::{Service, Started, engage},
    wire::{Tally, answer, ask, customer, get},
};

/// The number of callers with a kept connection.
const CALLERS: usize = 240;
/// The pause between two requests of a caller.
const PAUSE: Duration = Duration::from_millis(20);
/// Responses that each caller has received before the shutdown.
const WARM: usize = 5;
/// How often the shutdown is repeated.
const ROUNDS: usize = 3;

/// A request that never takes the fast path.
fn lookup() -> String {
    let body = format!("{{\"contactId\":\"{}\"}}", ALVA.id);
    format!(
        "POST /customer/lookup HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: test-till-key\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends requests over one connection until a response closes it.
async fn keep_asking(address: SocketAddr, number: usize, warm: Arc<AtomicUsize>) -> Tally {
    let request = match number % 2 {
        0 => customer(""),
        _ => lookup(),
    };
    let mut stream = TcpStream::connect(address).await.expect("accepted");
    let mut ticks = tokio::time::interval(PAUSE);
    let mut tally = Tally::default();
    while tally.ask(&mut stream, &request).await {
        warm.fetch_add(usize::from(tally.answered == WARM), Ordering::Relaxed);
        ticks.tick().await;
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_connections_lose_no_request_at_shutdown() {
    for round in 0..ROUNDS {
        let engage = engage().await;
        let service = Service::new().asks(&engage).start();
        let warm = Arc::new(AtomicUsize::new(0));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            callers.spawn(keep_asking(service.data, number, Arc::clone(&warm)));
        }
        let mut ticks = tokio::time::interval(PAUSE);
        while warm.load(Ordering::Relaxed) < CALLERS {
            assert_eq!(callers.len(), CALLERS);
            ticks.tick().await;
        }
        service.signal("TERM");
        let mut all = Tally::default();
        while let Some(one) = callers.join_next().await {
            all.add(one.expect("no panic"));
        }
        assert!(all.lost.is_empty(), "round {round}: {:?}", all.lost);
        assert_eq!(all.closed, CALLERS, "round {round}");
        let (status, _) = service.end();
        assert!(status.success(), "{status}");
    }
}

/// Waits until the replica is not ready.
async fn until_not_ready(service: &Started) {
    let ready = || async { ask(service.operations, &get("/readyz")).await };
    while ready().await.expect("a response").status == 200 {}
}

#[tokio::test]
async fn request_on_an_idle_connection_is_answered_during_the_drain() {
    let engage = engage().await;
    let service = Service::new().asks(&engage).start();
    let mut kept = TcpStream::connect(service.data).await.expect("accepted");
    for (request, closes) in [(customer(""), false), (customer(""), true)] {
        if closes {
            service.signal("TERM");
            until_not_ready(&service).await;
        }
        kept.write_all(request.as_bytes()).await.expect("sent");
        let answer = answer(&mut kept).await.expect("one").expect("a response");
        assert!(
            answer.status == 200 && answer.closes() == closes,
            "{answer:?}"
        );
    }
    assert!(answer(&mut kept).await.expect("an end").is_none());
    let (status, _) = service.end();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn idle_connections_do_not_delay_shutdown() {
    let service = Service::new()
        .env("BFF_SERVER__IDLE_TIMEOUT", "1h")
        .env("BFF_SERVER__HEADER_TIMEOUT", "1h")
        .env("BFF_SERVER__SHUTDOWN_GRACE", "1h")
        .start();
    let mut idle = Vec::new();
    for address in [service.data, service.operations] {
        let mut kept = TcpStream::connect(address).await.expect("accepted");
        kept.write_all(get("/livez").as_bytes())
            .await
            .expect("sent");
        answer(&mut kept).await.expect("one").expect("a response");
        idle.push(kept);
        idle.push(TcpStream::connect(address).await.expect("accepted"));
    }
    service.signal("TERM");
    for stream in &mut idle {
        // Ended, not reset.
        assert!(answer(stream).await.expect("an end").is_none());
    }
    // The callers keep their ends open.
    let (status, _) = service.end();
    assert!(status.success(), "{status}");
    drop(idle);
}

#[tokio::test]
async fn connections_still_in_the_backlog_at_shutdown_are_answered() {
    let engage = engage().await;
    let service = Service::new().asks(&engage).start();
    let signal = |name| {
        let kill = Command::new("kill")
            .args(["-s", name, &service.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
    };
    signal("STOP");
    let mut waiting = Vec::new();
    for address in [service.data; 60]
        .into_iter()
        .chain([service.operations; 5])
    {
        let mut stream = TcpStream::connect(address).await.expect("in the backlog");
        let request = if address == service.data {
            customer("")
        } else {
            get("/livez")
        };
        stream.write_all(request.as_bytes()).await.expect("sent");
        waiting.push(stream);
    }
    signal("TERM");
    signal("CONT");
    for stream in &mut waiting {
        let answer = answer(stream).await.expect("no reset").expect("a response");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let (status, _) = service.end();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn both_listeners_end_within_one_grace_period() {
    const GRACE: Duration = Duration::from_secs(8);
    let service = Service::new()
        .env("BFF_SERVER__SHUTDOWN_GRACE", "8s")
        .env("BFF_SERVER__BODY_TIMEOUT", "60s")
        .start();
    let mut held = Vec::new();
    for (address, path) in [
        (service.data, "/customer/lookup"),
        (service.operations, "/cache/purge"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("accepted");
        let half = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: test-till-key\r\n\
             Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
        );
        stream.write_all(half.as_bytes()).await.expect("sent");
        held.push(stream);
    }
    // This is answered only after the earlier connection to the same listener was accepted.
    let first = ask(service.data, &get("/livez")).await.expect("a response");
    assert_eq!(first.status, 200);
    let clock = Clock::system();
    let signalled = clock.tick();
    let kill = Command::new("kill")
        .args(["-s", "TERM", &service.id().to_string()])
        .status();
    assert!(kill.expect("kill runs").success());
    let (status, _) = service.end();
    assert_eq!(status.code(), Some(1));
    // The grace period of the operations listener must not be added to that of the data listener.
    assert!(clock.tick().since(signalled) < GRACE + Duration::from_secs(2));
}
