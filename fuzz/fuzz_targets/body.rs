//! The body of `POST /customer/lookup`.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| engage_bff::http::fuzzing::body(body));
