//! The query of `GET /customer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|query: &str| engage_bff::http::fuzzing::query(query));
