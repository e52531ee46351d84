//! Bytes from libFuzzer to [`naru_fuzz::response`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::response::check(bytes));
