//! Three replicas with real HTTP, one real server of the shared tier, and the Engage simulator: the promises of the
//! shared tier, over the system clock.

#[path = "../redis_link/certificates.rs"]
mod certificates;
#[path = "../redis_server.rs"]
mod redis_server;

mod harness;

mod budget;
mod failures;
mod figures;
mod hits;
mod invalidations;
mod observer;
mod one_fill;
mod privacy;
mod reload;
mod rolling;
mod stale_sets;
mod versions;
