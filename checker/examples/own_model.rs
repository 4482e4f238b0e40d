//! A model of one's own: accounts between which money is moved, and never made.
//!
//! `cargo run -p checker --example own_model FILE` reads a history of `transfer` (value `[from, to,
//! amount]`) and `read` (answer: a list of all balances) as JSON Lines, and says whether a bank
//! could have given these answers. Three accounts, of 10 each.

use std::{env, error::Error, fs::File, io::BufReader};

use checker::{
    budget::Limits,
    history::generic::{self, Datum, Event, Operation, Outcome},
    linear::check_model,
    model::{Model, Unexpected},
};

/// The model.
struct Bank;

/// What clients did, with what they were told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Transfer(usize, usize, i64),
    Read(Vec<i64>),
}

impl Model for Bank {
    type State = Vec<i64>;
    type Operation = Step;

    fn initial(&self) -> Vec<i64> {
        vec![10; 3]
    }

    fn apply(&self, balances: &Vec<i64>, step: &Step) -> Option<Vec<i64>> {
        let mut after = balances.clone();
        match step {
            Step::Transfer(from, to, amount) => {
                *after.get_mut(*from)? -= amount;
                *after.get_mut(*to)? += amount;
            }
            Step::Read(seen) => return (seen == balances).then_some(after),
        }
        after.iter().all(|&balance| balance >= 0).then_some(after)
    }
}

/// The front end: what an operation of a history is to the model, or nothing.
fn step(operation: &Operation<'_>) -> Result<Option<Step>, Unexpected> {
    let numbers = |value: &Datum| value.list()?.iter().map(Datum::int).collect::<Option<Vec<_>>>();
    match (operation.f, operation.outcome) {
        (_, Outcome::Failed { .. }) | ("read", Outcome::Unknown { .. }) => Ok(None),
        ("transfer", _) => match numbers(operation.argument).as_deref() {
            Some(&[from, to, amount]) => {
                let account = |number| usize::try_from(number).unwrap_or(usize::MAX);
                Ok(Some(Step::Transfer(account(from), account(to), amount)))
            }
            _ => Err(Unexpected::argument(operation, "[from, to, amount]")),
        },
        ("read", Outcome::Ok { value, .. }) => {
            let balances = numbers(value);
            let wrong = || Unexpected::answer(operation, "the balances of all accounts");
            Ok(Some(Step::Read(balances.ok_or_else(wrong)?)))
        }
        _ => Err(Unexpected::function(operation, "transfer or read")),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: own_model FILE")?;
    let events = serde_json::Deserializer::from_reader(BufReader::new(File::open(file)?))
        .into_iter()
        .collect::<Result<Vec<Event>, _>>()?;
    let operations = generic::pair(&events)?;
    let property = check_model(&Bank, &operations, step, &Limits::default())?;
    println!("{}: {} ({})", property.name, property.outcome, property.detail);
    for violation in &property.violations {
        println!("{}", violation.summary);
    }
    std::process::exit(property.outcome.exit_code().into());
}
