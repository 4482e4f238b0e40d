//! A scenario's account as a table for the terminal.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

use super::{data::Scenario, machine::StepAccount};

/// One row a step; steps that were not reached are there too.
pub(super) fn render(scenario: &Scenario, steps: &[StepAccount], colours: bool) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["", "step", "done", "outcome", "leader", "seen after", "held for"]);
    for (i, step) in scenario.steps.iter().enumerate() {
        let number = (i + 1).to_string();
        let Some(account) = steps.get(i) else {
            table.add_row([
                number,
                step.name.clone(),
                step.action.to_string(),
                "not reached".into(),
            ]);
            continue;
        };
        let (word, colour) = match account.failure {
            None => ("ok", Color::Green),
            Some(_) => ("FAILED", Color::Red),
        };
        let mut outcome = Cell::new(word);
        if colours {
            outcome = outcome.fg(colour).add_attribute(Attribute::Bold);
        }
        let mut name = step.name.clone();
        if let Some(reason) = &account.failure {
            name = format!("{name}\n→ {reason}");
        }
        let seconds =
            |ms: Option<u64>| ms.map_or("–".into(), |ms| format!("{:.2} s", ms as f64 / 1000.0));
        table.add_row([
            Cell::new(number),
            Cell::new(name),
            Cell::new(&account.done),
            outcome,
            Cell::new(match (account.reached_ms, account.leader) {
                (None, _) => "–".into(),
                (Some(_), None) => "none".into(),
                (Some(_), Some(leader)) => format!("n{}, term {}", leader.node, leader.term),
            }),
            Cell::new(seconds(account.reached_ms)),
            Cell::new(seconds(account.held_ms)),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_the_step_that_failed_and_those_not_reached() {
        let scenario = Scenario::load("leader-election").unwrap();
        let step = |number: usize, failure: Option<&str>| StepAccount {
            number,
            name: scenario.steps[number - 1].name.clone(),
            done: format!("start n{number}"),
            node: number as u64,
            crashed: false,
            began: 0,
            acted: 0,
            reached_ms: failure.is_none().then_some(120),
            held_ms: failure.is_none().then_some(4000),
            leader: None,
            failure: failure.map(str::to_owned),
        };
        let steps = [step(1, None), step(2, Some("n1 became leader of term 7"))];
        let table = render(&scenario, &steps, false);
        assert!(table.contains("→ n1 became leader of term 7"), "{table}");
        assert_eq!(table.matches("FAILED").count(), 1);
        assert_eq!(table.matches("not reached").count(), 6);
        assert!(table.contains("0.12 s"));
    }
}
