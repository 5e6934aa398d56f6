//! The real binary as a process: its commands, what it prints, its signals and the machine's limits. What does not need
//! a process of its own is tested in `tests/api`, where tests move the clock.

mod caller;
mod commands;
mod configuration;
mod drain;
mod harness;
mod limits;
mod log;
mod resolving;
mod rolling;
mod signals;
mod wire;
