//! Sentinel: each attempt to connect asks the sentinels for the primary.

use std::time::Duration;

use engage_bff::shared_tier::{
    protocol::BackendError,
    redis::link::{ConnectFailure, Link, LinkConfig, Server, ServerAddress, User},
};
use tokio::time::timeout;

use crate::{
    address, connect_again, connected, local, reply,
    server::{RedisServer, free_port},
    sleep,
};

/// The service "main" of these sentinels.
fn of(ports: &[u16]) -> LinkConfig {
    named("main", ports, User::default())
}

fn named(service: &str, ports: &[u16], user: User) -> LinkConfig {
    LinkConfig {
        server: Server::Sentinels {
            addresses: ports.iter().map(|port| address(*port)).collect(),
            service: service.to_owned(),
            user,
        },
        ..local(0)
    }
}

async fn failure(config: LinkConfig) -> ConnectFailure {
    let result = Link::new(config).connect_or_explain().await;
    result.expect_err("a failure")
}

/// A replica that has the primary's data.
async fn replica_of(primary: &RedisServer) -> RedisServer {
    let port = primary.port().to_string();
    let replica = RedisServer::start(&[
        "--replicaof",
        "127.0.0.1",
        &port,
        "--repl-diskless-sync-delay",
        "0",
    ]);
    let link = connected(local(primary.port())).await;
    let synchronised = async {
        while reply::<i64>(&link, "WAIT 1 100").await != Ok(1) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(20);
    timeout(limit, synchronised).await.expect("a replica");
    replica
}

/// Waits until each sentinel knows the other two and the replica.
async fn acquainted(sentinels: &[RedisServer]) {
    let acquainted = async {
        for sentinel in sentinels {
            // A sentinel is not a data server, so a plain client of the crate queries it.
            let url = format!("redis://127.0.0.1:{}", sentinel.port());
            let client = redis::Client::open(url).expect("a URL");
            let connection = client.get_multiplexed_async_connection().await;
            let mut connection = connection.expect("a connection");
            loop {
                let fields: std::collections::HashMap<String, String> = redis::cmd("SENTINEL")
                    .arg("MASTER")
                    .arg("main")
                    .query_async(&mut connection)
                    .await
                    .expect("a reply");
                if fields["num-other-sentinels"] == "2" && fields["num-slaves"] == "1" {
                    break;
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
    };
    let limit = Duration::from_secs(30);
    timeout(limit, acquainted).await.expect("sentinels");
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_found() {
    let mut primary = RedisServer::start(&[]);
    let replica = replica_of(&primary).await;
    let sentinels: Vec<_> = (0..3)
        .map(|_| RedisServer::start_sentinel("main", primary.port(), ""))
        .collect();
    acquainted(&sentinels).await;
    let ports: Vec<_> = sentinels.iter().map(RedisServer::port).collect();
    let link = connected(of(&ports)).await;
    let port = |link| async move { reply::<Vec<String>>(link, "CONFIG GET port").await };
    let is_at = |server: &RedisServer| Ok(vec!["port".to_owned(), server.port().to_string()]);
    assert_eq!(port(&link).await, is_at(&primary));
    primary.crash();
    let limit = Duration::from_secs(5);
    let cut = timeout(limit, reply::<String>(&link, "PING"))
        .await
        .expect("an end");
    assert_eq!(cut, Err(BackendError::Unreachable));
    connect_again(&link).await;
    assert_eq!(port(&link).await, is_at(&replica));
    assert_eq!(reply(&link, "SET a 1").await, Ok("OK".to_owned()));
}

#[tokio::test]
async fn sentinel_that_differs_from_the_others_is_overruled() {
    let (primary, other) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let sentinels: Vec<_> = [other.port(), primary.port(), primary.port()]
        .into_iter()
        .map(|server| RedisServer::start_sentinel("main", server, ""))
        .collect();
    let ports: Vec<_> = sentinels.iter().map(RedisServer::port).collect();
    for _ in 0..10 {
        let link = connected(of(&ports)).await;
        let port = reply::<Vec<String>>(&link, "CONFIG GET port").await;
        assert_eq!(
            port,
            Ok(vec!["port".to_owned(), primary.port().to_string()])
        );
    }
}

#[tokio::test]
async fn sentinels_that_hang_or_are_gone_delay_little() {
    let primary = RedisServer::start(&[]);
    let sentinel = RedisServer::start_sentinel("main", primary.port(), "");
    let hanging = RedisServer::start_sentinel("main", primary.port(), "");
    hanging.freeze();
    let ports = [free_port(), hanging.port(), sentinel.port()];
    let link = Link::new(of(&ports));
    let limit = Duration::from_secs(1);
    let opened = timeout(limit, link.connect_or_explain()).await;
    assert_eq!(opened, Ok(Ok(())));
    let silent = timeout(limit, failure(of(&ports[..2]))).await;
    assert_eq!(silent, Ok(ConnectFailure::Refused));
    let silent = timeout(limit, failure(of(&ports[1..2]))).await;
    assert_eq!(silent, Ok(ConnectFailure::SilentSentinels));
}

#[tokio::test]
async fn unknown_service_and_wrong_password_are_reported() {
    let primary = RedisServer::start(&[]);
    let sentinel =
        RedisServer::start_sentinel("main", primary.port(), "requirepass \"open sesame\"");
    let ports = [sentinel.port()];
    let user = |password: &str| User {
        name: None,
        password: Some(password.into()),
    };
    connected(named("main", &ports, user("open sesame"))).await;
    for (service, user, expected) in [
        ("other", user("open sesame"), ConnectFailure::UnknownService),
        ("main", user("sesame"), ConnectFailure::Password),
        ("main", User::default(), ConnectFailure::NoPassword),
    ] {
        assert_eq!(failure(named(service, &ports, user)).await, expected);
    }
    // A data server is not a sentinel.
    let unexpected = failure(of(&[primary.port()])).await;
    assert_eq!(unexpected, ConnectFailure::Unexpected);
}

#[tokio::test]
async fn replicas_are_refused() {
    let primary = RedisServer::start(&[]);
    let replica = replica_of(&primary).await;
    assert_eq!(
        failure(local(replica.port())).await,
        ConnectFailure::Replica
    );
    let link = Link::new(local(replica.port()));
    assert_eq!(link.connect().await, Err(BackendError::ReadOnly));
    // This sentinel takes the replica for the primary, as if it had not noticed the change yet.
    let sentinel = RedisServer::start_sentinel("other", replica.port(), "");
    let config = named("other", &[sentinel.port()], User::default());
    assert_eq!(failure(config).await, ConnectFailure::Replica);
}

#[tokio::test]
async fn host_without_an_address_is_reported() {
    let config = LinkConfig {
        server: Server::At(ServerAddress {
            host: "no-such-host.invalid".to_owned(),
            port: 6379,
        }),
        ..local(0)
    };
    assert_eq!(failure(config).await, ConnectFailure::UnknownHost);
}
