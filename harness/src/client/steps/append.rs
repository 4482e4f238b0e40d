//! Lists: one key each. The value is the elements in their order, separated by spaces.

use bytes::Bytes;
use checker::history::generic::Datum;
use proto::{
    etcd::{request_op::Request, response_op::Response},
    mvcc::KeyValue,
};
use tonic::Status;

use super::{Act, Guarded, datum, numbers, put, range, range_of};
use crate::{
    client::codec,
    workload::append::{self, Step, Transaction},
};

fn key(list: u64) -> Bytes {
    Bytes::from(format!("list/{}", append::name(list)))
}

impl Guarded for Transaction {
    /// The lists that it appends to.
    fn keys(&self) -> Vec<Bytes> {
        let appended = self.steps.iter().filter(|step| matches!(step, Step::Append { .. }));
        appended.map(|step| key(step.list())).collect()
    }

    /// Each step, in its order: a read is a range, and an append a put of the whole list.
    fn act(&self, found: &[Option<KeyValue>]) -> Act {
        let mut found = found.iter();
        let request = |step: &Step| match *step {
            Step::Read { list } => range(key(list)),
            Step::Append { list, element } => {
                let before = found.next().and_then(|pair| pair.as_ref());
                let before = before.map_or(Vec::new(), |pair| numbers(&pair.value));
                let all = before.into_iter().chain([element]);
                let words: Vec<String> = all.map(|element| element.to_string()).collect();
                put(key(list), words.join(" "))
            }
        };
        Act::Requests(self.steps.iter().map(request).collect::<Vec<Request>>())
    }

    /// The steps, each read with its list.
    fn told(&self, answers: &[Response]) -> Result<Datum, Status> {
        if answers.len() != self.steps.len() {
            return Err(codec::unasked());
        }
        let told = |(step, answer): (&Step, &Response)| {
            let read = match (step, answer) {
                (Step::Append { .. }, Response::ResponsePut(_)) => Datum::Nil,
                (Step::Read { .. }, answer) => {
                    let value = range_of(answer)?.kvs.first().map(|pair| numbers(&pair.value));
                    Datum::List(value.unwrap_or_default().into_iter().map(datum).collect())
                }
                (Step::Append { .. }, _) => return Err(codec::unasked()),
            };
            Ok(step.words(read))
        };
        self.steps.iter().zip(answers).map(told).collect::<Result<_, _>>().map(Datum::List)
    }
}
