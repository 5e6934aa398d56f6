//! A client that keeps its connection and reads whole responses: to warm caches, for bursts and for background load.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::Failure;

/// A caller with a connection.
pub(crate) struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as received.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The status line and the fields, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a field, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(field, value)| (field == name).then_some(value))
    }

    /// The value of `Cache-Status`.
    pub(crate) fn cache_status(&self) -> &str {
        self.field("cache-status").unwrap_or_default()
    }

    /// The reply, if it has that status; otherwise an error.
    pub(crate) fn expect(self, status: u16) -> Result<Self, Failure> {
        if self.status == status {
            return Ok(self);
        }
        let body = String::from_utf8_lossy(&self.body);
        Err(format!("{status} was expected, not {}\n{body}", self.head).into())
    }
}

impl Caller {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Reply, Failure> {
        self.send(request).await?;
        self.reply().await
    }

    /// Sends one request, or several together.
    pub(crate) async fn send(&mut self, requests: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(requests).await?)
    }

    /// The next response, read by its `Content-Length`.
    pub(crate) async fn reply(&mut self) -> Result<Reply, Failure> {
        let end = loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None => self.read().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
        let status = head.get(9..12).ok_or("no status")?.parse()?;
        let mut reply = Reply {
            status,
            head,
            body: Vec::new(),
        };
        let length = match (status, reply.field("content-length")) {
            (204 | 304, _) => 0,
            (_, Some(length)) => length.parse()?,
            (_, None) => return Err(format!("an answer without a length: {}", reply.head).into()),
        };
        let begin = end + 4;
        while self.buffer.len() < begin + length {
            self.read().await?;
        }
        reply.body = self.buffer[begin..begin + length].to_vec();
        self.buffer.drain(..begin + length);
        Ok(reply)
    }

    async fn read(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the connection ended".into()),
            _ => Ok(()),
        }
    }
}

/// A caller's request for a path.
pub(crate) fn get(path: &str, more: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: shop/1.0\r\nAccept: application/json\r\n\
         X-Api-Key: test-shop-key\r\n{more}\r\n"
    )
    .into_bytes()
}

/// Sends all requests over some connections and passes each response to `look`. Returns the results in the order of the
/// requests.
pub(crate) async fn ask_all<T: Send + 'static>(
    address: SocketAddr,
    count: usize,
    request: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    look: impl Fn(Reply) -> Result<T, Failure> + Send + Sync + 'static,
) -> Result<Vec<T>, Failure> {
    const CONNECTIONS: usize = 16;
    let (request, look) = (Arc::new(request), Arc::new(look));
    let mut callers = JoinSet::new();
    for first in 0..CONNECTIONS {
        let (request, look) = (Arc::clone(&request), Arc::clone(&look));
        callers.spawn(async move {
            let mut caller = Caller::connect(address).await?;
            let mut seen = Vec::new();
            for index in (first..count).step_by(CONNECTIONS) {
                let reply = caller.ask(&request(index)).await?;
                seen.push((index, look(reply)?));
            }
            Ok::<_, Failure>(seen)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(seen) = callers.join_next().await {
        all.extend(seen??);
    }
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, seen)| seen).collect())
}
