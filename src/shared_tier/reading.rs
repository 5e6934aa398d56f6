//! Reads the stream and applies it, in order, for as long as the session lasts.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Inner, StreamEvent,
    epoch::Epoch,
    fault::Why,
    guard::Condition,
    metrics::Operation,
    progress::Place,
    protocol::{Position, StreamEntry},
    session::READ_MARGIN,
    stream::{GapReason, Next, Reader},
};

/// How long a read of the stream waits for an entry. Heartbeats are more frequent.
const READ: Duration = Duration::from_secs(1);

impl Inner {
    /// Reads the stream and applies it until the session ends.
    pub(super) async fn read_on<F>(
        &self,
        session: u64,
        reader: &mut Reader,
        handle: &mut (impl FnMut(StreamEvent) -> F + Send),
        end: &CancellationToken,
    ) -> Option<Why>
    where
        F: Future<Output = ()> + Send,
    {
        let result = loop {
            let read = self
                .backend
                .read_stream(reader.epoch.id, reader.position, READ);
            let deadline = self.clock.tick() + READ + READ_MARGIN;
            let mut read = std::pin::pin!(self.guard.timed(Operation::Read, deadline, read));
            let entries = loop {
                tokio::select! {
                    biased;
                    () = end.cancelled() => return None,
                    entries = &mut read => break entries,
                    () = self.progress.next_beat() => self.report(session, handle).await,
                }
            };
            let applied = match entries {
                Ok(entries) => {
                    let known = match self.guard.condition() {
                        Condition::Usable(link) | Condition::CatchingUp(link) => Some(link.epoch),
                        Condition::EpochEnded(_) | Condition::Closed => None,
                    };
                    self.apply(entries, reader, known.as_ref(), handle).await
                }
                Err(fault) => Err(Why::Fault(fault)),
            };
            if let Err(why) = applied {
                break why;
            }
            self.report(session, handle).await;
        };
        self.guard.fail(session, result);
        end.cancel();
        Some(result)
    }

    /// Reports the moment until which everything was applied, if it has changed.
    async fn report<F>(&self, session: u64, handle: &mut (impl FnMut(StreamEvent) -> F + Send))
    where
        F: Future<Output = ()> + Send,
    {
        if let Some(tick) = self.progress.reached() {
            handle(StreamEvent::CaughtUp(tick)).await;
            self.guard.caught_up(session);
        }
    }

    /// Applies entries in order. `known` is an epoch that need not be unwrapped.
    pub(super) async fn apply<F>(
        &self,
        entries: Vec<StreamEntry>,
        reader: &mut Reader,
        known: Option<&Arc<Epoch>>,
        handle: &mut (impl FnMut(StreamEvent) -> F + Send),
    ) -> Result<(), Why>
    where
        F: Future<Output = ()> + Send,
    {
        for entry in entries {
            let written = entry.position;
            let reading = reader.read(entry, self.replica, |id, wrapped| {
                let known = known.filter(|known| known.id == id).map(Arc::clone);
                known.or_else(|| Some(self.keys.unwrap(id, wrapped)?.epoch))
            });
            self.metrics.entry(reading.kind);
            if let Some(reason) = reading.gap {
                self.gap(reason, handle).await;
            }
            if let Some(payload) = reading.apply {
                let event = if reading.is_past {
                    StreamEvent::ApplyPast(payload, self.age_of(written))
                } else {
                    StreamEvent::Apply(payload)
                };
                handle(event).await;
            }
            // The reader moves on only now, so that an entry that was not applied to its end is read again.
            match reading.next {
                Next::Here(next) => {
                    *reader = next;
                    self.note_place(reader);
                }
                Next::Epoch(next) => {
                    self.follow(reader, next);
                    // The last entry of its epoch.
                    return Ok(());
                }
                Next::Unknown => return Err(Why::WrongKey),
            }
        }
        Ok(())
    }

    /// The least age of an entry.
    fn age_of(&self, written: Position) -> Duration {
        let now = self.server_clock.at(self.clock.tick());
        let age = now.map_or(0, |now| now.0.saturating_sub(written.millis));
        Duration::from_millis(age)
    }

    /// Continues in the next epoch, and moves operations there, unless they are there or further already.
    fn follow(&self, reader: &mut Reader, next: Reader) {
        let ended = std::mem::replace(reader, next).epoch;
        let place = Place {
            epoch: reader.epoch.id,
            position: reader.position,
        };
        self.progress.followed(ended.id, place);
        if let Condition::Usable(link) | Condition::CatchingUp(link) | Condition::EpochEnded(link) =
            self.guard.condition()
            && link.epoch.id == ended.id
        {
            self.guard.replace(&link, &reader.epoch);
        }
    }

    pub(super) fn note_place(&self, reader: &Reader) {
        self.progress.read(Place {
            epoch: reader.epoch.id,
            position: reader.position,
        });
    }

    /// Invalidations may have been missed: everything is dropped.
    pub(super) async fn gap<F>(
        &self,
        reason: GapReason,
        handle: &mut (impl FnMut(StreamEvent) -> F + Send),
    ) where
        F: Future<Output = ()> + Send,
    {
        self.metrics.gap(reason.as_str());
        self.progress.note_gap();
        if self.gap_log.is_due(self.clock.tick()) {
            tracing::warn!(
                reason = reason.as_str(),
                "shared tier stream gap; memory dropped"
            );
        }
        handle(StreamEvent::Gap).await;
    }
}
