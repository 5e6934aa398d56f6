//! Repairs gaps in the webhook feed: while no webhooks arrive, Engage is polled for the contacts that changed.
//!
//! Polls run from the start until the first delivery shows that webhooks work, again whenever webhooks fall silent or
//! can't be read, and once more when they work again. A change found by a poll is applied like one that a webhook
//! reports. Engage does not list changes of points, vouchers and promotions: their age is bounded by the feed's
//! fallback lifetime.
//!
//! If more contacts changed than Engage lists, or the list was unreadable several times in a row, any contact may have
//! changed. Then everything is invalidated, and the next poll asks only for later changes.

use std::time::Duration;

use jiff::Timestamp;

use super::{CustomerService, Inner, invalidation_metrics::InvalidationCause, tiers::Invalidation};
use crate::{
    cache::feed::{Feed, FeedStatus},
    clock::{Now, Tick},
    domain::{Change, ChangeKind, PartSet, Priority},
    engage::{AdmissionRequest, Changes, ContactChanges, Error, Group},
    shared_tier::NotShared,
};

/// How often the status of the feed is read if polling is not configured.
const WATCH_PERIOD: Duration = Duration::from_secs(15);
/// How far a poll reaches back into the time that is already covered: clocks differ, and a change may be listed late.
const OVERLAP: Duration = Duration::from_secs(120);

/// After this many unreadable polls in a row everything is invalidated.
const MAX_UNREADABLE: u32 = 3;
/// The least time between two invalidations of everything if no poll succeeds in between: a list that stays unusable
/// must not keep the cache empty.
const FENCE_PAUSE: Duration = Duration::from_secs(60 * 60);
/// The number of contacts that are invalidated before other tasks run.
const BATCH: usize = 1000;

const KINDS: [ContactChanges; 3] = [
    ContactChanges::Created,
    ContactChanges::Updated,
    ContactChanges::Deleted,
];

/// The state of the watch over the feed.
struct Watch<'a> {
    inner: &'a Inner,
    feed: &'a Feed,
    status: FeedStatus,
    /// All changes until this time are known.
    known_until: Timestamp,
    /// The start of the current period of working webhooks, if the gap before it has been repaired.
    repaired: Option<Tick>,
    /// Whether the last poll failed.
    is_failing: bool,
    /// The number of unreadable polls in a row.
    unreadable: u32,
    /// When everything was last invalidated, if no poll has succeeded since.
    fenced_at: Option<Tick>,
}

/// Why a poll did not return all changes.
#[derive(Debug, thiserror::Error)]
enum ChangesUnknown {
    /// More contacts changed than Engage lists.
    #[error("more contacts changed than engage lists")]
    TooMany,
    /// Some ids of the list are unreadable.
    #[error("ids in the list are unreadable")]
    Unreadable,
    /// The call failed.
    #[error(transparent)]
    Failed(#[from] Error),
    /// The changes were applied at this replica only.
    #[error(transparent)]
    NotShared(#[from] NotShared),
}

impl CustomerService {
    /// Watches the feed, and while it has a gap polls Engage every `poll` for changes that it may have missed. Returns
    /// only without a feed.
    pub(super) async fn watch_feed(&self, poll: Option<Duration>) {
        let inner = &*self.inner;
        let Some(feed) = inner.webhook_feed() else {
            return;
        };
        let now = inner.clock.now();
        let mut watch = Watch {
            inner,
            feed,
            status: feed.status(now.tick),
            // The first overviews may be as old as this.
            known_until: earlier(now.wall, inner.tiers.memory.policy.overview_lag),
            repaired: None,
            is_failing: false,
            unreadable: 0,
            fenced_at: None,
        };
        loop {
            let now = inner.clock.now();
            watch.note_status(now);
            if poll.is_some() && watch.has_gap(now) {
                watch.poll(now).await;
            }
            let next = now.tick + poll.unwrap_or(WATCH_PERIOD);
            inner.clock.sleep_until(next).await;
        }
    }
}

impl Watch<'_> {
    /// Logs the feed's status if it has changed, and records until when its changes are complete.
    fn note_status(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.status, self.feed.status(now.tick));
        let (from, to) = (before.as_str(), self.status.as_str());
        match self.status {
            status if status == before => {}
            // The feed itself logs this at once.
            FeedStatus::Failing => {}
            FeedStatus::Working if before == FeedStatus::Failing => {}
            FeedStatus::Working => tracing::info!(from, to, "webhook feed working"),
            FeedStatus::Silent | FeedStatus::Unknown => {
                tracing::warn!(from, to, "webhook feed silent; lifetimes shortened");
            }
        }
        let is_repaired = self.repaired.is_some() && !self.has_gap(now);
        if let Some(last) = self.feed.last_received().filter(|_| is_repaired) {
            let complete_until = earlier(now.wall, now.tick.since(last));
            self.known_until = self.known_until.max(complete_until);
        }
    }

