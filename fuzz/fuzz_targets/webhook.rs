//! A webhook: its signature, which anybody may have written, and its body.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engage_bff::http::fuzzing::webhook(bytes));
