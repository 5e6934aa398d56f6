//! Users and passwords.

use engage_bff::shared_tier::{
    protocol::BackendError,
    redis::link::{ConnectFailure, Link, LinkConfig, User},
};
use redis::Script;

use crate::{connected, local, reply, server::RedisServer};

fn user(name: Option<&str>, password: &str) -> User {
    User {
        name: name.map(str::to_owned),
        password: Some(password.into()),
    }
}

fn with(user: User, port: u16) -> LinkConfig {
    LinkConfig {
        user,
        ..local(port)
    }
}

async fn failure(config: LinkConfig) -> (ConnectFailure, BackendError) {
    let link = Link::new(config);
    let why = link.connect_or_explain().await.expect_err("a failure");
    (why, link.connect().await.expect_err("a failure"))
}

#[tokio::test]
async fn password_is_sent_and_must_be_right() {
    let server = RedisServer::start(&["--requirepass", "open sesame"]);
    let link = connected(with(user(None, "open sesame"), server.port())).await;
    assert_eq!(reply(&link, "PING").await, Ok("PONG".to_owned()));
    connected(with(user(Some("default"), "open sesame"), server.port())).await;
    for (user, expected) in [
        (user(None, "sesame"), ConnectFailure::Password),
        (user(Some("other"), "open sesame"), ConnectFailure::Password),
        (User::default(), ConnectFailure::NoPassword),
    ] {
        let failed = failure(with(user, server.port())).await;
        assert_eq!(failed, (expected, BackendError::Forbidden));
    }
    let open = RedisServer::start(&[]);
    let failed = failure(with(user(None, "sesame"), open.port())).await;
    assert_eq!(failed.0, ConnectFailure::Password);
}

#[tokio::test]
async fn user_with_few_permissions_may_connect() {
    let server = RedisServer::start(&[]);
    let admin = connected(local(server.port())).await;
    let rules = "ACL SETUSER shop on >sesame ~a:* +info +evalsha +script|load +set";
    reply::<String>(&admin, rules).await.expect("a reply");
    let link = connected(with(user(Some("shop"), "sesame"), server.port())).await;
    assert_eq!(reply(&link, "SET a:1 1").await, Ok("OK".to_owned()));
    let forbidden = Err(BackendError::Forbidden);
    assert_eq!(reply::<String>(&link, "SET b:1 1").await, forbidden);
    assert_eq!(reply::<String>(&link, "GET a:1").await, forbidden);
    // Within scripts as well.
    for script in [
        "return redis.call('GET', KEYS[1])",
        "return redis.call('SET', 'b:1', '1')",
    ] {
        let result = link.run(&Script::new(script).key("a:1")).await;
        assert_eq!(result.map(drop), Err(BackendError::Forbidden), "{script}");
    }
    let rules = "ACL SETUSER shop -info";
    reply::<String>(&admin, rules).await.expect("a reply");
    let failed = failure(with(user(Some("shop"), "sesame"), server.port())).await;
    assert_eq!(failed, (ConnectFailure::Forbidden, BackendError::Forbidden));
}

#[tokio::test]
async fn database_that_does_not_exist_is_reported() {
    let server = RedisServer::start(&[]);
    let config = LinkConfig {
        database: 99,
        ..local(server.port())
    };
    let failed = failure(config).await;
    assert_eq!(failed, (ConnectFailure::Database, BackendError::Forbidden));
}

#[test]
fn secrets_are_not_printed() {
    let link = Link::new(with(user(Some("shop"), "sesame"), 1));
    let text = format!("{link:?}");
    assert!(
        text.contains("127.0.0.1") && !text.contains("sesame"),
        "{text}"
    );
}
