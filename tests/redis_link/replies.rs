//! A reply never reaches any command but its own, whatever happened to earlier commands.

use std::time::Duration;

use engage_bff::shared_tier::protocol::BackendError;
use redis::Script;
use tokio::time::timeout;

use crate::{connected, local, reply, server::RedisServer, sleep, words};

#[tokio::test]
async fn late_replies_of_dropped_commands_reach_no_other_command() {
    let server = RedisServer::start(&[]);
    let link = connected(local(server.port())).await;
    let script = Script::new("return ARGV[1]");
    link.run(&script.arg("first")).await.expect("a reply");
    for round in 0..3 {
        server.freeze();
        // The frozen server reads none of them for now: some are written, and some wait to be written.
        let late = (0..500).map(|number| {
            let (link, script) = (&link, &script);
            async move {
                let text = format!("late-{round}-{number}");
                let limit = Duration::from_millis(50);
                match number % 3 {
                    0 => timeout(limit, link.run(&script.arg(text))).await.is_err(),
                    1 => {
                        let read = words(&format!("XREAD BLOCK 100 STREAMS {text} $"));
                        timeout(limit, link.read(&read)).await.is_err()
                    }
                    _ => {
                        let echo = words(&format!("ECHO {text}"));
                        timeout(limit, link.command(&echo)).await.is_err()
                    }
                }
            }
        });
        let dropped = futures_util::future::join_all(late).await;
        assert!(dropped.into_iter().all(|is_dropped| is_dropped));
        server.thaw();
        for number in 0..1000 {
            let text = format!("next-{round}-{number}");
            assert_eq!(reply(&link, &format!("ECHO {text}")).await, Ok(text));
        }
        let mut together = script.prepare_invoke();
        together.arg("together");
        let both = tokio::join!(link.run(&together), reply::<String>(&link, "ECHO apart"));
        assert_eq!(both.0, Ok(redis::Value::BulkString(b"together".to_vec())));
        assert_eq!(both.1, Ok("apart".to_owned()));
    }
    // On the old connection, the dropped reads still end one after another; a new connection does not wait for them.
    link.connect().await.expect("a connection");
    let read = timeout(Duration::from_secs(5), link.read(&words("ECHO read"))).await;
    assert_eq!(read, Ok(Ok(redis::Value::BulkString(b"read".to_vec()))));
}

#[tokio::test]
async fn broken_replies_end_the_connection() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Answers as a primary does, then with something else.
    async fn serve(listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut requests = Vec::new();
                let info = "role:master\r\nmaster_replid:abc\r\n";
                let info = format!("${}\r\n{info}\r\n", info.len());
                let broken = "+PONG\r\n!rubbish\r\n+NEXT\r\n+NEXT\r\n".to_owned();
                for (until, replies) in [("INFO", info), ("PING", broken)] {
                    while !String::from_utf8_lossy(&requests).contains(until) {
                        let read = stream.read_buf(&mut requests).await;
                        assert!(read.is_ok_and(|bytes| bytes > 0), "requests");
                    }
                    sleep(Duration::from_millis(50)).await;
                    let sent = stream.write_all(replies.as_bytes()).await;
                    sent.expect("a connection");
                }
                sleep(Duration::from_secs(5)).await;
            });
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = tokio::spawn(serve(listener));
    let link = connected(local(port)).await;
    let ping = words("PING");
    let replies = tokio::join!(
        link.command(&ping),
        link.command(&ping),
        link.command(&ping)
    );
    assert_eq!(replies.0, Ok(redis::Value::SimpleString("PONG".to_owned())));
    assert_eq!(replies.1, Err(BackendError::Unexpected));
    assert_eq!(replies.2, Err(BackendError::Unreachable));
    assert_eq!(link.command(&ping).await, Err(BackendError::Unreachable));
    server.abort();
}
