//! The real binary as a process: commands, output, signals, limits. Tests that do not need a process of their own are
//! in `tests/api`, where they can move the clock.

mod caller;
mod commands;
mod configuration;
mod drain;
mod harness;
#[cfg(target_os = "linux")]
mod huge_pages;
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
