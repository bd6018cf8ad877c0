#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| podgraft_fuzz::targets::manifest(input));
