//! The real binary as a process: commands, output, signals, limits. Everything that needs no process of its own is tested
//! in `tests/api`, where tests move the clock.

mod caller;
mod commands;
mod configuration;
mod drain;
mod harness;
#[path = "../api/issuer.rs"]
#[expect(dead_code, reason = "the process needs one key and no server")]
mod issuer;
mod joining;
mod limits;
mod log;
mod online;
mod reload;
mod resolving;
mod rolling;
mod signals;
mod tokens;
mod wire;
