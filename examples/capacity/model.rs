//! The parameters of the shop: how often contacts visit, what they view, and what changes between visits. Explained in
//! `docs/CAPACITY.md`.

use std::time::Duration;

/// The contacts of a large Nordic chain.
pub(crate) const CONTACTS: u32 = 1_000_000;
/// The skew of visits: with 0.8 the most frequent fifth of a million contacts makes 71 % of the sessions, close to the usual
/// 80 %.
pub(crate) const SKEW: f64 = 0.8;

/// The mean page views of a session, geometrically distributed: many sessions are short and some long.
pub(crate) const VIEWS: f64 = 8.0;
/// The mean time between two page views, exponentially distributed: with seven of them a session takes six minutes.
pub(crate) const THINKING: Duration = Duration::from_secs(51);
/// The share of page views that are "my pages", which request all parts: one or two per session.
pub(crate) const MY_PAGES: f64 = 0.2;
/// The share of sessions that end at a checkout, which requests fresh parts.
pub(crate) const CHECKOUT: f64 = 0.2;
/// The share of checkouts with a purchase.
pub(crate) const BOUGHT: f64 = 0.5;
/// Visits to a till per session, each with a purchase: 2.5 times the orders of the web shop.
pub(crate) const TILL_VISITS: f64 = 0.25;

/// Where sessions have several identifiers: the share of sessions that begin at a newsletter's link. Its pages are
/// requested by the e-mail address until the shopper logs in, which "my pages" require. The others begin logged in: their
/// pages are requested by the contact id in the token. Checkouts are by e-mail, tills by member number.
pub(crate) const NEWSLETTER: f64 = 0.5;
/// Calls to the service desk per session, each a request for everything by the mobile number.
pub(crate) const DESK_CALLS: f64 = 0.05;
/// The mean time from the end of a session to its contact's call, exponentially distributed.
pub(crate) const CALLS_AFTER: Duration = Duration::from_mins(20);

/// How long after a purchase Engage reports it.
pub(crate) const REPORTED_AFTER: Duration = Duration::from_secs(30);
/// The share of purchases that yield a voucher.
pub(crate) const REWARDED: f64 = 0.1;
/// How often a contact changes other than by a purchase, such as by a nightly import. Spread over the day, which is worse for
/// the cache than a single burst.
pub(crate) const UPDATED_EVERY: Duration = Duration::from_hours(24);
/// How often a campaign assigns a promotion to a contact, spread likewise.
pub(crate) const PROMOTED_EVERY: Duration = Duration::from_hours(7 * 24);
