//! A change of rate and burst while calls are made.

use super::{Admission, state::queue_length};

impl Admission {
    /// Changes the rate and the burst: this replica's own, or those of all replicas that share them. Waiting calls are
    /// admitted within the new limits, sooner or later than before. The rate of calls about one contact does not
    /// change.
    pub fn change_limits(&self, requests_per_second: f64, burst: u32) {
        let now = self.shared.clock.tick();
        let mut state = self.shared.state();
        state
            .throttle
            .change_limits(requests_per_second, burst, now);
        state.queue.set_max(queue_length(requests_per_second));
        state.dispatch(now);
        drop(state);
        // Waiting calls sleep until the time at which the old limits would have admitted the next call.
        self.shared.released.notify_waiters();
    }
}
