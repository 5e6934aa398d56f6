//! Reads the stream of invalidations entry by entry: what each means to this replica, and where invalidations may have
//! been missed. Everything that is not understood is a gap.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    epoch::Epoch,
    protocol::{EntryContent, EpochId, Position, ReplicaId, StreamEntry},
    value::open_payload,
};

/// Why invalidations may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GapReason {
    /// An entry does not follow the one before it.
    Chain,
    /// An entry is of an unknown kind.
    Unknown,
    /// What an entry says can't be opened.
    Unreadable,
    /// Another epoch is current, and no entry leads to it.
    Epoch,
    /// The stream ends before the position that was read.
    Rewound,
}

impl GapReason {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            GapReason::Chain => "chain",
            GapReason::Unknown => "unknown",
            GapReason::Unreadable => "unreadable",
            GapReason::Epoch => "epoch",
            GapReason::Rewound => "rewound",
        }
    }
}

/// A place in the stream of an epoch.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) epoch: Arc<Epoch>,
    /// The last entry that was read.
    pub(super) position: Position,
    /// Whether the next entry must follow it.
    is_chained: bool,
    /// The entries until here were there before reading began.
    past: Position,
}

/// What an entry means.
#[derive(Debug)]
pub(super) struct Reading {
    /// Why invalidations may have been missed, if so. Handled before `apply`.
    pub(super) gap: Option<GapReason>,
    /// What to apply.
    pub(super) apply: Option<Vec<u8>>,
    /// Whether it was written before reading began, and so before memory was dropped.
    pub(super) is_past: bool,
    /// For the metrics.
    pub(super) kind: &'static str,
    /// Where reading goes on.
    pub(super) next: Next,
}

/// Where reading goes on after an entry.
#[derive(Debug)]
pub(super) enum Next {
    /// After the entry.
    Here(Reader),
    /// In the next epoch, from its first entry.
    Epoch(Reader),
    /// Nowhere: no key unwraps the next epoch's secret. The entry is to be read again.
    Unknown,
}

impl Reader {
    /// Reads everything that an epoch's stream still has. The first entries may be missing. Those until `past` are there
    /// already.
    pub(super) fn replay(epoch: &Arc<Epoch>, past: Position) -> Self {
        Self {
            epoch: Arc::clone(epoch),
            position: Position::START,
            is_chained: false,
            past,
        }
    }

    /// Reads an epoch's stream from its very first entry.
    fn follow(epoch: Arc<Epoch>) -> Self {
        Self {
            epoch,
            position: Position::START,
            is_chained: true,
            past: Position::START,
        }
    }

    /// Reads the next entry. `resolve` returns an epoch by its id and wrapped secret, if it can be unwrapped.
    pub(super) fn read(
        &self,
        entry: StreamEntry,
        own: ReplicaId,
        resolve: impl FnOnce(EpochId, &Bytes) -> Option<Arc<Epoch>>,
    ) -> Reading {
        let is_broken = self.is_chained && entry.previous != self.position;
        let mut gap = is_broken.then_some(GapReason::Chain);
        let mut open = |replica: ReplicaId, payload: &[u8]| {
            if replica == own {
                return None;
            }
            let opened = open_payload(&self.epoch.sealer, self.epoch.id, payload);
            if opened.is_err() {
                gap = gap.or(Some(GapReason::Unreadable));
            }
            opened.ok()
        };
        let (kind, apply, next) = match entry.content {
            EntryContent::Heartbeat => ("heartbeat", None, None),
            EntryContent::Invalidation { replica, payload } => {
                ("invalidation", open(replica, &payload), None)
            }
            EntryContent::Advance {
                replica,
                payload,
                next,
                wrapped_secret,
            } => {
                let apply = open(replica, &payload);
                let next = resolve(next, &wrapped_secret)
                    .map_or(Next::Unknown, |epoch| Next::Epoch(Self::follow(epoch)));
                ("advance", apply, Some(next))
            }
            EntryContent::Unknown => {
                gap = gap.or(Some(GapReason::Unknown));
                ("unknown", None, None)
            }
        };
        let after = Self {
            epoch: Arc::clone(&self.epoch),
            position: entry.position,
            is_chained: true,
            past: self.past,
        };
        Reading {
            gap,
            apply,
            is_past: entry.position <= self.past,
            kind,
            next: next.unwrap_or(Next::Here(after)),
        }
    }
}

#[cfg(test)]
mod tests;
