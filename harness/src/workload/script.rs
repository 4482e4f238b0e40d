//! Operations written down one by one: who, when, what.
//!
//! A person can write one, and `shrink` does, to show how little it takes to make a run fail. A
//! client performs its steps in their order: each begins when its time has come and the client's
//! step before it is over. What has not begun when the load ends never does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use anyhow::ensure;
use checker::history::{Function, Value};
use serde::{Deserialize, Serialize};

use super::{FinalRead, GARBAGE, Generator, Kind, Operation, Turn, register};

/// Most steps of a script.
pub const STEPS_MAX: usize = 100_000;

/// The operations of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// In order of time.
    pub steps: Vec<Step>,
    /// How they read.
    #[serde(default, skip_serializing_if = "register::Reads::are_linearizable")]
    pub reads: register::Reads,
}

/// An operation, with its time and client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When it may begin, since the start of the load.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
    /// Who performs it, from 0. Client 0 asks node n1 first, client 1 asks n2, and so on round the
    /// cluster; after an error each moves on to the next node.
    pub client: u64,
    /// What it does.
    pub f: Function,
    /// To which key.
    pub key: String,
    /// What it writes; of a compare-and-set `[expected, new]`; `null` of a read.
    #[serde(default = "nil", skip_serializing_if = "is_nil")]
    pub value: Value,
}

fn nil() -> Value {
    Value::Nil
}

fn is_nil(value: &Value) -> bool {
    *value == Value::Nil
}

impl Step {
    /// The operation alone.
    fn operation(&self, reads: register::Reads) -> Operation {
        let Self { f, key, value, .. } = self.clone();
        Operation::Register(register::Operation { f, key, value, reads })
    }

    /// Says what keeps any client from performing it.
    fn fault(&self) -> Option<&'static str> {
        match (self.f, self.value) {
            _ if self.key.is_empty() => Some("needs a key"),
            (Function::Read, Value::Nil) => None,
            (Function::Read, _) => Some("takes no value"),
            (Function::Write, Value::Int(GARBAGE)) | (Function::Cas, Value::Pair(_, GARBAGE)) => {
                Some("writes the one number that stands for what is none")
            }
            (Function::Write, Value::Int(_)) | (Function::Cas, Value::Pair(..)) => None,
            (Function::Write, _) => Some("needs a value, such as 5"),
            (Function::Cas, _) => Some("needs the values [expected, new], such as [null, 5]"),
            (Function::Delete, _) => Some("is not possible: no client deletes"),
        }
    }
}

impl Script {
    /// These steps, with linearizable reads.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps, reads: register::Reads::Linearizable }
    }

    /// The keys that it touches, in order; one where it touches none, since a run reads a key to
    /// see whether the nodes serve.
    fn touched(&self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.steps.iter().map(|step| &step.key).collect();
        if keys.is_empty() {
            return vec![register::key(0)];
        }
        keys.into_iter().cloned().collect()
    }
}

impl Kind for Script {
    fn model(&self) -> &'static str {
        "register"
    }

    fn keys(&self) -> usize {
        self.touched().len()
    }

    fn generator(&self, _: u64) -> Box<dyn Generator> {
        Box::new(Remaining::new(self))
    }

    fn probe(&self) -> Operation {
        register::read(&self.touched().into_iter().next().unwrap_or_default())
    }

    fn final_reads(&self, _: u64) -> Vec<FinalRead> {
        register::final_reads(self.touched().into_iter())
    }

    /// Each step must have a client and begin in time, in order.
    fn validate(&self, clients: u64, time: Duration) -> anyhow::Result<()> {
        let count = self.steps.len();
        ensure!(count <= STEPS_MAX, "a script has at most {STEPS_MAX} steps, not {count}");
        let mut before = Duration::ZERO;
        for (number, Step { at, client, f, .. }) in self.steps.iter().enumerate() {
            let step = format!("step {number} of the script ({f:?})").to_lowercase();
            ensure!(
                *client < clients,
                "{step} is for client {client}, and clients are numbered 0 to {}",
                clients.saturating_sub(1)
            );
            ensure!(*at >= before, "{step} is earlier than the step before it: order them by time");
            ensure!(
                *at <= time,
                "{step} would begin {} after the start of a test of {}",
                humantime::format_duration(*at),
                humantime::format_duration(time)
            );
            if let Some(fault) = self.steps[number].fault() {
                anyhow::bail!("{step} {fault}");
            }
            before = *at;
        }
        Ok(())
    }
}

