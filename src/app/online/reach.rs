//! Whether a server can be reached: name, connection, and certificate.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    thread,
    time::Duration,
};

use tokio::{net::TcpStream, sync::oneshot, time::timeout};

use super::{endpoint::Endpoint, report::Check, tls};
use crate::clock::Clock;

/// The longest wait for the name server.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most addresses that are tried.
const MAX_ADDRESSES: usize = 4;

/// The three checks. After a failure the later ones are skipped.
pub(super) async fn check(endpoint: &Endpoint<'_>, clock: &Clock) -> Vec<Check> {
    let [name, connection, certificate] = endpoint.names;
    let mut checks = Vec::new();
    let addresses = match resolve(endpoint).await {
        Ok(addresses) => addresses,
        Err(failed) => {
            checks.push(failed);
            checks.extend([connection, certificate].map(|of| Check::skipped_after(of, name)));
            return checks;
        }
    };
    checks.push(resolved(endpoint, &addresses));
    let stream = match connect(endpoint, &addresses).await {
        Ok((stream, check)) => {
            checks.push(check);
            stream
        }
        Err(failed) => {
            checks.push(failed);
            checks.push(Check::skipped_after(certificate, connection));
            return checks;
        }
    };
    checks.push(if endpoint.url.scheme() == "https" {
        tls::check(endpoint, stream, clock).await
    } else if addresses.iter().all(|address| address.ip().is_loopback()) {
        Check::ok(certificate, "plain HTTP, on this machine only")
    } else if let Some(exposed) = endpoint.exposes {
        Check::warning(
            certificate,
            format!("plain HTTP: {exposed} are not encrypted"),
            format!("give an https URL in {}", endpoint.key),
        )
    } else {
        Check::ok(certificate, "plain HTTP")
    });
    checks
}

/// The addresses of the host, by the system's resolver. It cannot be cancelled, so it runs in a thread of its own, and
/// the process does not wait for that thread at its end.
async fn resolve(endpoint: &Endpoint<'_>) -> Result<Vec<SocketAddr>, Check> {
    let host = endpoint.host().to_owned();
    let port = endpoint.url.port_or_known_default().unwrap_or_default();
    let (sender, resolved) = oneshot::channel();
    let of = host.clone();
    thread::spawn(move || {
        let addresses = (of, port).to_socket_addrs();
        let addresses: io::Result<Vec<_>> = addresses.map(Iterator::collect);
        // After the time-out the result is no longer received.
        drop(sender.send(addresses));
    });
    let name = endpoint.names[0];
    let remedy = format!(
        "see whether {} is right, and what this machine's name server says",
        endpoint.key
    );
    match timeout(RESOLVE_TIMEOUT, resolved).await {
        Ok(Ok(Ok(addresses))) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(Check::failed(
            name,
            format!("{host} has no address"),
            remedy,
        )),
        Err(_) => {
            let what = format!("no answer about {host} in {} s", RESOLVE_TIMEOUT.as_secs());
            Err(Check::failed(name, what, remedy))
        }
    }
}

fn resolved(endpoint: &Endpoint<'_>, addresses: &[SocketAddr]) -> Check {
    let name = endpoint.names[0];
    let host = endpoint.host();
    if host.parse::<IpAddr>().is_ok() {
        return Check::ok(name, format!("{host} is an address"));
    }
    let count = addresses.len();
    let noun = if count == 1 { "address" } else { "addresses" };
    Check::ok(name, format!("{host} has {count} {noun}"))
}

/// A connection to the first address that accepts one.
async fn connect(
    endpoint: &Endpoint<'_>,
    addresses: &[SocketAddr],
) -> Result<(TcpStream, Check), Check> {
    let name = endpoint.names[1];
    let mut refused = Vec::new();
    for address in addresses.iter().take(MAX_ADDRESSES) {
        let connecting = timeout(endpoint.connect_timeout, TcpStream::connect(address));
        match connecting.await {
            Ok(Ok(stream)) => return Ok((stream, connected(name, *address, &refused))),
            Ok(Err(error)) => refused.push((*address, reason(error.kind()))),
            Err(_) => refused.push((*address, reason(io::ErrorKind::TimedOut))),
        }
    }
    let (address, (what, remedy)) = refused.pop().expect("there is an address");
    Err(Check::failed(name, format!("{address}: {what}"), remedy))
}

type Reason = (&'static str, &'static str);

fn connected(name: &'static str, address: SocketAddr, refused: &[(SocketAddr, Reason)]) -> Check {
    // An address without a route fails at once. That is common for IPv6 and gets no warning.
    let waited = refused.iter().find(|(_, reason)| *reason != NO_ROUTE);
    match waited {
        None => Check::ok(name, format!("connected to {address}")),
        Some((other, (what, remedy))) => Check::warning(
            name,
            format!("connected to {address}; before that {other}: {what}"),
            *remedy,
        ),
    }
}

const NO_ROUTE: Reason = (
    "there is no route",
    "see the network of this machine or container",
);

/// A description of the failure, and the remedy.
fn reason(kind: io::ErrorKind) -> Reason {
    match kind {
        io::ErrorKind::ConnectionRefused => (
            "refused: nothing listens there",
            "see whether host and port are right",
        ),
        io::ErrorKind::TimedOut => (
            "no answer in time",
            "let the firewall or network policy pass connections from here to there",
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => NO_ROUTE,
        _ => (
            "the connection fails",
            "see the network of this machine or container",
        ),
    }
}
