//! `SharedTier` over the stand-in of a server: what it gives the service, and what a failure costs.

#[path = "../standin.rs"]
mod standin;

mod changes;
mod failures;
mod flights;
mod gaps;
mod replica;
mod settings;
mod tampered;
