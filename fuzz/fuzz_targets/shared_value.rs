//! A value of the shared tier, as the server returns it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| engage_bff::shared_tier::fuzzing::value(bytes));
