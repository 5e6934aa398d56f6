//! Heartbeats, and the change from one epoch to the next within a session.

use std::{sync::atomic::Ordering, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    fault::{Fault, Why},
    guard::Condition,
    metrics::Operation,
    progress::Beat,
    protocol::BeatCommand,
};
use crate::clock::Tick;

/// The time between two heartbeats.
pub(super) const BEAT: Duration = Duration::from_millis(500);
/// How long the stream may take to follow to the current epoch before the session ends and the next one brings it
/// there: an invalidation in that epoch has to be applied within a second, and the change is noticed by a heartbeat at
/// the latest.
const FOLLOW: Duration = Duration::from_millis(100);

impl Inner {
    /// Sends heartbeats until the session ends.
    pub(super) async fn beat_on(&self, session: u64, end: &CancellationToken) -> Option<Why> {
        loop {
            let sent = self.clock.tick();
            if let Some(why) = self.beat(session).await {
                self.guard.fail(session, why);
                end.cancel();
                return Some(why);
            }
            tokio::select! {
                () = end.cancelled() => return None,
                () = self.clock.sleep_until(sent + BEAT) => {}
            }
        }
    }

    /// Sends a heartbeat. Returns why the session ends, if it does.
    async fn beat(&self, session: u64) -> Option<Why> {
        let link = match self.guard.condition() {
            Condition::Usable(link) | Condition::CatchingUp(link) if link.session == session => {
                link
            }
            // Another task is opening the next epoch.
            Condition::EpochEnded(_) => return None,
            _ => return Some(Why::Behind),
        };
        let before = self.progress.place();
        let sent = self.clock.tick();
        let reply = self.backend.beat(link.epoch.id, self.beat_command());
        let until = sent + self.settings.timeout;
        match self.guard.timed(Operation::Beat, until, reply).await {
            Ok(reply) => {
                self.metrics.ended(Operation::Beat, "ok");
                self.server_clock.note(reply.now, self.clock.tick());
                self.budget.note_replicas(reply.alive);
                let beat = Beat {
                    epoch: link.epoch.id,
                    sent,
                    last: reply.last,
                };
                (!self.progress.beaten(beat, before)).then_some(Why::Behind)
            }
            Err(Fault::Epoch) => {
                self.guard.epoch_ended(&link);
                None
            }
            Err(Fault::Full) => None,
            Err(fault) => Some(Why::Fault(fault)),
        }
    }

    pub(super) fn beat_command(&self) -> BeatCommand {
        BeatCommand {
            replica: self.replica,
            leaves: self.is_leaving.load(Ordering::Relaxed),
            interval: BEAT,
            stream: self.stream_limits(),
        }
    }

    /// Opens the next epoch when one has ended, and sees that the stream follows. Ends when the session has failed.
    pub(super) async fn watch(&self, session: u64, end: &CancellationToken) -> Option<Why> {
        loop {
            tokio::select! {
                biased;
                () = end.cancelled() => return None,
                () = self.guard.changed() => {}
            }
            let result = match self.guard.condition() {
                Condition::EpochEnded(link) if link.session == session => {
                    self.reopen(&link, self.deadline()).await.map(drop)
                }
                Condition::Usable(link) | Condition::CatchingUp(link)
                    if link.session == session =>
                {
                    Ok(())
                }
                _ => Err(Why::Behind),
            };
            let result = match result {
                Ok(()) => {
                    self.wait_for_stream(session, self.clock.tick() + FOLLOW, end)
                        .await
                }
                failed => failed,
            };
            if let Err(why) = result {
                self.guard.fail(session, why);
                end.cancel();
                return Some(why);
            }
        }
    }

    /// Waits until the stream is read in the current epoch.
    async fn wait_for_stream(
        &self,
        session: u64,
        deadline: Tick,
        end: &CancellationToken,
    ) -> Result<(), Why> {
        let mut places = self.progress.places();
        let follows = async {
            loop {
                let epoch = places.borrow_and_update().epoch;
                match self.guard.condition() {
                    Condition::Usable(link) | Condition::CatchingUp(link)
                        if link.session == session && link.epoch.id == epoch =>
                    {
                        return;
                    }
                    Condition::Usable(_) | Condition::CatchingUp(_) => {}
                    // `changed` reports this, so the loop in `watch` handles it.
                    Condition::EpochEnded(_) | Condition::Closed => return,
                }
                // The sender is in `self`.
                let _ = places.changed().await;
            }
        };
        tokio::select! {
            biased;
            () = follows => Ok(()),
            () = end.cancelled() => Ok(()),
            () = self.clock.sleep_until(deadline) => Err(Why::Behind),
        }
    }
}
