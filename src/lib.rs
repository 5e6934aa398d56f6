//! engage-bff: a caching backend-for-frontend for Voyado Engage.
//!
//! The modules; the first four in the order in which a request passes them. `docs/ARCHITECTURE.md` describes each, and
//! which may import which.
//!
//! - [`http`] reads the request: routes, credentials, parameters. It writes the response: status, headers, body.
//! - [`customer`] answers one customer query from the cache, from Engage, or from both.
//! - [`cache`] stores records, aliases and negative entries, with the fences and flights that keep them correct.
//! - [`engage`] calls Engage's API and keeps to its call budget.
//! - [`shared_tier`] is an optional second tier of the cache that all replicas share.
//! - [`webhook`] verifies and reads Engage's webhook deliveries.
//!
//! What they share: [`domain`], the values that all of them use; [`config`], the configuration; [`clock`], the source
//! of time; [`rate`], a token bucket; `json`, the lenient reader of Engage's JSON; [`threads`], the locks and atomics
//! of the cache; [`metrics`], what is counted; [`telemetry`], the log; [`traces`], the spans that are sent to a
//! collector. [`app`] builds all of it from the configuration and runs it.

pub mod app;
pub mod cache;
pub mod clock;
pub mod config;
pub mod customer;
pub mod domain;
pub mod engage;
pub mod http;
mod json;
pub mod metrics;
pub mod rate;
pub mod shared_tier;
pub mod telemetry;
pub mod threads;
pub mod traces;
pub mod webhook;
