//! Bytes from libFuzzer to [`naru_fuzz::forwarding`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| naru_fuzz::forwarding::check(bytes));
