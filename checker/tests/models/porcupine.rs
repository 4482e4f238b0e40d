//! The text of Porcupine's histories of stores: `{:process 0, :type :invoke, :f :append, :key "0",
//! :value "x"}`, a line an event.

use checker::history::{
    Kind,
    generic::{Datum, Event},
};

/// The events of `text`, which have no times: each is at its place.
pub(crate) fn events(text: &str) -> Vec<Event> {
    let field = |line: &str, name: &str| -> String {
        let (_, rest) = line.split_once(&format!(":{name} ")).unwrap();
        rest.split(", :").next().unwrap().trim_end_matches('}').to_owned()
    };
    let datum = |text: &str| match text.trim_matches('"') {
        _ if text == "nil" => Datum::Nil,
        text => Datum::Text(text.into()),
    };
    (0..)
        .zip(text.lines())
        .map(|(index, line)| Event {
            index,
            time: index,
            process: field(line, "process").parse().unwrap(),
            kind: match field(line, "type").as_str() {
                ":invoke" => Kind::Invoke,
                ":ok" => Kind::Ok,
                other => panic!("{other}"),
            },
            f: field(line, "f").trim_start_matches(':').into(),
            key: datum(&field(line, "key")),
            value: datum(&field(line, "value")),
            error: None,
            node: None,
            revision: None,
        })
        .collect()
}
