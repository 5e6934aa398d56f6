//! engage-bff: a caching backend-for-frontend for Voyado Engage.
//!
//! The rooms, in the order in which a request passes through them; `docs/ARCHITECTURE.md` tells the
//! same story at length.
//!
//! - [`http`], the front door: routes, callers, parameters in; statuses, headers, bytes out.
//! - [`customer`], the hall: one question about one customer, answered from what is held, from Engage,
//!   or from both.
//! - [`cache`], the pantry: records, names, negative answers; fences and flights.
//! - [`engage`], the back door: the only room that speaks Engage's language.
//! - [`webhook`]: verifies and reads Engage's webhook deliveries.
//! - [`domain`], the words that all of them share; [`config`], [`clock`] and [`rate`], leaves that
//!   anybody may use, as are [`threads`], `jwk` and `authorities`; [`telemetry`], what operators are told; [`app`], where the rooms are put together.

pub mod app;
pub mod cache;
pub mod clock;
pub mod config;
pub mod customer;
pub mod domain;
pub mod engage;
pub mod http;
mod json;
pub mod rate;
pub mod telemetry;
pub mod threads;
pub mod webhook;