/// The steps that are left, by client.
#[derive(Debug)]
pub struct Remaining {
    steps: BTreeMap<u64, VecDeque<Step>>,
    reads: register::Reads,
}

impl Remaining {
    /// All of a script.
    fn new(script: &Script) -> Self {
        let mut left: BTreeMap<u64, VecDeque<Step>> = BTreeMap::new();
        for step in &script.steps {
            left.entry(step.client).or_default().push_back(step.clone());
        }
        Self { steps: left, reads: script.reads }
    }
}

impl Generator for Remaining {
    fn next(&mut self, client: u64) -> Option<(Operation, Turn)> {
        let step = self.steps.get_mut(&client)?.pop_front()?;
        Some((step.operation(self.reads), Turn::At(step.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn step(seconds: u32, client: u64, f: Function, value: Value) -> Step {
        Step { at: SECOND * seconds, client, f, key: "k1".to_owned(), value }
    }

    #[test]
    fn each_client_gets_its_steps_in_order() {
        let script = Script::new(vec![
            step(0, 1, Function::Write, Value::Int(1)),
            step(1, 0, Function::Read, Value::Nil),
            step(2, 1, Function::Cas, Value::Pair(Some(1), 2)),
        ]);
        let mut left = Remaining::new(&script);
        let mut next = |client| {
            let (Operation::Register(operation), Turn::At(at)) = left.next(client)? else {
                panic!("a script has registers and times")
            };
            Some((operation.f, operation.value, at))
        };
        assert_eq!(next(0), Some((Function::Read, Value::Nil, SECOND)));
        assert_eq!(next(1), Some((Function::Write, Value::Int(1), Duration::ZERO)));
        assert_eq!(next(1), Some((Function::Cas, Value::Pair(Some(1), 2), 2 * SECOND)));
        assert_eq!((next(0), next(1), next(2)), (None, None, None));
        assert_eq!(script.touched(), ["k1"]);
    }

    #[test]
    fn a_script_reads_aloud() {
        let text = r#"{"steps":[
            {"at":"1s 200ms","client":0,"f":"write","key":"k1","value":5},
            {"at":"1s 300ms","client":1,"f":"cas","key":"k1","value":[null,6]},
            {"at":"2s","client":1,"f":"read","key":"k1"}]}"#;
        let script: Script = serde_json::from_str(text).unwrap();
        assert_eq!(script.steps[1].value, Value::Pair(None, 6));
        assert_eq!(script.steps[2].value, Value::Nil);
        script.validate(2, 2 * SECOND).unwrap();
        let spaces: &[char] = &[' ', '\n'];
        let written = serde_json::to_string(&script).unwrap();
        assert_eq!(written.replace(spaces, ""), text.replace(spaces, ""));
    }

    #[test]
    fn a_script_that_cannot_be_performed_is_refused_with_a_sentence() {
        let refused =
            |steps: Vec<Step>| Script::new(steps).validate(2, 2 * SECOND).unwrap_err().to_string();
        let read = |seconds, client| step(seconds, client, Function::Read, Value::Nil);
        assert_eq!(
            refused(vec![read(0, 2)]),
            "step 0 of the script (read) is for client 2, and clients are numbered 0 to 1"
        );
        assert_eq!(
            refused(vec![read(1, 0), read(0, 0)]),
            "step 1 of the script (read) is earlier than the step before it: order them by time"
        );
        assert_eq!(
            refused(vec![read(3, 0)]),
            "step 0 of the script (read) would begin 3s after the start of a test of 2s"
        );
        let refused = |f, value| refused(vec![step(0, 0, f, value)]);
        assert!(refused(Function::Read, Value::Int(1)).ends_with("(read) takes no value"));
        assert!(refused(Function::Write, Value::Nil).ends_with("needs a value, such as 5"));
        assert!(refused(Function::Write, Value::Int(GARBAGE)).ends_with("for what is none"));
        assert!(refused(Function::Cas, Value::Int(1)).contains("[expected, new]"));
        assert!(refused(Function::Delete, Value::Nil).ends_with("no client deletes"));
        let nameless = Step { key: String::new(), ..read(0, 0) };
        let error = Script::new(vec![nameless]).validate(1, SECOND).unwrap_err();
        assert_eq!(error.to_string(), "step 0 of the script (read) needs a key");
    }
}
