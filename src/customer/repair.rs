//! Repair of the feed's gaps: while webhooks don't come, Engage is asked which contacts changed.
//!
//! It asks from the start on, until the first delivery says that webhooks work, and again whenever they fell silent or
//! could not be read; and once more when they work again. What it learns is a change like any other. What it can't
//! learn (of points, vouchers and promotions Engage keeps no such list) is bounded by the feed's fallback lifetime.
//!
//! Where more changed than Engage lists, or the list can't be read again and again, any contact may have changed: one fence
//! is raised around everything, and the next poll asks only for what came after.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{CustomerService, Inner};
use crate::{
    cache::feed::{Feed, FeedStatus},
    clock::{Now, Tick},
    domain::{Change, ChangeKind, Claim, Flow, PartSet, Urgency},
    engage::{Changes, ContactChanges, Demand, Error, Group, NO_OWNER},
};

/// How often the names of who was purged are swept out.
const SWEEP: Duration = Duration::from_secs(2);
/// How often everything is looked after that nobody asked for.
const ROUND: Duration = Duration::from_secs(60);
/// How often the feed is looked at where nothing is asked.
const GLANCE: Duration = Duration::from_secs(15);
/// What is asked again of the time before: clocks differ, and a change may be listed late.
const OVERLAP: Duration = Duration::from_secs(120);

/// So many polls in a row must be unreadable before everything is taken for changed.
const MAX_UNREADABLE: u32 = 3;
/// A list that goes on being refused costs what is held once in that time.
const FENCE_PAUSE: Duration = Duration::from_secs(60 * 60);
/// So many contacts are invalidated before others get their turn.
const BATCH: usize = 1000;

const KINDS: [ContactChanges; 3] = [
    ContactChanges::Created,
    ContactChanges::Updated,
    ContactChanges::Deleted,
];

/// What is known of the changes that may have been missed.
struct Watch<'a> {
    inner: &'a Inner,
    feed: &'a Feed,
    status: FeedStatus,
    /// Until when all changes are known.
    known_until: Timestamp,
    /// The working stretch whose gap before it has been repaired.
    repaired: Option<Tick>,
    /// Whether the last poll failed.
    is_failing: bool,
    /// How many polls in a row were unreadable.
    unreadable: u32,
    /// When everything was last taken for changed, if no poll succeeded since.
    fenced_at: Option<Tick>,
}

/// Why changes are not known.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    /// More than Engage lists.
    #[error("more contacts changed than engage lists")]
    TooMany,
    /// Some of the list can't be read.
    #[error("ids in the list can't be read")]
    Unreadable,
    /// There is no list.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl CustomerService {
    /// Sweeps out what can't be told any more, watches the feed, and asks Engage each `poll` for what it may have missed; never
    /// returns.
    pub async fn keep_up(&self, poll: Option<Duration>) {
        tokio::join!(self.keep_tidy(), self.watch_feed(poll));
    }

    async fn keep_tidy(&self) {
        let clock = &self.inner.clock;
        let (mut next_sweep, mut next_round) = (clock.tick() + SWEEP, clock.tick() + ROUND);
        loop {
            let is_filled = tokio::select! {
                biased;
                () = clock.sleep_until(next_sweep) => false,
                () = self.inner.cache.filled() => true,
            };
            let now = clock.tick();
            let (is_sweep, is_round) = (now >= next_sweep, now >= next_round);
            if is_sweep {
                next_sweep = now + SWEEP;
            }
            if is_round {
                next_round = now + ROUND;
            }
            let sweeps = is_sweep && self.inner.cache.has_pending_purges();
            if !(is_filled || is_round || sweeps) {
                continue;
            }
            let customers = self.clone();
            // Not where requests are answered: it looks at everything.
            let done = tokio::task::spawn_blocking(move || {
                if is_round {
                    return customers.maintain();
                }
                if sweeps {
                    customers.inner.cache.sweep_pending_purges();
                }
                if is_filled {
                    customers.inner.cache.pack();
                }
            });
            if done.await.is_err() {
                tracing::error!(alarm = true, "looking after the cache failed");
            }
        }
    }

    async fn watch_feed(&self, poll: Option<Duration>) {
        let inner = &*self.inner;
        let Some(feed) = inner.cache.policy.feed.as_deref() else {
            return;
        };
        let now = inner.clock.now();
        let mut watch = Watch {
            inner,
            feed,
            status: feed.status(now.tick),
            // The first overviews may be as old as that.
            known_until: earlier(now.wall, inner.cache.policy.overview_lag),
            repaired: None,
            is_failing: false,
            unreadable: 0,
            fenced_at: None,
        };
        loop {
            let now = inner.clock.now();
            watch.note(now);
            if poll.is_some() && watch.is_owed(now) {
                watch.poll(now).await;
            }
            let next = now.tick + poll.unwrap_or(GLANCE);
            inner.clock.sleep_until(next).await;
        }
    }
}

