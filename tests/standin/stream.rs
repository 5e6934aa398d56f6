//! The stream of invalidations: its positions, as in Redis, its chain, and the subjects of each entry.

use engage_bff::shared_tier::protocol::{
    AliasName, Covered, EntryContent, MAX_ENTRIES_SINCE, Position, StreamEntry, StreamLimits,
};

use super::server::millis;

#[derive(Clone, Default)]
pub(super) struct Stream {
    entries: Vec<Entry>,
    /// The last position, even if its entry was trimmed.
    last: Position,
    ends: u64,
}

#[derive(Clone)]
pub(super) struct Entry {
    read: StreamEntry,
    pub(super) contacts: Vec<Covered>,
    pub(super) aliases: Vec<AliasName>,
}

/// The entries since a position.
pub(super) enum Chain<'a> {
    Whole(&'a [Entry]),
    /// Entries may be missing, or there are too many.
    Broken,
}

impl Stream {
    pub(super) fn append(
        &mut self,
        content: EntryContent,
        contacts: Vec<Covered>,
        now: u64,
        limits: StreamLimits,
    ) -> Position {
        self.append_naming(content, (contacts, Vec::new()), now, limits)
    }

    pub(super) fn append_naming(
        &mut self,
        content: EntryContent,
        (contacts, aliases): (Vec<Covered>, Vec<AliasName>),
        now: u64,
        limits: StreamLimits,
    ) -> Position {
        let previous = self.last;
        let position = if now > previous.millis {
            Position {
                millis: now,
                number: 0,
            }
        } else {
            Position {
                number: previous.number + 1,
                ..previous
            }
        };
        self.entries.push(Entry {
            read: StreamEntry {
                position,
                previous,
                content,
            },
            contacts,
            aliases,
        });
        self.last = position;
        let oldest = now.saturating_sub(millis(limits.keep));
        self.entries
            .retain(|entry| entry.read.position.millis >= oldest);
        self.ends = now + 2 * millis(limits.keep);
        position
    }

    pub(super) fn last(&self) -> Position {
        self.last
    }

    pub(super) fn ends(&self) -> u64 {
        self.ends
    }

    pub(super) fn after(&self, position: Position) -> Vec<StreamEntry> {
        let from = self
            .entries
            .partition_point(|entry| entry.read.position <= position);
        let entries = self.entries[from..].iter();
        entries.map(|entry| entry.read.clone()).collect()
    }

    /// The entries appended since a lease was granted. Each entry must follow the previous one, and the first must
    /// follow the position.
    pub(super) fn since(&self, position: Position) -> Chain<'_> {
        let from = self
            .entries
            .partition_point(|entry| entry.read.position <= position);
        let entries = &self.entries[from..];
        let mut before = position;
        for entry in entries {
            if entry.read.previous != before {
                return Chain::Broken;
            }
            before = entry.read.position;
        }
        let is_whole = position != Position::START
            && before == self.last
            && entries.len() <= MAX_ENTRIES_SINCE;
        if is_whole {
            Chain::Whole(entries)
        } else {
            Chain::Broken
        }
    }

    /// Drops all entries except the newest.
    pub(super) fn trim(&mut self, newest: usize) {
        let excess = self.entries.len().saturating_sub(newest);
        self.entries.drain(..excess);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &StreamEntry> {
        self.entries.iter().map(|entry| &entry.read)
    }
}
