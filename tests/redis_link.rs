//! The connections to Redis, against real servers: `redis-server` must be installed.

#[path = "redis_link/certificates.rs"]
mod certificates;
#[path = "redis_link/failures.rs"]
mod failures;
#[path = "redis_link/online.rs"]
mod online;
#[path = "redis_link/replies.rs"]
mod replies;
#[path = "redis_link/sentinels.rs"]
mod sentinels;
#[path = "redis_link/server.rs"]
mod server;
#[path = "redis_link/tls.rs"]
mod tls;
#[path = "redis_link/users.rs"]
mod users;

use std::time::Duration;

use engage_bff::{
    clock::Clock,
    shared_tier::{
        protocol::BackendError,
        redis::link::{Link, LinkConfig, Server, ServerAddress, User},
    },
};
use redis::{Cmd, FromRedisValue, Script, cmd, from_redis_value};
use tokio::time::timeout;

use self::server::RedisServer;

/// The port on this machine, without TLS, user and database.
fn local(port: u16) -> LinkConfig {
    LinkConfig {
        server: Server::At(address(port)),
        tls: None,
        user: User::default(),
        database: 0,
    }
}

fn address(port: u16) -> ServerAddress {
    ServerAddress {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

/// Lets real time pass, because these are real servers.
async fn sleep(time: Duration) {
    let clock = Clock::system();
    clock.sleep_until(clock.tick() + time).await;
}

/// A connected link.
async fn connected(config: LinkConfig) -> Link {
    let link = Link::new(config);
    link.connect_or_explain().await.expect("a connection");
    link
}

/// A command of these words.
fn words(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = cmd(words.next().expect("a word"));
    words.fold(&mut command, |command, word| command.arg(word));
    command
}

/// The reply to a command of these words.
async fn reply<T: FromRedisValue>(link: &Link, text: &str) -> Result<T, BackendError> {
    let value = link.command(&words(text)).await?;
    Ok(from_redis_value(value).expect("a reply of this type"))
}

/// Connects until it succeeds.
async fn connect_again(link: &Link) {
    let connect = async {
        while link.connect().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(20);
    timeout(limit, connect).await.expect("a connection");
}

#[tokio::test]
async fn commands_and_scripts_are_answered() {
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    assert_eq!(reply(&link, "SET a 1").await, Ok("OK".to_owned()));
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for expected in [4, 7] {
        let value = link.run(script.key("a").arg(3)).await.expect("a reply");
        assert_eq!(from_redis_value(value), Ok(expected));
    }
    // The server forgets scripts; the next run loads it again.
    let flushed: String = reply(&link, "SCRIPT FLUSH").await.expect("a reply");
    assert_eq!(flushed, "OK");
    let value = link.run(script.key("a").arg(3)).await.expect("a reply");
    assert_eq!(from_redis_value(value), Ok(10));
}

#[tokio::test]
async fn blocking_reads_delay_no_operation_and_have_no_limit() {
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    // By default the crate gives up after 500 ms.
    let read = words("XREAD BLOCK 1200 STREAMS s $");
    let (read, operations) = tokio::join!(link.read(&read), async {
        let operations = async {
            for _ in 0..100 {
                reply::<String>(&link, "PING").await.expect("a reply");
            }
        };
        timeout(Duration::from_millis(1000), operations).await
    });
    assert_eq!(read, Ok(redis::Value::Nil));
    operations.expect("operations while the read blocks");
    let read = words("XREAD BLOCK 10000 STREAMS s $");
    let append = async {
        sleep(Duration::from_millis(100)).await;
        reply::<String>(&link, "XADD s * a b").await
    };
    let (read, appended) = tokio::join!(link.read(&read), append);
    assert!(appended.is_ok() && !matches!(read, Ok(redis::Value::Nil) | Err(_)));
}

#[tokio::test]
async fn without_a_connection_every_operation_fails_at_once() {
    let server = RedisServer::start(&[]);
    let link = Link::new(local(server.port()));
    let unreachable = Err(BackendError::Unreachable);
    assert_eq!(reply::<String>(&link, "PING").await, unreachable);
    link.connect().await.expect("a connection");
    assert!(reply::<String>(&link, "PING").await.is_ok());
    // Operations that wait for a reply fail too.
    let read = words("XREAD BLOCK 60000 STREAMS s $");
    let cut = async {
        sleep(Duration::from_millis(50)).await;
        link.drop_connections();
    };
    let both = async { tokio::join!(link.read(&read), cut) };
    let (read, ()) = timeout(Duration::from_secs(5), both).await.expect("an end");
    assert_eq!(read, Err(BackendError::Unreachable));
    assert_eq!(reply::<String>(&link, "PING").await, unreachable);
}

#[tokio::test]
async fn databases_are_selected_by_number() {
    let server = RedisServer::start(&[]);
    let third = connected(LinkConfig {
        database: 3,
        ..local(server.port())
    })
    .await;
    reply::<String>(&third, "SET a 1").await.expect("a reply");
    let first = connected(local(server.port())).await;
    assert_eq!(reply(&first, "EXISTS a").await, Ok(0));
    assert_eq!(reply(&third, "EXISTS a").await, Ok(1));
}
