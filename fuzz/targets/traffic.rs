//! Bytes from libFuzzer to [`naru_fuzz::traffic`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::traffic::check(bytes));
