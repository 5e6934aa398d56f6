//! The background task: connects, opens the current epoch, brings the reader of the stream into it, and starts again
//! after a failure. It alone begins sessions; an announcement may also open the next epoch.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Inner, StreamEvent,
    epoch::{Epoch, Unwrapped},
    fault::{Fault, Why},
    guard::{Condition, Link},
    metrics::Operation,
    protocol::{Position, StreamLimits},
    stream::{GapReason, Reader},
};
use crate::clock::Tick;

/// How long connecting may take: a background task waits for it, and a new connection takes several round trips.
const CONNECT: Duration = Duration::from_secs(2);
/// How much later than the end of its wait the reply to a read may arrive: it may be large.
pub(super) const READ_MARGIN: Duration = Duration::from_secs(1);
/// The wait of a read that is to reach the end of a stream. Not zero, which servers take for "without end".
const READ_REST: Duration = Duration::from_millis(1);
/// The pause before the first attempt to connect again, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// The pause where no key unwraps the epoch's secret: an operator has to act.
const KEY_BACK_OFF: Duration = Duration::from_secs(10);

/// The pauses between attempts to connect.
struct BackOff(Duration);

impl BackOff {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(BACK_OFF.1);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

impl Inner {
    /// See [`SharedTier::run`](super::SharedTier::run).
    pub(super) async fn run<F>(&self, mut handle: impl FnMut(StreamEvent) -> F + Send)
    where
        F: Future<Output = ()> + Send,
    {
        let mut reader = None;
        let mut back_off = BackOff(BACK_OFF.0);
        loop {
            let session = self.guard.begin();
            let began = self.clock.tick();
            let result = self.session(session, &mut reader, &mut handle).await;
            let was_stable = self.clock.tick().since(began) > 2 * BACK_OFF.1;
            if was_stable {
                back_off = BackOff(BACK_OFF.0);
            }
            let why = self.guard.fail(session, result.unwrap_or_else(|why| why));
            let pause = match why {
                Why::WrongKey => KEY_BACK_OFF,
                Why::Reloaded => Duration::ZERO,
                // The server works: only the way to the current epoch is missing, which the next session finds.
                Why::Behind if was_stable => Duration::ZERO,
                _ => back_off.next(),
            };
            self.clock.sleep_until(self.clock.tick() + pause).await;
        }
    }

    /// One connection, until it fails.
    async fn session<F>(
        &self,
        session: u64,
        reader: &mut Option<Reader>,
        handle: &mut (impl FnMut(StreamEvent) -> F + Send),
    ) -> Result<Why, Why>
    where
        F: Future<Output = ()> + Send,
    {
        let until = self.clock.tick() + CONNECT;
        let connected = self.backend.connect();
        let connected = self.guard.timed(Operation::Connect, until, connected).await;
        connected.map_err(Why::Fault)?;
        let (epoch, last) = self.open(self.deadline()).await?;
        self.guard.opened(session, &epoch);
        self.progress.forget_beats();
        let reader = self.align(&epoch, last, reader, handle).await?;
        self.note_place(reader);
        let end = CancellationToken::new();
        let (read, beat, watch, ()) = tokio::join!(
            self.read_on(session, reader, handle, &end),
            self.beat_on(session, &end),
            self.watch(session, &end),
            self.do_chores(&end),
        );
        Ok(read.or(watch).or(beat).unwrap_or(Why::Behind))
    }

    /// Opens the current epoch, or begins one. Returns it with the last entry of its stream.
    async fn open(&self, deadline: Tick) -> Result<(Arc<Epoch>, Position), Why> {
        let (offer, _) = self.keys.offer(self.stream_limits()).ok_or(Why::WrongKey)?;
        let reply = self.backend.open(offer);
        let opened = self.guard.timed(Operation::Open, deadline, reply).await;
        let opened = opened.map_err(Why::Fault)?;
        self.server_clock.note(opened.now, self.clock.tick());
        let unwrapped = self.keys.unwrap(opened.id, &opened.wrapped_secret);
        let Some(Unwrapped { epoch, rewrapped }) = unwrapped else {
            self.metrics.ended(Operation::Open, "wrong_key");
            return Err(Why::WrongKey);
        };
        self.metrics.ended(Operation::Open, "ok");
        if let Some(new) = rewrapped {
            self.chores.rewrap(epoch.id, opened.wrapped_secret, new);
        }
        Ok((epoch, opened.last))
    }

    /// Opens the epoch that follows one that has ended, unless that was done in the meantime. One task at a time does
    /// this.
    pub(super) async fn reopen(&self, ended: &Link, deadline: Tick) -> Result<Link, Why> {
        let _one = tokio::select! {
            biased;
            guard = self.reopening.lock() => guard,
            () = self.clock.sleep_until(deadline) => return Err(Why::Fault(Fault::Timeout)),
        };
        let is_ended = |link: &Link| link.epoch.id == ended.epoch.id;
        match self.guard.condition() {
            Condition::Usable(link) | Condition::CatchingUp(link) if !is_ended(&link) => {
                return Ok(link);
            }
            Condition::Closed => return Err(Why::Behind),
            _ => {}
        }
        let (epoch, _) = self.open(deadline).await.inspect_err(|why| {
            self.guard.fail(ended.session, *why);
        })?;
        self.guard.replace(ended, &epoch);
        Ok(Link {
            epoch,
            session: ended.session,
        })
    }

    /// Brings the reader into the current epoch: reads the rest of the one that it is in, and follows where that leads.
    /// Where the stream is read from its beginning, memory is dropped first. `last` was the last entry when the epoch
    /// was opened.
    async fn align<'r, F>(
        &self,
        current: &Arc<Epoch>,
        last: Position,
        reader: &'r mut Option<Reader>,
        handle: &mut (impl FnMut(StreamEvent) -> F + Send),
    ) -> Result<&'r mut Reader, Why>
    where
        F: Future<Output = ()> + Send,
    {
        let is_rewound = self.progress.take_rewound();
        if reader.is_none() {
            // Memory may have been filled for a long time, if the server could not be reached. The position is taken
            // first: what comes after it is read.
            handle(StreamEvent::Gap).await;
        } else if is_rewound {
            self.gap(GapReason::Rewound, handle).await;
            *reader = None;
        }
        let reader = reader.get_or_insert_with(|| Reader::replay(current, last));
        while reader.epoch.id != current.id {
            let read = self
                .backend
                .read_stream(reader.epoch.id, reader.position, READ_REST);
            let deadline = self.clock.tick() + READ_REST + READ_MARGIN;
            let entries = self.guard.timed(Operation::Read, deadline, read).await;
            let entries = entries.map_err(Why::Fault)?;
            let has_ended = entries.is_empty();
            let followed = self.apply(entries, reader, Some(current), handle).await;
            if has_ended || followed.is_err() {
                self.gap(GapReason::Epoch, handle).await;
                *reader = Reader::replay(current, last);
            }
        }
        Ok(reader)
    }

    /// When an operation that begins now has to have a reply.
    pub(super) fn deadline(&self) -> Tick {
        self.clock.tick() + self.settings.timeout
    }

    /// The stream is kept for as long as an entry of it can concern anything.
    pub(super) fn stream_limits(&self) -> StreamLimits {
        StreamLimits {
            keep: self.settings.overview_lag + self.settings.longest_flight,
        }
    }
}
