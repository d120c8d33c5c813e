//! The target of this name, on what libFuzzer makes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| admit_fuzz::permits::key_set(data));
