//! A change of rate and burst while calls are made.

use super::{Admission, state::queue_length};

impl Admission {
    /// Changes the calls a second and the calls at once: this replica's own, or those of all replicas that share them. Calls
    /// that wait are admitted, or wait longer, within the new ones. The pace of calls about one contact stays.
    pub fn change_limits(&self, requests_per_second: f64, burst: u32) {
        let now = self.shared.clock.tick();
        let mut state = self.shared.state();
        state
            .throttle
            .change_limits(requests_per_second, burst, now);
        state.queue.set_max(queue_length(requests_per_second));
        state.dispatch(now);
        drop(state);
        // Those that wait know when the next call was due.
        self.shared.released.notify_waiters();
    }
}
