//! What hyper was given of a connection's bytes, and whether it has dealt with all of it. Only then may a request be
//! answered without it: hyper then waits for the next head with nothing read and nothing left to write.

use super::{
    super::connection::MAX_HEAD,
    head::{self, Next},
};

/// The requests that hyper was given since it last had none.
#[derive(Debug, Default)]
pub(super) struct HyperBacklog {
    /// The connection's turn when the first of them was given.
    since: usize,
    requests: usize,
    /// What is still to come of the last one's body.
    body: u64,
    /// The beginning of a head, or of what hyper refuses as one.
    head: Vec<u8>,
    /// Whether only hyper knows where they end.
    is_odd: bool,
    /// The head since which that is so, and the turn at which hyper comes to it: it may refuse it.
    odd: Option<(usize, Vec<u8>)>,
}

impl HyperBacklog {
    /// Whether hyper has nothing left to do.
    pub(super) fn is_nothing(&self) -> bool {
        self.requests == 0 && self.is_whole()
    }

    /// Whether the last of them is whole.
    fn is_whole(&self) -> bool {
        self.body == 0 && self.head.is_empty() && !self.is_odd
    }

    /// Whether they end within a head.
    pub(super) fn ends_within_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// What could be read of a head that hyper refuses at this turn; nothing where only hyper knew where it began.
    pub(super) fn refused(&self, turn: usize) -> &[u8] {
        match &self.odd {
            Some((of, head)) if *of == turn => head,
            _ => &self.head,
        }
    }

    /// Notes that hyper, which has nothing left to do, is given these bytes. `first` is what they begin with.
    pub(super) fn begin(&mut self, bytes: &[u8], first: Next<'_>, turn: usize) {
        self.since = turn;
        self.read(bytes, Some(first));
    }

    /// Notes that hyper is given these bytes.
    pub(super) fn add(&mut self, bytes: &[u8], turn: usize) {
        if self.is_nothing() {
            self.since = turn;
        }
        if self.is_odd {
            return;
        }
        if self.head.is_empty() {
            self.read(bytes, None);
        } else {
            let mut joined = std::mem::take(&mut self.head);
            joined.extend_from_slice(bytes);
            self.read(&joined, None);
        }
    }

    fn read(&mut self, mut bytes: &[u8], mut first: Option<Next<'_>>) {
        while !self.is_odd {
            let of_body = usize::try_from(self.body).unwrap_or(usize::MAX);
            let of_body = of_body.min(bytes.len());
            self.body -= of_body as u64;
            bytes = &bytes[of_body..];
            if bytes.is_empty() {
                return;
            }
            match first.take().unwrap_or_else(|| head::next(bytes)) {
                Next::Request { head, body, .. } => {
                    self.requests += 1;
                    self.body = body;
                    bytes = &bytes[head..];
                }
                Next::Partial if bytes.len() <= MAX_HEAD => {
                    self.head = bytes.to_vec();
                    return;
                }
                Next::Partial | Next::Malformed => {
                    self.is_odd = true;
                    self.head = bytes.to_vec();
                }
                Next::Odd { head } => {
                    self.is_odd = true;
                    let turn = self.since.wrapping_add(2 * self.requests);
                    self.odd = Some((turn, bytes[..head].to_vec()));
                }
            }
        }
    }

    /// Notes that hyper has written everything that it had to write. Each request took a turn, and its answer another.
    pub(super) fn flushed(&mut self, turn: usize) {
        // A head that was not refused is needed no more.
        self.odd.take_if(|(of, _)| *of != turn);
        let is_answered = turn.wrapping_sub(self.since) == 2 * self.requests;
        if self.requests > 0 && is_answered && self.is_whole() {
            self.requests = 0;
        }
    }
}

/// What hyper was given is the same wherever it was cut.
#[cfg(fuzzing)]
pub(in crate::http) fn is_the_same_wherever_cut(bytes: &[u8], cut: usize) {
    let (mut whole, mut pieces) = (HyperBacklog::default(), HyperBacklog::default());
    whole.add(bytes, 0);
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    pieces.add(first, 0);
    pieces.add(second, 0);
    for given in [&mut whole, &mut pieces] {
        // How much of what is refused was there depends on the pieces.
        if given.is_odd {
            given.head.clear();
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
    fn hyper_has_nothing_left_once_each_request_is_answered_and_written() {
        let mut given = HyperBacklog::default();
        given.add(&[GET, POST, GET].concat(), 8);
        for turn in 8..14 {
            given.flushed(turn);
            assert!(!given.is_nothing(), "{turn}");
        }
        given.flushed(14);
        assert!(given.is_nothing());
    }

    #[test]
    fn a_request_in_pieces_is_one_request() {
        for request in [GET, POST] {
            for cut in 1..request.len() {
                let mut given = HyperBacklog::default();
                given.add(&request[..cut], 0);
                given.flushed(0);
                assert!(!given.is_nothing(), "{cut}");
                given.add(&request[cut..], 0);
                given.flushed(1);
                assert!(!given.is_nothing(), "{cut}");
                given.flushed(2);
                assert!(given.is_nothing(), "{cut}");
            }
        }
    }

    #[test]
    fn an_answer_before_the_body_is_whole_leaves_hyper_with_the_rest() {
        let mut given = HyperBacklog::default();
        given.add(&POST[..POST.len() - 1], 0);
        given.flushed(2);
        assert!(!given.is_nothing());
        given.add(&POST[POST.len() - 1..], 2);
        given.flushed(2);
        assert!(given.is_nothing());
    }

    #[test]
    fn what_only_hyper_understands_stays_hypers() {
        for odd in [
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ] {
            let mut given = HyperBacklog::default();
            given.add(odd.as_bytes(), 0);
            given.add(GET, 0);
            for turn in 0..8 {
                given.flushed(turn);
            }
            assert!(!given.is_nothing(), "{odd:?}");
        }
        let mut given = HyperBacklog::default();
        given.add(&vec![b'a'; MAX_HEAD + 1], 0);
        assert!(given.is_odd && given.refused(0).len() == MAX_HEAD + 1);
        given.add(&vec![b'a'; MAX_HEAD], 0);
        assert_eq!(given.refused(0).len(), MAX_HEAD + 1);
    }

    #[test]
    fn a_head_that_hyper_may_refuse_is_that_of_its_own_turn_alone() {
        let odd = "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut given = HyperBacklog::default();
        given.add(&[GET, odd.as_bytes(), b"0\r\n\r\n"].concat(), 4);
        assert_eq!(given.refused(4), b"");
        given.flushed(6);
        assert_eq!(given.refused(6), odd.as_bytes());
        // hyper did not refuse it, and where it has read to since is not known.
        given.flushed(8);
        given.add(GET, 8);
        assert_eq!(given.refused(8), b"");
    }
}
