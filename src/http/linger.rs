//! The end of a connection in one place. A socket that is closed with bytes of its peer's unread, or to which the peer
//! sends one more, resets the connection, and a reset destroys what the peer has not yet read: the answer. So after the
//! last byte of ours what still comes is read and discarded, for a bounded time and size (RFC 9112, 9.6).

use std::{
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How long the peer's end of the connection is waited for.
const LONGEST: Duration = Duration::from_secs(1);
/// How much of what it still sends is read.
const MOST: usize = 256 * 1024;
/// How much is read at once.
const PIECE: usize = 4096;

/// A connection to which nothing more is written.
#[derive(Debug, Default)]
pub(super) struct Linger {
    read: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl Linger {
    /// Ready once the peer has ended its side too, or has been waited for long enough.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut scrap = [const { MaybeUninit::uninit() }; PIECE];
        while self.read < MOST {
            let mut piece = ReadBuf::uninit(&mut scrap);
            match Pin::new(&mut *io).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    self.read += piece.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let until = self
                        .until
                        .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + LONGEST)));
                    return until.as_mut().poll(cx);
                }
            }
        }
        Poll::Ready(())
    }
}
