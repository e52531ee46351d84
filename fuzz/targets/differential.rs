//! Bytes from libFuzzer to [`naru_fuzz::differential`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::differential::check(bytes));
