//! TLS: certificates are always verified.

use std::time::Duration;

use engage_bff::shared_tier::redis::link::{
    ConnectFailure, Link, LinkConfig, Server, ServerAddress, Tls,
};

use tokio::time::timeout;

use crate::{
    certificates::{Authority, Identity},
    connected, local, reply,
    server::RedisServer,
};

fn start(options: &[String]) -> RedisServer {
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    RedisServer::start_with_tls(&options)
}

fn trusting(authorities: Option<&str>, identity: Option<&Identity>) -> Tls {
    let identity = identity.map(|it| (it.certificate.as_bytes(), it.key.as_bytes()));
    Tls::new(authorities.map(str::as_bytes), identity).expect("certificates")
}

fn with(tls: Tls, port: u16) -> LinkConfig {
    LinkConfig {
        tls: Some(tls),
        ..local(port)
    }
}

fn at(host: &str, port: u16, tls: Tls) -> LinkConfig {
    LinkConfig {
        server: Server::At(ServerAddress {
            host: host.to_owned(),
            port,
        }),
        ..with(tls, port)
    }
}

async fn failure(config: LinkConfig) -> ConnectFailure {
    let result = Link::new(config).connect_or_explain().await;
    result.expect_err("a failure")
}

#[tokio::test]
async fn private_authority_is_trusted_where_it_is_given() {
    let authority = Authority::new();
    let server = start(&authority.options("127.0.0.1", false));
    let tls = trusting(Some(authority.pem()), None);
    let link = connected(with(tls, server.port())).await;
    assert_eq!(reply(&link, "PING").await, Ok("PONG".to_owned()));
    let public = trusting(None, None);
    let refused = failure(with(public, server.port())).await;
    assert_eq!(refused, ConnectFailure::Authority);
    let other = trusting(Some(Authority::new().pem()), None);
    let refused = failure(with(other, server.port())).await;
    assert_eq!(refused, ConnectFailure::Authority);
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    for (certified, host) in [
        ("cache.example.com", "127.0.0.1"),
        ("cache.example.com", "localhost"),
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
    ] {
        let server = start(&authority.options(certified, false));
        let tls = trusting(Some(authority.pem()), None);
        let refused = failure(at(host, server.port(), tls)).await;
        assert_eq!(refused, ConnectFailure::OtherName, "{certified} {host}");
    }
}

#[tokio::test]
async fn certificate_for_the_host_name_is_accepted() {
    let authority = Authority::new();
    let server = start(&authority.options("localhost", false));
    let tls = trusting(Some(authority.pem()), None);
    connected(at("localhost", server.port(), tls)).await;
}

#[tokio::test]
async fn server_that_asks_for_a_certificate_gets_ours() {
    let authority = Authority::new();
    let server = start(&authority.options("127.0.0.1", true));
    let identity = authority.issue("engage-bff");
    let tls = trusting(Some(authority.pem()), Some(&identity));
    connected(with(tls, server.port())).await;
    let none = trusting(Some(authority.pem()), None);
    // The server may close the connection before it has sent the reason.
    let unwelcome = [ConnectFailure::ClientCertificate, ConnectFailure::Closed];
    let refused = failure(with(none, server.port())).await;
    assert!(unwelcome.contains(&refused), "{refused:?}");
    let foreign = Authority::new().issue("engage-bff");
    let other = trusting(Some(authority.pem()), Some(&foreign));
    let refused = failure(with(other, server.port())).await;
    assert!(unwelcome.contains(&refused), "{refused:?}");
}

#[tokio::test]
async fn tls_and_plain_connections_do_not_mix() {
    let authority = Authority::new();
    let plain = RedisServer::start(&[]);
    let tls = trusting(Some(authority.pem()), None);
    // The server waits for the end of a line until the caller's limit ends the attempt.
    let limit = Duration::from_millis(500);
    let hangs = timeout(limit, failure(with(tls, plain.port()))).await;
    assert!(
        matches!(hangs, Err(_) | Ok(ConnectFailure::Tls)),
        "{hangs:?}"
    );
    let encrypted = start(&authority.options("127.0.0.1", false));
    let refused = failure(local(encrypted.port())).await;
    assert_eq!(refused, ConnectFailure::Closed);
}

#[test]
fn unusable_certificates_are_refused() {
    let identity = Authority::new().issue("engage-bff");
    let other = Authority::new().issue("engage-bff");
    let authorities = |pem: &[u8]| Tls::new(Some(pem), None).is_err();
    assert!(authorities(b"") && authorities(b"rubbish") && authorities(identity.key.as_bytes()));
    let pair = (identity.certificate.as_bytes(), other.key.as_bytes());
    assert!(Tls::new(None, Some(pair)).is_err());
}
