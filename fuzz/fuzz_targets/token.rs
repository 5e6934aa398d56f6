//! A shopper's token: its header, which anybody may have written, and its claims.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| engage_bff::http::fuzzing::token(text));
