//! Bytes from libFuzzer to [`naru_fuzz::frames`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::frames::check(bytes));
