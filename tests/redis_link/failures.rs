//! Errors of a server, and connections that break.

use std::time::Duration;

use engage_bff::shared_tier::{
    protocol::BackendError,
    redis::link::{ConnectFailure, Link},
};
use redis::Script;
use tokio::time::timeout;

use crate::{
    connect_again, connected, local, reply,
    server::{RedisServer, free_port},
};

/// The errors of a command, in a script and outside of one.
async fn errors(link: &Link, command: &str) -> [Option<BackendError>; 2] {
    let quoted: Vec<_> = command.split(' ').map(|word| format!("'{word}'")).collect();
    let script = Script::new(&format!("return redis.call({})", quoted.join(",")));
    let within = link.run(&script.prepare_invoke()).await;
    let outside = reply::<redis::Value>(link, command).await;
    [within.err(), outside.err()]
}

#[tokio::test]
async fn scripts_end_with_the_error_that_they_return() {
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    for (text, expected) in [
        ("EPOCH it has ended", BackendError::Epoch),
        ("OTHER it has ended", BackendError::Unexpected),
    ] {
        for script in [
            format!("return redis.error_reply('{text}')"),
            format!("return {{err = '{text}'}}"),
        ] {
            let result = link.run(&Script::new(&script).prepare_invoke()).await;
            assert_eq!(result.map(drop), Err(expected.clone()), "{script}");
        }
    }
    let broken = link.run(&Script::new("no script").prepare_invoke()).await;
    assert_eq!(broken.map(drop), Err(BackendError::Unexpected));
}

#[tokio::test]
async fn writes_without_memory_fail_as_full() {
    let server = RedisServer::start(&["--maxmemory-policy", "noeviction"]);
    let link = connected(local(server.port())).await;
    let limited = "CONFIG SET maxmemory 1";
    reply::<String>(&link, limited).await.expect("a reply");
    assert_eq!(
        errors(&link, "SET a 1").await,
        [const { Some(BackendError::Full) }; 2]
    );
}

#[tokio::test]
async fn writes_to_what_became_a_replica_fail_as_read_only() {
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    let refused = "CONFIG SET min-replicas-to-write 1";
    reply::<String>(&link, refused).await.expect("a reply");
    let read_only = [const { Some(BackendError::ReadOnly) }; 2];
    assert_eq!(errors(&link, "SET a 1").await, read_only);
    let allowed = "CONFIG SET min-replicas-to-write 0";
    reply::<String>(&link, allowed).await.expect("a reply");
    assert_eq!(errors(&link, "SET a 1").await, [None, None]);
    let demoted = format!("REPLICAOF 127.0.0.1 {}", free_port());
    reply::<String>(&link, &demoted).await.expect("a reply");
    assert_eq!(errors(&link, "SET a 1").await, read_only);
    assert_eq!(link.connect().await, Err(BackendError::ReadOnly));
}

#[tokio::test]
async fn connections_that_were_cut_stay_cut_until_connected_anew() {
    let mut server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    let admin = connected(local(server.port())).await;
    let killed: i64 = reply(&admin, "CLIENT KILL TYPE normal SKIPME yes")
        .await
        .expect("a reply");
    assert!(killed >= 2);
    let limit = Duration::from_secs(5);
    for _ in 0..3 {
        let cut = timeout(limit, reply::<String>(&link, "PING")).await;
        assert_eq!(cut, Ok(Err(BackendError::Unreachable)));
    }
    link.connect().await.expect("a connection");
    assert!(reply::<String>(&link, "PING").await.is_ok());
    server.crash();
    assert_eq!(
        link.connect_or_explain().await,
        Err(ConnectFailure::Refused)
    );
    let cut = timeout(limit, reply::<String>(&link, "PING")).await;
    assert_eq!(cut, Ok(Err(BackendError::Unreachable)));
    server.start_again();
    connect_again(&link).await;
    assert!(reply::<String>(&link, "PING").await.is_ok());
}

#[tokio::test]
async fn server_with_too_many_connections_is_reported() {
    let server = RedisServer::start(&["--maxclients", "3"]);
    let link = connected(local(server.port())).await;
    let other = Link::new(local(server.port()));
    let refused = other.connect_or_explain().await;
    assert_eq!(refused, Err(ConnectFailure::Closed));
    drop(link);
}

#[tokio::test]
async fn server_that_is_not_redis_is_reported() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let web = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = Vec::new();
            let read = stream.read_buf(&mut request).await;
            assert!(read.is_ok_and(|bytes| bytes > 0));
            let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.expect("a connection");
        }
    });
    let refused = Link::new(local(port)).connect_or_explain().await;
    assert_eq!(refused, Err(ConnectFailure::Unexpected));
    web.abort();
}
