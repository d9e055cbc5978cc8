#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| renewd_fuzz::definition::run(data));
