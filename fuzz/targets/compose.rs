//! Bytes from libFuzzer to [`naru_fuzz::compose`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::compose::check(bytes));
