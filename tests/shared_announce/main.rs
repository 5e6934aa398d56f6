//! What one replica invalidates takes effect at the others, and what they can't hear of is distrusted. What operators see
//! of the tier.

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
