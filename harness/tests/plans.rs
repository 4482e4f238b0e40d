//! The minimal plans of the bugs of the node that campaigns found, kept when the bug was mended:
//! each must hold from then on. Each bears the name of the [mutant](node::mutants) that has the bug
//! still, and must find it: a plan whose seed the simulator has come to draw otherwise is found
//! out, and needs another (`harness mutants --only NAME` looks for one).
//!
//! - `echoes-old-rounds`: violated `read-quorum`. A candidate of term 8 whose link was slow refused
//!   an append of term 7, and the refusal repeated the append's read round. It came when its sender
//!   led term 8, whose rounds begin anew, and passed for word that it still does. From 49 faults
//!   and 178 operations to 4 and 3. Mended in b158bb1; a script of the core is
//!   `core/read_old_refusal.txt`.

use std::{fs, path::Path, sync::atomic::AtomicBool};

use checker::{
    budget::Limits,
    judge,
    verdict::{Outcome, Verdict},
};
use harness::{cluster::sim::simulate, plan::Plan};

/// The plans, by name.
fn kept() -> Vec<(String, Plan)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut plans: Vec<_> = fs::read_dir(directory)
        .expect("the directory is in the repository")
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, Plan::load(&path).expect("it is a plan"))
        })
        .collect();
    plans.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(!plans.is_empty(), "there is a plan at least");
    plans
}

fn judge(plan: &Plan) -> Verdict {
    let simulation = simulate(plan, &AtomicBool::new(false));
    judge::run(&simulation.evidence, &Limits::default())
}

#[test]
fn bugs_that_were_mended_stay_away() {
    for (name, plan) in kept() {
        let verdict = judge(&plan);
        assert_eq!(verdict.outcome, Outcome::Ok, "{name}: {}", verdict.summary);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn each_plan_finds_its_bug_and_each_bug_that_was_mended_has_a_plan() {
    use harness::plan::PlacedMutant;
    use node::mutants::Mutant;

    let plans = kept();
    let names: Vec<&str> = plans.iter().map(|(name, _)| name.as_str()).collect();
    let mut mended = Mutant::MENDED.map(Mutant::name);
    mended.sort_unstable();
    assert_eq!(names, mended);
    for (name, plan) in plans {
        let mutant: Mutant = name.parse().expect("it is the name of a mutant");
        let verdict = judge(&Plan { mutants: vec![PlacedMutant::everywhere(mutant)], ..plan });
        let violated = |breaks: &&&str| {
            let mut properties = verdict.properties.iter();
            properties.any(|p| p.outcome == Outcome::Violated && p.name == **breaks)
        };
        let right = mutant.about().breaks.iter().find(violated);
        assert!(right.is_some(), "{name} finds its bug no more: {}", verdict.summary);
    }
}
