//! Requests that no shopper or till waits for: prefetches, and the look-ups of batches. If the call budget has no room
//! for one, it is tried again until its deadline instead of being refused.

use std::time::Duration;

use super::{CustomerQuery, CustomerService, Error, Found};

/// The pause after the call budget refused a call. A refused call has already waited for a second, or found the queue
/// or the flights full.
const PAUSE: Duration = Duration::from_millis(100);

impl CustomerService {
    /// Answers a request that no shopper or till waits for.
    pub async fn find_deferred(&self, mut query: CustomerQuery) -> Result<Found, Error> {
        let clock = self.clock();
        loop {
            let found = self.find(&query).await;
            let now = clock.now();
            match found {
                Err(Error::Upstream(error)) if error.is_for_lack_of_budget() => {
                    let again = now.tick + PAUSE;
                    if again >= query.deadline {
                        // The deadline would pass first. The error says that this call was not made.
                        return Err(error.into());
                    }
                    clock.sleep_until(again).await;
                    query.now = clock.now();
                    query.arrival = self.arrival();
                }
                found => return found,
            }
        }
    }
}
