//! Work that is left for the background: removing ended epochs, and wrapping secrets with another key.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Inner,
    metrics::Operation,
    protocol::{EpochId, Reply},
};

/// The most ended epochs that wait to be removed. Further ones lapse by their TTL.
const SWEEPS: usize = 16;
/// How long removing one may take: the server goes through all its keys.
const SWEEP: Duration = Duration::from_secs(600);
/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Chores {
    queue: Mutex<VecDeque<Chore>>,
    added: Notify,
}

#[derive(Clone)]
enum Chore {
    Sweep(EpochId),
    Rewrap {
        epoch: EpochId,
        old: Bytes,
        new: Bytes,
    },
}

impl Chores {
    /// Queues the removal of an ended epoch's keys.
    pub(super) fn sweep(&self, ended: EpochId) {
        let mut queue = self.queue();
        if queue.len() < SWEEPS {
            queue.push_back(Chore::Sweep(ended));
        }
        drop(queue);
        self.added.notify_one();
    }

    /// Queues the replacement of an epoch's wrapped secret.
    pub(super) fn rewrap(&self, epoch: EpochId, old: Bytes, new: Bytes) {
        self.queue().push_front(Chore::Rewrap { epoch, old, new });
        self.added.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Chore>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Chore> {
        self.queue().pop_front()
    }
}

impl Inner {
    /// Does this work until the session ends. The next session continues it; a replacement that failed is not repeated,
    /// but queued again when the epoch is opened.
    pub(super) async fn do_chores(&self, end: &CancellationToken) {
        loop {
            let pause = match self.chores.take() {
                None => None,
                Some(chore) => {
                    let is_done = tokio::select! {
                        biased;
                        () = end.cancelled() => false,
                        is_done = self.do_chore(chore.clone()) => is_done,
                    };
                    if is_done {
                        continue;
                    }
                    if let Chore::Sweep(ended) = chore {
                        self.chores.sweep(ended);
                    }
                    Some(PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = end.cancelled() => return,
                () = self.chores.added.notified(), if pause.is_none() => {}
                () = self.clock.sleep_until(self.clock.tick() + pause.unwrap_or_default()),
                    if pause.is_some() => {}
            }
        }
    }

    async fn do_chore(&self, chore: Chore) -> bool {
        match chore {
            Chore::Sweep(ended) => {
                let reply = self.backend.sweep(ended);
                self.chore(Operation::Sweep, SWEEP, reply).await
            }
            Chore::Rewrap { epoch, old, new } => {
                let reply = self.backend.rewrap(epoch, old, new);
                self.chore(Operation::Rewrap, self.settings.timeout, reply)
                    .await
            }
        }
    }

    async fn chore<T>(&self, operation: Operation, longest: Duration, reply: Reply<'_, T>) -> bool {
        let deadline = self.clock.tick() + longest;
        let is_done = self.guard.timed(operation, deadline, reply).await.is_ok();
        if is_done {
            self.metrics.ended(operation, "ok");
        }
        is_done
    }
}
