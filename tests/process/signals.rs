//! Signals: which end the service, and which are ignored.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use engage_bff::clock::Clock;
use engage_simulator::Endpoint;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    harness::{BINARY, Running, Service, Started, engage},
    wire::{ask, customer, get},
};

/// Signals that make other services reopen files.
const OTHERS: [&str; 2] = ["USR1", "USR2"];
/// An ignored signal is logged at most once in this time.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Enough checks of a condition, with a pause between them, for a machine of any speed.
const LOOKS: usize = 30_000;

fn signal(id: u32, name: &str) {
    let killed = Command::new("kill")
        .args(["-s", name, &id.to_string()])
        .status();
    assert!(killed.expect("kill runs").success());
}

/// Waits until the condition holds.
fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        thread::park_timeout(Duration::from_millis(2));
    }
    panic!("the condition never held");
}

/// Whether the process handles the signal of that number.
fn handles(id: u32, number: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("a status");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("a mask");
    caught & (1 << (number - 1)) != 0
}

fn ignored(lines: &[String]) -> usize {
    let is_it = |line: &&String| line.contains("\"message\":\"signal ignored\"");
    lines.iter().filter(is_it).count()
}

#[tokio::test]
async fn ignored_signals_are_logged_once_per_interval() {
    let mut service = Service::new().start();
    let clock = Clock::system();
    let began = clock.tick();
    for name in OTHERS {
        service.signal(name);
    }
    // The first signal of each kind is logged before the next are sent.
    let mut lines: Vec<String> = Vec::new();
    while ignored(&lines) < OTHERS.len() {
        lines.push(service.log.next().expect("it runs").expect("text"));
    }
    for name in OTHERS {
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&format!("SIG{name}")))
        );
    }
    for _ in 0..100 {
        for name in OTHERS {
            service.signal(name);
        }
        let answer = ask(service.data, &get("/livez")).await.expect("a response");
        assert_eq!(answer.status, 200);
    }
    service.signal("TERM");
    let (status, lines) = service.end();
    assert!(status.success(), "{status}");
    // None is logged unless the test took longer than the interval.
    let intervals = clock.tick().since(began).as_secs() / LOG_INTERVAL.as_secs();
    let allowed = OTHERS.len() * usize::try_from(intervals).expect("few");
    assert!(ignored(&lines) <= allowed, "{allowed} {lines:?}");
}

#[test]
fn slow_start_ends_cleanly_on_sigterm_and_survives_other_signals() {
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let directory = tempfile::tempdir().expect("a directory");
        // Opening a pipe that has no writer blocks.
        let fifo = directory.path().join("slow.toml");
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo runs").success());
        let mut command = Command::new(BINARY);
        command.env_clear().args(["serve", "--config"]).arg(&fifo);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Running(command.spawn().expect("it starts"));
        let id = process.0.id();
        until(|| handles(id, number) || process.0.try_wait().expect("a status").is_some());
        for other in OTHERS.into_iter().chain(["HUP"]) {
            signal(id, other);
        }
        assert_eq!(process.0.try_wait().expect("a status"), None);
        signal(id, name);
        let status = process.0.wait().expect("it ends");
        assert_eq!(status.code(), Some(0), "SIG{name}: {status}");
    }
}

/// A service whose shutdown waits for a request in flight to Engage.
async fn draining(engage: &engage_simulator::Simulator, first: &str) -> (Started, TcpStream) {
    let service = Service::new()
        .asks(engage)
        .env("BFF_SERVER__REQUEST_TIMEOUT", "1h")
        .env("BFF_SERVER__SHUTDOWN_GRACE", "1h")
        .env("BFF_ENGAGE__TIMEOUT", "1h")
        .start();
    let mut busy = TcpStream::connect(service.data).await.expect("accepted");
    busy.write_all(customer("").as_bytes()).await.expect("sent");
    engage.wait_for_calls(Endpoint::Overview, 1).await;
    service.signal(first);
    while ask(service.operations, &get("/readyz"))
        .await
        .expect("one")
        .status
        == 200
    {}
    (service, busy)
}

#[tokio::test]
async fn second_sigint_ends_the_drain_at_once() {
    let engage = engage().await;
    let _hold = engage.hold(Endpoint::Overview);
    let (service, _busy) = draining(&engage, "INT").await;
    service.signal("INT");
    let (status, _) = service.end();
    assert_eq!(status.code(), Some(1), "{status}");
}

#[tokio::test]
async fn further_sigterms_cut_no_drain_short() {
    let engage = engage().await;
    let hold = engage.hold(Endpoint::Overview);
    let (service, mut busy) = draining(&engage, "TERM").await;
    for _ in 0..3 {
        service.signal("TERM");
        let ready = ask(service.operations, &get("/readyz")).await;
        assert_eq!(ready.expect("a response").status, 503);
    }
    hold.release();
    let answer = crate::wire::answer(&mut busy).await.expect("one");
    let answer = answer.expect("a response");
    assert!(answer.status == 200 && answer.closes(), "{answer:?}");
    let (status, _) = service.end();
    assert!(status.success(), "{status}");
}
