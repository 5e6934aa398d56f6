//! Engage's name, and a name server that hangs: it is asked and never answers.
//!
//! The service runs in a mount namespace of its own, in which `/etc/hosts` and `/etc/resolv.conf` are the test's. That
//! needs `unshare` with user namespaces, or root; and the silent name server needs port 53 of a loopback address: root,
//! or `net.ipv4.ip_unprivileged_port_start` at 53 or less. Where something of it is missing the tests fail and say so.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    thread,
    time::Duration,
};

use tempfile::NamedTempFile;

use crate::harness::{BINARY, Service, Started, path, temp_file};

const NAME: &str = "engage.example.com";
const KEY: &str = "test-till-key";
/// The longest time that anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// An Engage whose contacts are whoever is asked for. It ends each connection after its answer.
fn engage() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
            let mut target = String::new();
            reader.read_line(&mut target).expect("a line");
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).expect("a line");
            }
            let id = target.split_once("contactId=").expect("an id").1;
            let id = &id[..36];
            let body = serde_json::json!({
                "id": id, "attributes": {}, "meta": {"contactType": "Member"},
                "audiences": [], "promotions": [], "rewardVouchers": [],
            });
            let body = body.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).expect("it is read");
        }
    });
    address
}

/// A name server that never answers, and the names and servers that the service sees.
struct Names {
    server: UdpSocket,
    hosts: NamedTempFile,
    servers: NamedTempFile,
}

impl Names {
    /// With an address of its own, and these options of resolv.conf.
    fn silent(last: u8, options: &str) -> Self {
        let address = Ipv4Addr::new(127, 53, 53, last);
        let server = UdpSocket::bind((address, 53)).unwrap_or_else(|error| {
            panic!(
                "{error}: a name server needs port 53: be root, or allow it by \
                 sysctl net.ipv4.ip_unprivileged_port_start=53"
            )
        });
        Self {
            server,
            hosts: temp_file(""),
            servers: temp_file(&format!("nameserver {address}\noptions {options}\n")),
        }
    }

    /// What `/etc/hosts` says from now on.
    fn say(&self, hosts: &str) {
        fs::write(self.hosts.path(), hosts).expect("a file");
    }

    /// Waits so long for a question; whether one came.
    fn is_asked_within(&self, wait: Duration) -> bool {
        self.server
            .set_read_timeout(Some(wait))
            .expect("a time-out");
        self.server.recv(&mut [0; 512]).is_ok()
    }

    /// Starts the service where these names count.
    fn start(&self, engage: SocketAddr) -> Started {
        let check = Command::new("/usr/bin/unshare")
            .args(["-r", "-m", "true"])
            .status();
        assert!(
            check.is_ok_and(|status| status.success()),
            "a mount namespace needs /usr/bin/unshare with user namespaces, or root"
        );
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["-r", "-m", "/bin/sh", "-c"]).arg(
            "mount --bind \"$0\" /etc/hosts && mount --bind \"$1\" /etc/resolv.conf \
             && shift && exec \"$@\"",
        );
        command.args([path(&self.hosts), path(&self.servers), BINARY]);
        Service::new()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env(
                "BFF_ENGAGE__BASE_URL",
                &format!("http://{NAME}:{}", engage.port()),
            )
            .env("BFF_ENGAGE__ALLOW_PLAIN_HTTP", "true")
            .env("BFF_SERVER__REQUEST_TIMEOUT", "30s")
            .start_as(command)
    }
}

/// The status of a look-up of that contact, and the answer.
fn ask(service: &Started, contact: usize) -> (u16, String) {
    let mut stream = TcpStream::connect(service.data).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let request = format!(
        "GET /customer?contactId=00000000-0000-4000-8000-{contact:012}&parts=none HTTP/1.1\r\n\
         Host: shop\r\nX-Api-Key: {KEY}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), answer)
}

#[track_caller]
fn assert_found(service: &Started, contact: usize) {
    let (status, answer) = ask(service, contact);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_name_server_that_hangs_takes_nothing_away_that_was_known() {
    let names = Names::silent(1, "timeout:30 attempts:5");
    names.say(&format!("127.0.0.1 {NAME}\n"));
    let service = names.start(engage());
    assert_found(&service, 0);
    // From here on only the name server could tell, and each call needs a new connection.
    names.say("");
    let mut contact = 1;
    for _ in 0..2 * PATIENCE.as_secs() {
        assert_found(&service, contact);
        contact += 1;
        if names.is_asked_within(Duration::from_millis(500)) {
            break;
        }
        assert!(contact < 120, "the name was never looked up again");
    }
    // The look-up hangs.
    for contact in contact..contact + 20 {
        assert_found(&service, contact);
    }
    // Nor does it hold up the end.
    service.signal("TERM");
    let (status, log) = service.end();
    assert!(status.success(), "{log:?}");
}

#[test]
fn a_name_server_that_hangs_from_the_start_on_is_said_and_recovered_from() {
    let names = Names::silent(2, "timeout:5 attempts:1");
    let service = names.start(engage());
    let (status, answer) = ask(&service, 0);
    assert_eq!(status, 502, "{answer}");
    assert!(answer.contains("\"UpstreamFailed\""), "{answer}");
    names.say(&format!("127.0.0.1 {NAME}\n"));
    let mut is_found = false;
    for contact in 1..120 {
        if ask(&service, contact).0 == 200 {
            is_found = true;
            break;
        }
        names.is_asked_within(Duration::from_millis(500));
    }
    assert!(is_found, "the name was never looked up again");
    service.signal("TERM");
    let (status, log) = service.end();
    assert!(status.success(), "{log:?}");
    let log = log.join("\n");
    assert_eq!(
        log.matches("upstream name resolution failed").count(),
        1,
        "{log}"
    );
    assert_eq!(
        log.matches("upstream name resolution recovered").count(),
        1,
        "{log}"
    );
    assert!(log.contains("unreachable: name resolution"), "{log}");
}

#[test]
fn a_fail_over_by_the_name_is_noticed_by_the_call_that_meets_it() {
    let names = Names::silent(3, "timeout:30 attempts:5");
    let engage = engage();
    // Nothing listens there: this one refuses connections.
    names.say(&format!("127.53.53.9 {NAME}\n"));
    let service = names.start(engage);
    let (status, answer) = ask(&service, 0);
    assert_eq!(status, 502, "{answer}");
    names.say(&format!("127.0.0.1 {NAME}\n"));
    // A look-up that connections ask for is a second after the last at the earliest; what is known is young enough
    // for ten, so nothing else renews it.
    assert!(!names.is_asked_within(Duration::from_millis(1500)));
    assert_found(&service, 1);
    assert_found(&service, 2);
}
