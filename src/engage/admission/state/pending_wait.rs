//! How a call waits for its decision, and what happens if it stops waiting.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::Shared;
use crate::{
    clock::Tick,
    domain::Requesters,
    engage::{admission::queue::Outcome, error::Error, group::Group},
};

/// A call that waits for its decision. Dropping it before then leaves the queue and returns a permit already granted.
pub(super) struct PendingWait<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) ticket: u64,
    pub(super) group: Group,
    pub(super) needs_permit: bool,
    pub(super) receiver: oneshot::Receiver<Outcome>,
    pub(super) is_decided: bool,
}

impl PendingWait<'_> {
    /// Waits for it.
    pub(super) async fn decision(
        &mut self,
        requesters: &mut watch::Receiver<Requesters>,
        mut since: Tick,
    ) -> Outcome {
        let shared = self.shared;
        let clock = &shared.clock;
        let mut may_change = true;
        loop {
            // Registered before the state is read, so that no notification is missed.
            let released = shared.released.notified();
            let now = clock.tick();
            let wake = {
                let mut state = shared.state();
                state.dispatch(now);
                shared.notice_demand(&state, now);
                let deadline = state.deadline(since);
                state.wakes_at(now).map_or(deadline, |at| at.min(deadline))
            };
            tokio::select! {
                biased;
                decision = &mut self.receiver => return decision.unwrap_or(Err(Error::Lost)),
                changed = requesters.changed(), if may_change => {
                    may_change = changed.is_ok();
                    let requesters = requesters.borrow_and_update().clone();
                    let updated =
                        shared.state().queue.update(self.ticket, requesters, clock.tick());
                    since = updated.unwrap_or(since);
                }
                () = released => {}
                () = clock.sleep_until(wake) => {}
            }
        }
    }
}

impl Drop for PendingWait<'_> {
    fn drop(&mut self) {
        if self.is_decided {
            return;
        }
        let was_waiting = self.shared.state().queue.remove(self.ticket).is_some();
        if let (false, true, Ok(Ok(grant))) =
            (was_waiting, self.needs_permit, self.receiver.try_recv())
        {
            self.shared.release(self.group, &grant);
        }
    }
}
