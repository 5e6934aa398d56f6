//! The requests for tokens of a shared budget: when one is made, and what its reply changes.

use super::{
    shared_budget::{TokenGrant, TokenRequest},
    state::{Shared, State, refuse_for_pause},
};
use crate::clock::Tick;

impl Shared {
    /// Wakes the task that requests tokens of a shared budget, if a request is due.
    pub(super) fn notice_demand(&self, state: &State, now: Tick) {
        let due = state.throttle.request_due(state.queue.token_demand(), now);
        if due.is_some_and(|at| at <= now) {
            self.tokens_due.notify_one();
        }
    }

    /// Waits until tokens of a shared budget are to be requested. Never returns if no budget is shared.
    pub(super) async fn next_token_request(&self) -> TokenRequest {
        loop {
            let now = self.clock.tick();
            let due = {
                let mut state = self.state();
                let waiting = state.queue.token_demand();
                let due = state.throttle.request_due(waiting, now);
                if due.is_some_and(|at| at <= now)
                    && let Some(request) = state.throttle.request(waiting, now)
                {
                    return request;
                }
                due.unwrap_or(Tick::END)
            };
            tokio::select! {
                () = self.tokens_due.notified() => {}
                () = self.clock.sleep_until(due) => {}
            }
        }
    }

    /// The last request for tokens.
    pub(super) fn last_token_request(&self) -> Option<TokenRequest> {
        let now = self.clock.tick();
        self.state().throttle.leave(now)
    }

    /// Takes over the reply to a request for tokens, and admits the calls that waited for it.
    pub(super) fn tokens_granted(&self, grant: TokenGrant) {
        let now = self.clock.tick();
        let mut state = self.state();
        if let Some(pause) = state.throttle.granted(grant, now) {
            refuse_for_pause(state.queue.remove_all(|_| true), pause);
        }
        state.dispatch(now);
        self.released.notify_waiters();
    }

    /// A request for tokens failed: calls wait for this replica's own share.
    pub(super) fn token_request_failed(&self) {
        let now = self.clock.tick();
        self.state().throttle.request_failed(now);
        self.released.notify_waiters();
    }
}
