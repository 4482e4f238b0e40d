#![no_main]

mod shared;

use checker::history::Format;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    shared::history(text, Some(Format::Porcupine), false);
});
