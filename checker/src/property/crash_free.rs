//! Whether a node showed a defect of its own: an assertion that did not hold, a log that it refuses
//! although nothing damaged it, or an error by which a server says that it is broken. Raft masks
//! the loss of a node, so that clients may notice nothing; the defect is there all the same.

use std::collections::BTreeMap;

use super::{ok, violated};
use crate::{
    evidence::{Crash, Ending, Run},
    history::{Events, clock::seconds},
    verdict::{Property, VIOLATIONS_MAX, Violation},
};

/// Name of the property.
pub const NAME: &str = "crash-free";

/// So many answers of one node are told.
const OF_NODE_MAX: usize = 3;

/// The gRPC codes that say so. Clients give them other names when their own side fails.
const BROKEN: [&str; 3] = ["INTERNAL: ", "UNKNOWN: ", "DATA_LOSS: "];

/// Looks for nodes that ended by a defect, and for answers that tell of one.
pub fn check(run: &Run, history: &Events) -> Property {
    let broken = match run.expect.sound {
        true => answers(history),
        false => Vec::new(),
    };
    if run.crashes.is_empty() && broken.is_empty() {
        return ok(NAME, "no node ended by a defect of its own");
    }
    let summary = |Crash { node, ending, how }: &Crash| match ending {
        Ending::Defect => format!("n{node} ended by a defect of its own: {how}"),
        Ending::Disk => {
            format!("n{node} does not run, and no fault had touched its disk: {how}")
        }
    };
    let violation = |crash: &Crash| Violation {
        rule: NAME.into(),
        summary: summary(crash),
        nodes: vec![format!("n{}", crash.node)],
        operations: Vec::new(),
        trace: Vec::new(),
        refutation: None,
    };
    let detail = match run.crashes.is_empty() {
        true => "a node told a client of a defect",
        false => "a node ended for no reason but its own",
    };
    let violations: Vec<Violation> = run.crashes.iter().map(violation).chain(broken).collect();
    violated(NAME, detail, violations)
}

/// The answers that tell of a defect, a few of each node.
fn answers(history: &Events) -> Vec<Violation> {
    let events = history.places().zip(history.nodes()).zip(history.errors());
    let told = events.filter_map(|((place, node), error)| {
        let error = error.filter(|error| BROKEN.iter().any(|code| error.starts_with(code)))?;
        let node = node?.to_owned();
        let time = seconds(place.time);
        Some(Violation {
            rule: NAME.into(),
            summary: format!("{node} answered a request with `{error}` at {time}"),
            nodes: vec![node],
            operations: vec![place.index],
            trace: Vec::new(),
            refutation: None,
        })
    });
    let mut of_node: BTreeMap<String, usize> = BTreeMap::new();
    let few = told.filter(|violation| {
        let count = of_node.entry(violation.nodes[0].clone()).or_default();
        *count += 1;
        *count <= OF_NODE_MAX
    });
    few.take(VIOLATIONS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Outcome;

    #[test]
    fn a_defect_is_a_violation_that_names_the_node() {
        let none = Events::Generic(Vec::new());
        assert_eq!(check(&Run::default(), &none).outcome, Outcome::Ok);
        let crash = |ending| {
            let crashes = vec![Crash { node: 3, ending, how: "exited with code 101".into() }];
            check(&Run { crashes, ..Run::default() }, &none)
        };
        let property = crash(Ending::Defect);
        assert_eq!(property.outcome, Outcome::Violated);
        assert_eq!(property.violations[0].nodes, ["n3"]);
        let property = crash(Ending::Disk);
        assert_eq!(property.outcome, Outcome::Violated);
        assert!(property.violations[0].summary.starts_with("n3 does not run, and no fault had"));
    }

    #[test]
    fn an_answer_that_tells_of_a_defect_is_a_violation_where_only_nodes_give_it() {
        let lines = [
            r#"{"index":0,"time":1,"process":0,"type":"invoke","f":"read","key":"k","value":null,
               "node":"n2"}"#,
            r#"{"index":1,"time":2,"process":0,"type":"fail","f":"read","key":"k","value":null,"node":"n2",
               "error":"INTERNAL: the request writes"}"#,
        ];
        let events: Vec<crate::history::Event> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let history = Events::from(events);
        let mut run = Run::default();
        assert_eq!(check(&run, &history).outcome, Outcome::Ok);
        run.expect.sound = true;
        let property = check(&run, &history);
        assert_eq!(property.outcome, Outcome::Violated);
        assert!(property.violations[0].summary.starts_with("n2 answered a request with `INTERNAL"));
    }
}
