//! The window of the paper's figure 8, (c), and what nearly is one.

use super::*;

/// The paper's figure 8: n1 led term 2, and n2 alone has its entry 2@2; n5 led term 3, and its 2@3
/// is on its own disk alone. n1 leads term 4, and its no-op is 3@4. All began with 1@1.
fn before_figure_8(run: &mut Run) {
    run.lead(1, 1, at(0, 0)).append(1, 1, 1);
    for node in 2..=5 {
        run.term(node, 1).append(node, 1, 1).acknowledge(node, 1, 1, at(1, 1));
    }
    run.commit(1, 1, at(1, 1), true);
    run.lead(1, 2, at(1, 1)).append(1, 2, 2);
    run.term(2, 2).append(2, 2, 2).acknowledge(2, 2, 1, at(2, 2));
    run.lead(5, 3, at(1, 1)).append(5, 2, 3).kill(5);
    run.lead(1, 4, at(2, 2)).append(1, 3, 4);
}

/// Another node gets the entry of term 2 from n1, under term 4.
fn replicate(run: &mut Run, node: u64) {
    run.term(node, 4).append(node, 2, 2).acknowledge(node, 4, 1, at(2, 2));
}

#[test]
fn figure_8() {
    let window = |play: &dyn Fn(&mut Run)| {
        let mut run = Run::new();
        play(&mut run);
        let counts = run.detector.finish();
        (counts.of(Situation::OldOnMajority), counts.of(Situation::Figure8))
    };
    let then = |next: &dyn Fn(&mut Run)| {
        window(&|run| {
            before_figure_8(run);
            next(run);
        })
    };
    let both = |run: &mut Run| {
        run.acknowledge(2, 4, 1, at(2, 2));
        replicate(run, 3);
    };
    assert_eq!(then(&both), (1, 1), "as in the paper");
    let all = |run: &mut Run| {
        both(run);
        replicate(run, 4);
    };
    assert_eq!(then(&all), (1, 1), "it is met once a term");
    assert_eq!(then(&|run| replicate(run, 3)), (0, 0), "n2 did not say so in term 4");
    let with_no_op = |run: &mut Run| {
        run.append(2, 3, 4).acknowledge(2, 4, 1, at(3, 4));
        run.append(3, 3, 4).acknowledge(3, 4, 1, at(3, 4));
    };
    assert_eq!(then(&with_no_op), (0, 0), "the no-op is on a majority: all is committed");
    let known = |run: &mut Run| {
        run.commit(5, 3, at(2, 2), true);
        both(run);
    };
    assert_eq!(then(&known), (0, 0), "it is known to be committed");

    // Nothing can overwrite it.
    let committed = |run: &mut Run| {
        run.acknowledge(3, 2, 1, at(2, 2));
        both(run);
    };
    assert_eq!(then(&committed), (1, 0), "a majority acknowledged it in its own term");
    let forgotten = |run: &mut Run| {
        run.start(5, 2, (3, None), at(1, 1));
        both(run);
    };
    assert_eq!(then(&forgotten), (1, 0), "no log ends in a term between any more");
    let unelectable = |run: &mut Run| {
        run.append(2, 3, 4).append(3, 2, 2).append(3, 3, 4).append(4, 3, 4);
        run.acknowledge(2, 4, 1, at(2, 2)).acknowledge(3, 4, 1, at(2, 2));
    };
    assert_eq!(then(&unelectable), (1, 0), "nobody would vote for n5");
    let holds = window(&|run: &mut Run| {
        // n5 led term 3 with the entry of term 2 in its log.
        run.lead(1, 1, at(0, 0)).lead(1, 2, at(1, 1)).append(1, 2, 2);
        run.lead(5, 3, at(2, 2)).append(5, 3, 3);
        run.lead(1, 4, at(2, 2)).append(1, 3, 4);
        for node in 2..=3 {
            run.term(node, 4).append(node, 2, 2).acknowledge(node, 4, 1, at(2, 2));
        }
    });
    assert_eq!(holds, (1, 0), "the log that ends in a term between holds it too");
}
