//! The model of a shop's day: who comes how often, what they look at, and what changes meanwhile.
//! `docs/CAPACITY.md` tells it in words.

use std::time::Duration;

/// The contacts of a large Nordic chain.
pub(crate) const CONTACTS: u32 = 1_000_000;
/// How much more often some come than others: with 0.8 the most eager fifth of a million makes 71 of a
/// hundred sessions, about the proverbial four fifths.
pub(crate) const SKEW: f64 = 0.8;

/// Page views of a session on average; geometric, so that many sessions are short and some long.
pub(crate) const VIEWS: f64 = 8.0;
/// The time between two page views on average, exponential: with seven of them a session takes six
/// minutes.
pub(crate) const THINKING: Duration = Duration::from_secs(51);
/// Of the page views, those of "my pages", which ask for everything: one or two a session.
pub(crate) const MY_PAGES: f64 = 0.2;
/// Of the sessions, those that end at a checkout, which asks for what may be spent as it is now.
pub(crate) const CHECKOUT: f64 = 0.2;
/// Of the checkouts, those where something is bought.
pub(crate) const BOUGHT: f64 = 0.5;
/// Visits to a till for each session: two and a half times the orders of the web shop. Something is
/// always bought there.
pub(crate) const TILL_VISITS: f64 = 0.25;

/// How long after a purchase Engage tells of it.
pub(crate) const TOLD_AFTER: Duration = Duration::from_secs(30);
/// Of the purchases, those that bring a voucher.
pub(crate) const REWARDED: f64 = 0.1;
/// How often a contact is changed by something else than a purchase: a nightly import, say. Spread over
/// the day, which is worse for what is held than a night would be.
pub(crate) const UPDATED_EVERY: Duration = Duration::from_hours(24);
/// How often a campaign assigns a promotion to a contact, likewise.
pub(crate) const PROMOTED_EVERY: Duration = Duration::from_hours(7 * 24);