impl Watch<'_> {
    /// Tells how the feed stands where that has changed, and notes what it has told.
    fn note(&mut self, now: Now) {
        let before = std::mem::replace(&mut self.status, self.feed.status(now.tick));
        let (from, to) = (before.as_str(), self.status.as_str());
        match self.status {
            status if status == before => {}
            // The feed itself says at once that it fails, and that it does no longer.
            FeedStatus::Failing => {}
            FeedStatus::Working if before == FeedStatus::Failing => {}
            FeedStatus::Working => tracing::info!(from, to, "webhooks come"),
            _ => tracing::warn!(from, to, "webhooks don't come: lifetimes are shortened"),
        }
        let is_repaired = self.repaired.is_some() && !self.is_owed(now);
        if let Some(last) = self.feed.last_heard().filter(|_| is_repaired) {
            let told_until = earlier(now.wall, now.tick.since(last));
            self.known_until = self.known_until.max(told_until);
        }
    }

    /// Whether changes may have been missed that were not asked for.
    fn is_owed(&self, now: Now) -> bool {
        let since = self.feed.working_since(now.tick);
        since.is_none() || since != self.repaired
    }

    async fn poll(&mut self, now: Now) {
        // If it works now, this poll reaches into the stretch in which it does.
        let since = self.feed.working_since(now.tick);
        let from = earlier(self.known_until, OVERLAP);
        let outcome = self.inner.take_in_changes(from, now.wall).await;
        match outcome {
            Ok(count) => {
                tracing::debug!(count, "asked engage for changes");
                self.is_failing = false;
                self.unreadable = 0;
                self.fenced_at = None;
            }
            Err(unknown) if self.is_lost(&unknown, now.tick) => {
                self.inner.cache.invalidate_everything();
                tracing::error!(alarm = true, why = %unknown, "changes unknown; cache invalidated");
                self.unreadable = 0;
                self.fenced_at = Some(now.tick);
            }
            Err(error) => {
                if !self.is_failing {
                    tracing::warn!(%error, "engage can't be asked for changes");
                }
                self.is_failing = true;
                return;
            }
        }
        self.known_until = now.wall;
        self.repaired = since;
    }

    /// Whether the changes will not become known by asking again.
    fn is_lost(&mut self, unknown: &Unknown, now: Tick) -> bool {
        let is_lost = match unknown {
            Unknown::TooMany => true,
            Unknown::Unreadable | Unknown::Failed(Error::Invalid { .. }) => {
                self.unreadable += 1;
                self.unreadable >= MAX_UNREADABLE
            }
            // Engage may answer the next time, and what is held serves until then.
            Unknown::Failed(_) => {
                self.unreadable = 0;
                false
            }
        };
        let may_fence = self.fenced_at.is_none_or(|at| now.since(at) >= FENCE_PAUSE);
        is_lost && may_fence
    }
}

impl Inner {
    /// Takes note of what changed between the two moments. Returns how many contacts did.
    async fn take_in_changes(&self, from: Timestamp, to: Timestamp) -> Result<usize, Unknown> {
        let claim = Claim {
            flow: Flow::from("(changes)"),
            urgency: Urgency::Refresh,
        };
        let demand = Demand {
            claims: watch::channel(claim.into()).1,
            owner: NO_OWNER,
        };
        let (mut count, mut is_complete) = (0, true);
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
                Changes::TooMany => return Err(Unknown::TooMany),
            };
            count += ids.len();
            let kind = match kind {
                ContactChanges::Created => ChangeKind::Created,
                ContactChanges::Updated => ChangeKind::Changed(PartSet::INVALIDATABLE),
                ContactChanges::Deleted => ChangeKind::Deleted,
            };
            for ids in ids.chunks(BATCH) {
                let contacts = ids.to_vec();
                self.apply(&Change { kind, contacts });
                tokio::task::yield_now().await;
            }
        }
        if is_complete {
            Ok(count)
        } else {
            Err(Unknown::Unreadable)
        }
    }
}

fn earlier(moment: Timestamp, by: Duration) -> Timestamp {
    let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
    moment.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
