//! The shared tier's operations against a real server.

#[path = "../redis_server.rs"]
mod redis_server;

#[path = "../standin.rs"]
mod standin;

mod differential;
mod harness;
mod operations;
