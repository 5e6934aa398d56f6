//! The tokens that are leased from the shared tier: each batch is valid for a while, and the oldest is used first.

use std::collections::VecDeque;

use super::{TOKEN_LEASE, TokenCounts};
use crate::clock::Tick;

/// Leased tokens, and what became of earlier ones.
#[derive(Debug, Default)]
pub(super) struct LeasedTokens {
    /// Each batch, and until when it is valid; the oldest first. None is empty.
    batches: VecDeque<(u32, Tick)>,
    pub(super) counts: TokenCounts,
}

impl LeasedTokens {
    /// Adds tokens that are valid until then.
    pub(super) fn add(&mut self, tokens: u32, until: Tick) {
        self.counts.leased += u64::from(tokens);
        if tokens > 0 {
            self.batches.push_back((tokens, until));
        }
    }

    /// The number of valid tokens.
    pub(super) fn held(&self, now: Tick) -> u32 {
        let valid = self.batches.iter().filter(|(_, until)| *until > now);
        valid.map(|(tokens, _)| tokens).sum()
    }

    /// Until when the oldest are valid.
    pub(super) fn oldest_until(&self) -> Option<Tick> {
        self.batches.front().map(|(_, until)| *until)
    }

    /// Uses one for a call; `false` if there is none.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        self.drop_lapsed(now);
        let is_taken = self.drop_oldest();
        self.counts.used += u64::from(is_taken);
        is_taken
    }

    /// Gives back the tokens that would soon lapse, and those beyond `target`. Returns how many.
    pub(super) fn give_back(&mut self, target: u32, now: Tick) -> u32 {
        let mut returned = 0;
        let is_old = |(_, until): &mut (u32, Tick)| *until <= now + TOKEN_LEASE / 2;
        while let Some((tokens, _)) = self.batches.pop_front_if(is_old) {
            returned += tokens;
        }
        while self.held(now) > target && self.drop_oldest() {
            returned += 1;
        }
        self.counts.returned += u64::from(returned);
        returned
    }

    /// Gives back all. Returns how many.
    pub(super) fn give_back_all(&mut self, now: Tick) -> u32 {
        self.drop_lapsed(now);
        let returned = self.held(now);
        self.batches.clear();
        self.counts.returned += u64::from(returned);
        returned
    }

    pub(super) fn drop_lapsed(&mut self, now: Tick) {
        while let Some((tokens, _)) = self.batches.pop_front_if(|(_, until)| *until <= now) {
            self.counts.lapsed += u64::from(tokens);
        }
    }

    /// Drops one of the oldest; `false` if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some((tokens, _)) = self.batches.front_mut() else {
            return false;
        };
        *tokens -= 1;
        self.batches.pop_front_if(|(tokens, _)| *tokens == 0);
        true
    }
}
