#![no_main]

mod shared;

use checker::history::{Format, edn};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    // Also what no format claims.
    shared::history(text, None, false);
    shared::history(text, Some(Format::JepsenEdn), false);
    shared::history(text, Some(Format::JepsenEdn), true);
    let mut reader = edn::Reader::new(text);
    // A form is a byte at least, so there is an end.
    for forms in 0.. {
        assert!(forms <= text.len());
        match reader.read() {
            Ok(Some(form)) => drop(form.to_string()),
            Ok(None) | Err(_) => break,
        }
    }
});
