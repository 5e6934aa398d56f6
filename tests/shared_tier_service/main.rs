//! `SharedTier` over the stand-in of a server: what the service gets of it, and what a failure costs.

#[path = "../standin.rs"]
mod standin;

mod changes;
mod failures;
mod flights;
mod gaps;
mod replica;
mod settings;
mod tampered;
