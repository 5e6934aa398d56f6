//! Which line of a batch comes next. Lines are made as the connection takes them: for a reader that is slow or gone no
//! call begins, and nothing is buffered here.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt},
};

use super::look_up::{Batch, CheckedLookUp};
use crate::{
    clock::Tick,
    domain::Lookup,
    http::{
        auth::HeldBack,
        deferred::{BatchOutcome, DeferredSlot},
    },
};

/// Look-ups of one batch that wait for calls at once. At a tenth of a second for a call they are 80 a second, more than
/// the usual call budget.
const MAX_AT_ONCE: usize = 8;
/// The time after which a look-up that must wait for other look-ups of the client is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// The lines of a batch's response.
pub(super) struct Lines {
    batch: Arc<Batch>,
    /// The look-ups as sent, in their order.
    unread: VecDeque<(usize, Bytes)>,
    /// The look-ups that are not cached.
    missing: VecDeque<(usize, Lookup)>,
    /// The look-ups that were started; nearly all of them wait for calls.
    running: FuturesUnordered<BoxFuture<'static, Bytes>>,
    /// The client's place for the batch.
    _slot: DeferredSlot,
}

impl Lines {
    pub(super) fn new(batch: Arc<Batch>, lookups: Vec<Bytes>, slot: DeferredSlot) -> Self {
        Self {
            batch,
            unread: lookups.into_iter().enumerate().collect(),
            missing: VecDeque::new(),
            running: FuturesUnordered::new(),
            _slot: slot,
        }
    }

    /// The next line; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        while let Some((index, raw)) = self.unread.pop_front() {
            match self.batch.check_cache(index, &raw).await {
                CheckedLookUp::Line(line) => return Some(line),
                CheckedLookUp::Missing(lookup) => self.missing.push_back((index, lookup)),
            }
        }
        let deadline = self.batch.deadline;
        loop {
            let now = self.batch.now().tick;
            if now >= deadline
                && let Some((index, lookup)) = self.missing.pop_front()
            {
                return Some(self.batch.give_up(index, lookup));
            }
            let wake = self.start(now).min(deadline);
            if self.running.is_empty() && self.missing.is_empty() {
                return None;
            }
            // Running look-ups end at the deadline by themselves.
            let has_missing = !self.missing.is_empty();
            tokio::select! {
                biased;
                Some(line) = self.running.next() => return Some(line),
                () = self.batch.sleep_until(wake), if has_missing => {}
            }
        }
    }

    /// Starts as many of the missing look-ups as may run. Returns when to try again; [`Tick::END`] if that is only when
    /// a running one has ended.
    fn start(&mut self, now: Tick) -> Tick {
        while self.running.len() < MAX_AT_ONCE
            && let Some((index, lookup)) = self.missing.pop_front()
        {
            let turn = self.batch.caller.begin_deferred(&lookup, now);
            let batch = Arc::clone(&self.batch);
            self.running.push(match turn {
                Ok(pending) => Box::pin(async move { batch.fetch(index, lookup, pending).await }),
                Err(HeldBack::Tripped) => {
                    Box::pin(async move { batch.find_cached(index, lookup).await })
                }
                Err(HeldBack::Busy) => {
                    self.missing.push_front((index, lookup));
                    return now + PAUSE;
                }
            });
        }
        Tick::END
    }
}

impl Drop for Lines {
    /// Counts the remaining look-ups if the caller has left.
    fn drop(&mut self) {
        let left = self.unread.len() + self.missing.len() + self.running.len();
        let work = &self.batch.state.deferred;
        work.count_look_ups(BatchOutcome::Abandoned, left);
    }
}
