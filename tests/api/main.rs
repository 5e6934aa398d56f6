//! The service through its front door: real HTTP, a stateful pretend Engage, a clock that tests move.

mod answer;
mod bounds;
mod cache_control;
mod callers;
mod coalescing;
mod connections;
mod engage_errors;
mod errors;
mod fresh;
mod freshness;
mod harness;
mod identifiers;
mod invalidation;
mod names;
mod negatives;
mod offers;
mod operations;
mod parameters;
mod privacy;
mod refill;
mod shape;
mod smoke;
mod stale_if_error;
mod validators;
mod versions;
mod wire;
