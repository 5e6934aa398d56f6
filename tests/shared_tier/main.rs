//! The shared tier's operations against a real server.

#[path = "../redis_server.rs"]
mod redis_server;

mod harness;
mod operations;