    /// Whether changes may have been missed that no poll has covered.
    fn has_gap(&self, now: Now) -> bool {
        let since = self.feed.working_since(now.tick);
        since.is_none() || since != self.repaired
    }

    async fn poll(&mut self, now: Now) {
        // If webhooks work now, this poll covers the gap before them.
        let since = self.feed.working_since(now.tick);
        let from = earlier(self.known_until, OVERLAP);
        let outcome = self.inner.apply_changes(from, now.wall).await;
        match outcome {
            Ok(count) => {
                tracing::debug!(count, "polled engage for changes");
                self.is_failing = false;
                self.unreadable = 0;
                self.fenced_at = None;
            }
            Err(unknown) if self.is_lost(&unknown, now.tick) => {
                self.inner.invalidations.count(InvalidationCause::Poll, 1);
                let is_shared = self.inner.invalidate(Invalidation::AnyContact).await;
                tracing::error!(alarm = true, why = %unknown, "changes unknown; cache invalidated");
                self.unreadable = 0;
                self.fenced_at = Some(now.tick);
                if let Err(error) = is_shared {
                    return self.note_failure(&error.into());
                }
            }
            Err(error) => return self.note_failure(&error),
        }
        self.known_until = now.wall;
        self.repaired = since;
    }

    /// Records that the next poll must ask for the same changes again.
    fn note_failure(&mut self, error: &ChangesUnknown) {
        if !self.is_failing {
            tracing::warn!(%error, "polling /contacts/changes failed");
        }
        self.is_failing = true;
    }

    /// Whether everything must be invalidated: polling again can't find the changes, and the last such invalidation is
    /// long enough ago. Counts unreadable polls.
    fn is_lost(&mut self, unknown: &ChangesUnknown, now: Tick) -> bool {
        let is_lost = match unknown {
            ChangesUnknown::TooMany => true,
            ChangesUnknown::Unreadable | ChangesUnknown::Failed(Error::Invalid { .. }) => {
                self.unreadable += 1;
                self.unreadable >= MAX_UNREADABLE
            }
            // A later poll may succeed; until then cached data is served. Changes that were not shared have been
            // applied here.
            ChangesUnknown::Failed(_) | ChangesUnknown::NotShared(_) => {
                self.unreadable = 0;
                false
            }
        };
        let may_fence = self.fenced_at.is_none_or(|at| now.since(at) >= FENCE_PAUSE);
        is_lost && may_fence
    }
}

impl Inner {
    /// Applies what changed between the two times. Returns the number of changed contacts.
    async fn apply_changes(&self, from: Timestamp, to: Timestamp) -> Result<usize, ChangesUnknown> {
        let demand = AdmissionRequest::of_service("(changes)", Priority::Refresh);
        let (mut count, mut is_complete) = (0, true);
        let mut is_shared = Ok(());
        for kind in KINDS {
            let permit = self.engage.admit(Group::Changes, demand.clone()).await?;
            let ids = match self.engage.changes(&permit, kind, from, to).await? {
                Changes::Listed {
                    ids,
                    is_complete: all,
                } => {
                    is_complete &= all;
                    ids
                }
                Changes::TooMany => return Err(ChangesUnknown::TooMany),
            };
            count += ids.len();
            let kind = match kind {
                ContactChanges::Created => ChangeKind::Created,
                ContactChanges::Updated => ChangeKind::Changed(PartSet::INVALIDATABLE),
                ContactChanges::Deleted => ChangeKind::Deleted,
            };
            for ids in ids.chunks(BATCH) {
                let contacts = ids.to_vec();
                self.invalidations.count(InvalidationCause::Poll, ids.len());
                // Changes that can't be shared are still applied here.
                is_shared = is_shared.and(self.apply(&Change { kind, contacts }).await);
                tokio::task::yield_now().await;
            }
        }
        if !is_complete {
            return Err(ChangesUnknown::Unreadable);
        }
        is_shared?;
        Ok(count)
    }
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    moment.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
