//! An invalidation at one replica takes effect at the others, and a replica distrusts data about which it can't receive
//! announcements. Also what operators see of the tier.

mod changed;
#[path = "../api/harness/contract.rs"]
mod contract;
mod metrics;
mod operators;
mod purges;
mod readiness;
mod replicas;
#[path = "../standin.rs"]
mod standin;
mod trust;
mod webhooks;
