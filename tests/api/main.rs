//! The service through its front door: real HTTP, a stateful pretend Engage, a clock that tests move.

mod harness;
mod smoke;
