#![no_main]

use checker::{
    evidence::Run,
    jsonl::{Error, Reader},
    raft,
};
use proto::trace::Record;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let mut reader = Reader::new(text, "n1.jsonl", "a trace record");
    let mut records = Vec::new();
    loop {
        match reader.read::<Record>() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => break,
            Err(Error::Malformed { .. } | Error::Torn { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    let mut traces = vec![Vec::new(); 3];
    for record in records {
        traces[(record.node % 3) as usize].push(record);
    }
    raft::check(&traces, &Run { nodes: 3, traced: true, ..Run::default() });
});
