//! Raw HTTP/1.1 over keep-alive connections, so that every lost request is seen.

use std::{io, net::SocketAddr, time::Duration};

use engage_simulator::fixtures::ALVA;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longer than anything here takes; a test that waits this long fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A look-up by the till.
pub(crate) fn customer(more: &str) -> String {
    format!(
        "GET /customer?contactId={} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: test-till-key\r\n{more}\r\n",
        ALVA.id
    )
}

/// A `GET` of a path without a credential.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A complete response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Whether it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

/// The next response, or how the connection ended before it was complete: `Ok(None)` if not a byte of it arrived.
pub(crate) async fn answer(stream: &mut TcpStream) -> io::Result<Option<Answer>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(answer) = whole(&bytes) {
            return Ok(Some(answer));
        }
        let read = timeout(PATIENCE, stream.read(&mut piece)).await??;
        match (read, bytes.is_empty()) {
            (0, true) => return Ok(None),
            (0, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

fn whole(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split("\r\ncontent-length: ").nth(1).unwrap_or("0");
    let length: usize = length.lines().next()?.parse().ok()?;
    let body = bytes.get(end..end + length)?;
    Some(Answer {
        status: head.get(9..12)?.parse().ok()?,
        body: String::from_utf8_lossy(body).into_owned(),
        head,
    })
}

/// Sends one request over its own connection.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream).await
    };
    let answer = timeout(PATIENCE, asked).await??;
    answer.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The outcomes of a client's requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Responses with status 200.
    pub(crate) answered: usize,
    /// Connections ended by a response with `Connection: close`.
    pub(crate) closed: usize,
    /// The outcomes of all other requests.
    pub(crate) lost: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Tally) {
        self.answered += other.answered;
        self.closed += other.closed;
        self.lost.extend(other.lost);
    }

    /// Sends one request and counts its outcome. Returns whether another may be sent over the connection.
    pub(crate) async fn ask(&mut self, stream: &mut TcpStream, request: &str) -> bool {
        let sent = stream.write_all(request.as_bytes()).await;
        let answered = match sent {
            Ok(()) => answer(stream).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(Some(answer)) if answer.status == 200 => {
                self.answered += 1;
                self.closed += usize::from(answer.closes());
                return !answer.closes();
            }
            Ok(Some(answer)) => self.lost.push(format!("{} {}", answer.status, answer.body)),
            Ok(None) => self.lost.push("hung up".to_owned()),
            Err(error) => self.lost.push(error.kind().to_string()),
        }
        false
    }
}
