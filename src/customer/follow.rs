//! Applies what other replicas announce, in order.

use std::time::Duration;

use super::{CustomerService, invalidation_metrics::InvalidationCause};
use crate::shared_tier::StreamEvent;

impl CustomerService {
    /// Follows the stream of the shared tier. Returns only without such a tier.
    pub async fn follow_replicas(&self) {
        let Some(shared) = self.inner.tiers.shared.clone() else {
            return;
        };
        // The first gap is the beginning of the stream: what the stream still has follows it.
        let mut had_gap = false;
        shared
            .run(|event| {
                let is_first = !had_gap;
                had_gap |= event == StreamEvent::Gap;
                self.follow(event, is_first)
            })
            .await;
    }

    async fn follow(&self, event: StreamEvent, is_beginning: bool) {
        match event {
            StreamEvent::Apply(payload) => self.apply_announced(&payload, None).await,
            StreamEvent::ApplyPast(payload, age) => self.apply_announced(&payload, Some(age)).await,
            StreamEvent::Gap => self.drop_everything(!is_beginning).await,
            StreamEvent::CaughtUp(at) => {
                if let Some(feed) = &self.inner.tiers.memory.policy.feed {
                    feed.note_caught_up(at);
                }
                self.inner.tiers.announce_owed().await;
            }
        }
    }

    /// `past`: the least time since it was announced, if it is not new.
    async fn apply_announced(&self, bytes: &[u8], past: Option<Duration>) {
        let payload = match self.inner.tiers.read_payload(bytes) {
            Ok(payload) => payload,
            Err(error) => {
                // The announcement may have been about any contact.
                tracing::error!(alarm = true, %error, "announcement unreadable; cache dropped");
                return self.drop_everything(true).await;
            }
        };
        let now = self.inner.clock.tick();
        let number = payload.invalidations.len();
        let metrics = &self.inner.invalidations;
        metrics.count(InvalidationCause::Stream, number);
        let tiers = &self.inner.tiers;
        if !payload.is_heavy() {
            let found = tiers.apply_payload(&payload, past, now);
            // If this can't be announced either, it stays owed.
            let _owed = tiers.announce_found(&found).await;
            return;
        }
        // The contacts that the payload is found to cover are not announced, because a wide invalidation also ends the
        // data in the tier.
        let is_applied = self
            .run_blocking(move |customers| {
                drop(customers.inner.tiers.apply_payload(&payload, past, now));
            })
            .await;
        if !is_applied {
            self.drop_everything(true).await;
        }
    }

    /// Drops everything, because invalidations may have been missed. With `all_lag` it is not known of which parts the
    /// overview may lag, so it counts as lagging in all parts.
    async fn drop_everything(&self, all_lag: bool) {
        let memory = &self.inner.tiers.memory;
        if let Some(feed) = &memory.policy.feed {
            feed.note_gap();
        }
        // The fence is raised at once; what it covers is freed afterwards.
        if all_lag {
            memory
                .fences
                .raise_around_everything(self.inner.clock.tick());
        } else {
            memory.fences.raise_everything();
        }
        self.run_blocking(|customers| customers.inner.tiers.memory.purge_everything())
            .await;
    }

    /// Runs a function that visits every entry on a blocking thread. Returns whether it ended without a panic.
    async fn run_blocking(&self, work: impl FnOnce(&CustomerService) + Send + 'static) -> bool {
        let customers = self.clone();
        let ended = tokio::task::spawn_blocking(move || work(&customers)).await;
        if ended.is_err() {
            tracing::error!(alarm = true, "applying an announcement failed");
        }
        ended.is_ok()
    }
}
