//! Rolling restarts of replicas behind a real load balancer, under load.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_simulator::Simulator;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    task::JoinSet,
};

use crate::{
    harness::{Running, Service, Started, engage},
    wire::{PATIENCE, Tally, customer},
};

/// The shutdown delay: longer than the balancer needs to notice that a replica is not ready.
const DELAY: &str = "2s";

/// An address on which nothing listens.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// The load balancer.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Probes `/readyz`, and never retries a request.
    Haproxy,
    /// Sends no probes; skips a replica that refuses the connection.
    Nginx,
}

/// A running balancer.
struct Balancer {
    kind: Kind,
    address: SocketAddr,
    directory: TempDir,
    _process: Running,
}

fn haproxy(address: SocketAddr, directory: &TempDir, replicas: &[SocketAddr; 2]) -> String {
    let [first, second] = replicas;
    let directory = directory.path().display();
    format!(
        "global\n stats socket {directory}/stats\n\
         defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n retries 0\n\
         frontend callers\n bind {address}\n default_backend replicas\n\
         backend replicas\n balance roundrobin\n http-reuse always\n option httpchk\n\
         \x20http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost\n\
         \x20default-server check inter 200ms fall 2 rise 2\n\
         \x20server first {first}\n server second {second}\n"
    )
}

fn nginx(address: SocketAddr, directory: &TempDir, replicas: &[SocketAddr; 2]) -> String {
    let [first, second] = replicas;
    let directory = directory.path().display();
    format!(
        "daemon off; pid {directory}/pid; error_log {directory}/errors; worker_processes 1;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;\n\
         fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;\n\
         upstream replicas {{ server {first} max_fails=0; server {second} max_fails=0; keepalive 32; }}\n\
         server {{ listen {address}; keepalive_requests 1000000;\n\
         location / {{ proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n"
    )
}

impl Balancer {
    async fn start(kind: Kind, replicas: &[SocketAddr; 2]) -> Self {
        let address = free();
        let directory = tempfile::tempdir().expect("a directory");
        let (program, flag, text) = match kind {
            Kind::Haproxy => ("haproxy", "-f", haproxy(address, &directory, replicas)),
            Kind::Nginx => ("nginx", "-c", nginx(address, &directory, replicas)),
        };
        let file = directory.path().join("balancer.conf");
        std::fs::write(&file, text).expect("a writable directory");
        let mut command = Command::new(program);
        command.arg(flag).arg(&file).stdout(Stdio::null());
        // The directories where balancers are installed, which are not in every user's path.
        command.env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        let process = Running(command.spawn().expect("the balancer is installed"));
        let balancer = Self {
            kind,
            address,
            directory,
            _process: process,
        };
        until(|| async { TcpStream::connect(address).await.is_ok() }).await;
        for name in ["first", "second"] {
            balancer.until_up(name).await;
        }
        balancer
    }

    /// Waits until the balancer sends requests to that replica.
    async fn until_up(&self, name: &str) {
        let Kind::Haproxy = self.kind else {
            return;
        };
        let line = format!("replicas,{name},");
        until(|| async {
            let stats = self.stats().await.unwrap_or_default();
            let row = stats.lines().find(|row| row.starts_with(&line));
            row.is_some_and(|row| row.split(',').nth(17) == Some("UP"))
        })
        .await;
    }

    /// The state of the replicas according to HAProxy.
    async fn stats(&self) -> io::Result<String> {
        let mut stream = UnixStream::connect(self.directory.path().join("stats")).await?;
        stream.write_all(b"show stat\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }
}

async fn until<F: Future<Output = bool>>(mut is_so: impl FnMut() -> F) {
    let checks = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !is_so().await {
            ticks.tick().await;
        }
    };
    let looked = tokio::time::timeout(PATIENCE, checks).await;
    looked.expect("the condition never held");
}

fn replica(engage: &Simulator, address: SocketAddr) -> Started {
    Service::new()
        .asks(engage)
        .env("BFF_SERVER__LISTEN", &address.to_string())
        .env("BFF_SERVER__SHUTDOWN_DELAY", DELAY)
        .start()
}

/// How many callers there are, and each one's pause between two requests.
struct Load {
    callers: usize,
    pause: Duration,
}

/// A caller that keeps its connection to the balancer until the balancer closes it.
async fn call(
    address: SocketAddr,
    pause: Duration,
    asked: Arc<AtomicUsize>,
    go: Arc<AtomicBool>,
) -> Tally {
    let request = customer("");
    let mut tally = Tally::default();
    let mut ticks = tokio::time::interval(pause);
    while go.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(address).await.expect("accepted");
        let mut is_open = true;
        while is_open && go.load(Ordering::Relaxed) {
            is_open = tally.ask(&mut stream, &request).await;
            asked.fetch_add(1, Ordering::Relaxed);
            ticks.tick().await;
        }
    }
    tally
}

/// Restarts each replica `rounds` times, with requests before and after each step; returns what the callers saw.
async fn restart_in_turn(kind: Kind, load: &Load, rounds: usize, between: usize) -> Tally {
    let engage = engage().await;
    let addresses = [free(), free()];
    let mut replicas = addresses.map(|address| replica(&engage, address));
    let balancer = Balancer::start(kind, &addresses).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let go = Arc::new(AtomicBool::new(true));
    let mut callers = JoinSet::new();
    for _ in 0..load.callers {
        let (asked, go) = (Arc::clone(&asked), Arc::clone(&go));
        callers.spawn(call(balancer.address, load.pause, asked, go));
    }
    let more = || async {
        let enough = asked.load(Ordering::Relaxed) + between;
        until(|| async { asked.load(Ordering::Relaxed) >= enough }).await;
    };
    more().await;
    for _ in 0..rounds {
        for (number, name) in ["first", "second"].into_iter().enumerate() {
            replicas[number].signal("TERM");
            let ended = replicas[number].process.0.id();
            until(|| async { has_ended(ended) }).await;
            let status = replicas[number].process.0.wait().expect("it ends");
            assert!(status.success(), "{status}");
            more().await;
            replicas[number] = replica(&engage, addresses[number]);
            balancer.until_up(name).await;
            more().await;
        }
    }
    go.store(false, Ordering::Relaxed);
    let mut all = Tally::default();
    while let Some(one) = callers.join_next().await {
        all.add(one.expect("no panic"));
    }
    all
}

/// Whether the process has ended, without collecting its exit status.
fn has_ended(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_none_or(|state| state == 'Z')
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_during_a_rolling_restart_behind_haproxy() {
    let load = Load {
        callers: 20,
        pause: Duration::from_millis(50),
    };
    let seen = restart_in_turn(Kind::Haproxy, &load, 1, 200).await;
    assert!(seen.lost.is_empty(), "{:?}", seen.lost);
    assert!(seen.answered > 800, "{}", seen.answered);
}

/// The acceptance run: about 300 requests per second for a minute or more, behind each balancer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run it before a release, with nginx and haproxy installed"]
async fn no_request_fails_during_minutes_of_restarts_behind_either_balancer() {
    for kind in [Kind::Nginx, Kind::Haproxy] {
        let load = Load {
            callers: 30,
            pause: Duration::from_millis(100),
        };
        let seen = restart_in_turn(kind, &load, 4, 1000).await;
        println!("{kind:?}: {} answered, {:?} lost", seen.answered, seen.lost);
        assert!(seen.lost.is_empty(), "{kind:?}: {:?}", seen.lost);
        assert!(seen.answered > 16_000, "{kind:?}: {}", seen.answered);
    }
}
