//! The bytes that were passed to hyper and that hyper has not finished with. The fast path may answer only while there
//! are none: hyper then waits for the next head, with nothing read and nothing left to write.

use super::{
    super::framing::MAX_HEAD,
    head::{self, NextInput},
};

/// The requests that were passed to hyper since it last had none to answer.
///
/// A connection's phase is even while a head is awaited and odd while a request is being answered
/// ([`ConnectionState`](super::super::connection_state::ConnectionState)), so each request takes two phases.
#[derive(Debug, Default)]
pub(super) struct HyperBacklog {
    /// The connection's phase when the first of them was passed on.
    since: usize,
    requests: usize,
    /// How many bytes of the last one's body are still to come.
    body: u64,
    /// The beginning of a head, or of bytes that hyper refuses as one.
    head: Vec<u8>,
    /// Whether only hyper can tell where requests end from here on.
    is_opaque: bool,
    /// The phase in which hyper reads the head that is opaque, and that head: hyper may refuse it.
    opaque_head: Option<(usize, Vec<u8>)>,
}

impl HyperBacklog {
    /// Whether hyper has nothing left to do.
    pub(super) fn is_empty(&self) -> bool {
        self.requests == 0 && self.is_complete()
    }

    /// Whether the last request has arrived completely.
    fn is_complete(&self) -> bool {
        self.body == 0 && self.head.is_empty() && !self.is_opaque
    }

    /// Whether the bytes end within a head.
    pub(super) fn ends_within_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// The head that hyper refuses in this phase, as far as it has arrived.
    pub(super) fn refused_head(&self, phase: usize) -> &[u8] {
        match &self.opaque_head {
            Some((of, head)) if *of == phase => head,
            _ => &self.head,
        }
    }

    /// Notes that hyper, which has nothing left to do, is passed these bytes. `first` is what they begin with.
    pub(super) fn begin(&mut self, bytes: &[u8], first: NextInput<'_>, phase: usize) {
        self.since = phase;
        self.follow(bytes, Some(first));
    }

    /// Notes that hyper is passed these bytes.
    pub(super) fn add(&mut self, bytes: &[u8], phase: usize) {
        if self.is_empty() {
            self.since = phase;
        }
        if self.is_opaque {
            return;
        }
        if self.head.is_empty() {
            self.follow(bytes, None);
        } else {
            let mut joined = std::mem::take(&mut self.head);
            joined.extend_from_slice(bytes);
            self.follow(&joined, None);
        }
    }

    fn follow(&mut self, mut bytes: &[u8], mut first: Option<NextInput<'_>>) {
        while !self.is_opaque {
            let of_body = usize::try_from(self.body).unwrap_or(usize::MAX);
            let of_body = of_body.min(bytes.len());
            self.body -= of_body as u64;
            bytes = &bytes[of_body..];
            if bytes.is_empty() {
                return;
            }
            match first.take().unwrap_or_else(|| head::next(bytes)) {
                NextInput::Request { head, body, .. } => {
                    self.requests += 1;
                    self.body = body;
                    bytes = &bytes[head..];
                }
                NextInput::Partial if bytes.len() <= MAX_HEAD => {
                    self.head = bytes.to_vec();
                    return;
                }
                NextInput::Partial | NextInput::Malformed => {
                    self.is_opaque = true;
                    self.head = bytes.to_vec();
                }
                NextInput::Opaque { head } => {
                    self.is_opaque = true;
                    let phase = self.since.wrapping_add(2 * self.requests);
                    self.opaque_head = Some((phase, bytes[..head].to_vec()));
                }
            }
        }
    }

    /// Notes that hyper has flushed everything it had to write.
    pub(super) fn flushed(&mut self, phase: usize) {
        // A head that was not refused is no longer needed.
        self.opaque_head.take_if(|(of, _)| *of != phase);
        let is_answered = phase.wrapping_sub(self.since) == 2 * self.requests;
        if self.requests > 0 && is_answered && self.is_complete() {
            self.requests = 0;
        }
    }
}

/// Asserts that the backlog does not depend on where the bytes were cut.
#[cfg(fuzzing)]
pub(in crate::http) fn assert_independent_of_cuts(bytes: &[u8], cut: usize) {
    let (mut whole, mut pieces) = (HyperBacklog::default(), HyperBacklog::default());
    whole.add(bytes, 0);
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    pieces.add(first, 0);
    pieces.add(second, 0);
    for backlog in [&mut whole, &mut pieces] {
        // How much of a refused head has arrived depends on the pieces.
        if backlog.is_opaque {
            backlog.head.clear();
        }
    }
    assert_eq!(format!("{pieces:?}"), format!("{whole:?}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n";
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn backlog_is_empty_once_every_response_is_flushed() {
        let mut backlog = HyperBacklog::default();
        backlog.add(&[GET, POST, GET].concat(), 8);
        for phase in 8..14 {
            backlog.flushed(phase);
            assert!(!backlog.is_empty(), "{phase}");
        }
        backlog.flushed(14);
        assert!(backlog.is_empty());
    }

    #[test]
    fn request_in_pieces_counts_once() {
        for request in [GET, POST] {
            for cut in 1..request.len() {
                let mut backlog = HyperBacklog::default();
                backlog.add(&request[..cut], 0);
                backlog.flushed(0);
                assert!(!backlog.is_empty(), "{cut}");
                backlog.add(&request[cut..], 0);
                backlog.flushed(1);
                assert!(!backlog.is_empty(), "{cut}");
                backlog.flushed(2);
                assert!(backlog.is_empty(), "{cut}");
            }
        }
    }

    #[test]
    fn early_response_leaves_the_rest_of_the_body_to_hyper() {
        let mut backlog = HyperBacklog::default();
        backlog.add(&POST[..POST.len() - 1], 0);
        backlog.flushed(2);
        assert!(!backlog.is_empty());
        backlog.add(&POST[POST.len() - 1..], 2);
        backlog.flushed(2);
        assert!(backlog.is_empty());
    }

    #[test]
    fn connection_stays_with_hyper_after_an_opaque_request() {
        for opaque in [
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut backlog = HyperBacklog::default();
            backlog.add(opaque.as_bytes(), 0);
            backlog.add(GET, 0);
            for phase in 0..8 {
                backlog.flushed(phase);
            }
            assert!(!backlog.is_empty(), "{opaque:?}");
        }
        let mut backlog = HyperBacklog::default();
        backlog.add(&vec![b'a'; MAX_HEAD + 1], 0);
        assert!(backlog.is_opaque && backlog.refused_head(0).len() == MAX_HEAD + 1);
        backlog.add(&vec![b'a'; MAX_HEAD], 0);
        assert_eq!(backlog.refused_head(0).len(), MAX_HEAD + 1);
    }

    #[test]
    fn opaque_head_is_kept_for_its_own_phase_only() {
        let opaque = "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut backlog = HyperBacklog::default();
        backlog.add(&[GET, opaque.as_bytes(), b"0\r\n\r\n"].concat(), 4);
        assert_eq!(backlog.refused_head(4), b"");
        backlog.flushed(6);
        assert_eq!(backlog.refused_head(6), opaque.as_bytes());
        // hyper did not refuse it, and how far it has read since is unknown.
        backlog.flushed(8);
        backlog.add(GET, 8);
        assert_eq!(backlog.refused_head(8), b"");
    }
}
