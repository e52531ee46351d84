//! Bytes from libFuzzer to [`naru_fuzz::request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::request::check(bytes));
