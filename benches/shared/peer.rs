//! A caller that costs next to nothing: it sends the same bytes again and again, and recognises the end of a response
//! by its last bytes.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::Failure;

/// The number of last bytes by which a response is recognised.
const TAIL: usize = 12;
const LARGEST: usize = 256 * 1024;
/// Maximum number of requests that `warm` sends before it fails.
const WARMING: usize = 50;

/// A caller with a connection.
pub(crate) struct Peer {
    stream: DuplexStream,
    /// The bytes that it sends.
    pub(crate) request: Vec<u8>,
    /// The buffer that responses are read into.
    buffer: Vec<u8>,
    /// The first response, which all later ones must resemble.
    pub(crate) first: Answer,
}

/// A response as received.
#[derive(Default)]
pub(crate) struct Answer {
    /// The status line and the fields, in lower case.
    pub(crate) head: String,
    /// The whole response.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The value of a field, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find_map(|(field, value)| (field == name).then_some(value))
    }

    fn says(&self, status: &str, mark: &str) -> bool {
        self.head.starts_with(&format!("http/1.1 {status} ")) && self.head.contains(mark)
    }

    /// The end of the body, or of the head if there is no body: ids and times in a head change.
    fn tail(&self) -> &[u8] {
        let end_of_head = self.head.len();
        let body = self.bytes.len().saturating_sub(TAIL);
        &self.bytes[body.max(end_of_head)..]
    }
}

impl Peer {
    /// Repeats the request until the response has that status and a head with that text: it comes from memory then.
    pub(crate) async fn warm(
        stream: DuplexStream,
        request: Vec<u8>,
        status: &str,
        mark: &str,
    ) -> Result<Self, Failure> {
        let mut peer = Self {
            stream,
            request,
            buffer: vec![0; LARGEST],
            first: Answer::default(),
        };
        for _ in 0..WARMING {
            peer.first = peer.ask_once(status == "304").await?;
            if peer.first.says(status, mark) {
                return Ok(peer);
            }
        }
        let head = &peer.first.head;
        Err(format!("no response had status {status} and {mark:?}; the last one: {head}").into())
    }

    /// Sends the request this many times.
    pub(crate) async fn ask(&mut self, times: usize) -> Result<(), Failure> {
        for _ in 0..times {
            self.stream.write_all(&self.request).await?;
            let mut filled = 0;
            while !self.buffer[..filled].ends_with(self.first.tail()) {
                filled += self.read(filled).await?;
            }
            // The version and the status.
            if self.buffer[..12] != self.first.bytes[..12] {
                let answer = String::from_utf8_lossy(&self.buffer[..filled]);
                return Err(format!("a response differs from the others: {answer}").into());
            }
        }
        Ok(())
    }

    /// One response, read by its `Content-Length`.
    pub(crate) async fn ask_once(&mut self, is_bare: bool) -> Result<Answer, Failure> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        loop {
            filled += self.read(filled).await?;
            let bytes = &self.buffer[..filled];
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let answer = Answer {
                head: String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase(),
                bytes: bytes.to_vec(),
            };
            let length: usize = answer.field("content-length").map_or(Ok(0), str::parse)?;
            if is_bare || filled >= end + 4 + length {
                return Ok(answer);
            }
        }
    }

    async fn read(&mut self, filled: usize) -> Result<usize, Failure> {
        match self.stream.read(&mut self.buffer[filled..]).await? {
            0 => Err("the connection ended".into()),
            read => Ok(read),
        }
    }
}
