//! Bytes from libFuzzer to [`naru_fuzz::chunks`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::chunks::check(bytes));
