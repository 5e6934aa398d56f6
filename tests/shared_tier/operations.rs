//! What `shared_tier::protocol` promises of each operation, one test for each promise.

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
