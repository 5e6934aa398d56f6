//! The input of a connection: requests, one after another, in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engage_bff::http::fuzzing::heads(bytes));
