//! Transparent huge pages: pages of 2 MiB instead of 4 KiB, for which the allocator asks.
//!
//! A hit reads memory in a dozen places, and its body is copied from another: with small pages most of these addresses
//! have to be looked up in the page tables again. But huge pages cost memory where much of them is free. So the process
//! may use them while the cache fills, until it is half full. From then on records are evicted and rendered responses
//! dropped, and what they free must return to the system in small pieces, or the process would exceed
//! `cache.max_size`.
//!
//! docs/PERFORMANCE.md has the figures.

use std::time::Duration;

use engage_bff::{clock::Clock, customer::CustomerService};
#[cfg(target_os = "linux")]
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

#[cfg(not(target_os = "linux"))]
use self::elsewhere::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// How often the cache's size is read.
const PERIOD: Duration = Duration::from_millis(250);
/// An emptier cache, which fills less than one in this many of its bytes, gains nothing.
const EMPTY_SHARE: u64 = 128;

/// Whether this process may decide: not if huge pages were off when it began, by `MIMALLOC_ALLOW_THP=0` or its parent,
/// nor if the kernel has no such switch.
#[derive(Clone, Copy)]
pub(super) struct HugePages {
    may_decide: bool,
}

impl HugePages {
    /// Switches them off until there is something in the cache.
    pub(super) fn off() -> Self {
        let are_off = transparent_huge_pages_are_disabled();
        let may_decide = are_off == Ok(false) && disable_transparent_huge_pages(true).is_ok();
        Self { may_decide }
    }

    /// Switches them on or off as the cache fills and empties. Never returns if the process may decide.
    pub(super) async fn follow(self, customers: CustomerService, clock: Clock) {
        if !self.may_decide {
            return;
        }
        let mut are_on = false;
        loop {
            let (bytes, max) = customers.cached_bytes();
            let are_wanted = bytes > max / EMPTY_SHARE && bytes <= max / 2;
            if are_wanted != are_on && disable_transparent_huge_pages(!are_wanted).is_ok() {
                are_on = are_wanted;
            }
            clock.sleep_until(clock.tick() + PERIOD).await;
        }
    }
}

/// Other systems have no such switch.
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use rustix::io::{Errno, Result};

    pub(super) fn transparent_huge_pages_are_disabled() -> Result<bool> {
        Err(Errno::NOSYS)
    }

    pub(super) fn disable_transparent_huge_pages(_: bool) -> Result<()> {
        Err(Errno::NOSYS)
    }
}
