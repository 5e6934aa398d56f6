//! Resolving Engage's host name while the name server never answers.
//!
//! The service runs in its own mount namespace, with the test's `/etc/hosts` and `/etc/resolv.conf`. That needs
//! `unshare` with user namespaces, or root. The silent name server needs port 53 of a loopback address: root, or
//! `net.ipv4.ip_unprivileged_port_start` at 53 or less. If any of these is missing, the tests fail with an explanation.

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
/// The longest wait before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// An Engage that knows every requested contact, and closes each connection after its response.
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

/// A name server that never answers, and the `hosts` and `resolv.conf` of the service.
struct Names {
    server: UdpSocket,
    hosts: NamedTempFile,
    servers: NamedTempFile,
}

impl Names {
    /// A name server at its own address, with these options in resolv.conf.
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

    /// Replaces the contents of `/etc/hosts`.
    fn say(&self, hosts: &str) {
        fs::write(self.hosts.path(), hosts).expect("a file");
    }

    /// Waits for a query, and returns whether one arrived.
    fn is_asked_within(&self, wait: Duration) -> bool {
        self.server
            .set_read_timeout(Some(wait))
            .expect("a time-out");
        self.server.recv(&mut [0; 512]).is_ok()
    }

    /// Starts the service with these names.
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
            // This Engage answers only calls about contacts.
            .env("BFF_ENGAGE__POINT_NAMES", "false")
            .env("BFF_SERVER__REQUEST_TIMEOUT", "30s")
            .start_as(command)
    }
}

/// The status and the body of a look-up of that contact.
fn ask(service: &Started, contact: usize) -> (u16, String) {
    let mut stream = TcpStream::connect(service.data).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let request = format!(
        "GET /customer?contactId=00000000-0000-4000-8000-{contact:012}&parts=none HTTP/1.1\r\n\
         Host: shop\r\nX-Api-Key: {KEY}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a response");
    let status = answer.split(' ').nth(1).expect("a status");
    (status.parse().expect("a number"), answer)
}

#[track_caller]
fn assert_found(service: &Started, contact: usize) {
    let (status, answer) = ask(service, contact);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn hanging_name_server_leaves_known_addresses_in_use() {
    let names = Names::silent(1, "timeout:30 attempts:5");
    names.say(&format!("127.0.0.1 {NAME}\n"));
    let service = names.start(engage());
    assert_found(&service, 0);
    // From here on only the name server knows the address, and each call needs a new connection.
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
    // It does not delay the shutdown either.
    service.signal("TERM");
    let (status, log) = service.end();
    assert!(status.success(), "{log:?}");
}

#[test]
fn name_server_hanging_from_the_start_is_logged_and_recovered_from() {
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
fn failing_call_resolves_the_name_again_and_reaches_the_new_address() {
    let names = Names::silent(3, "timeout:30 attempts:5");
    let engage = engage();
    // Nothing listens at this address: connections are refused.
    names.say(&format!("127.53.53.9 {NAME}\n"));
    let service = names.start(engage);
    let (status, answer) = ask(&service, 0);
    assert_eq!(status, 502, "{answer}");
    names.say(&format!("127.0.0.1 {NAME}\n"));
    // A failed connection starts a look-up no sooner than a second after the last one. Known addresses are fresh for
    // ten seconds, so nothing else starts a look-up.
    assert!(!names.is_asked_within(Duration::from_millis(1500)));
    assert_found(&service, 1);
    assert_found(&service, 2);
}
