//! The promises of each operation in `shared_tier::protocol`, with one test for each promise.

mod aliases;
mod budget;
mod epochs;
mod eviction;
mod fence;
mod figures;
mod flights;
mod invalidations;
mod server;
mod stream;
