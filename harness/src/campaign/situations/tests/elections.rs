//! Elections: who stands, who votes for whom, and what becomes of votes.

use super::*;

#[test]
fn leader_change() {
    let again = |second| {
        met(Situation::LeaderChange, |run| {
            run.lead(1, 1, at(0, 0)).lead(second, 2, at(1, 1));
        })
    };
    assert_eq!(again(2), 1);
    assert_eq!(again(1), 0, "the same node leads again");
}

#[test]
fn two_candidates() {
    let stand = |candidates: &[(u64, u64)]| {
        met(Situation::TwoCandidates, |run| {
            for (node, term) in candidates {
                run.stand(*node, *term);
            }
        })
    };
    assert_eq!(stand(&[(1, 1), (2, 1)]), 1);
    assert_eq!(stand(&[(1, 1), (2, 1), (3, 1)]), 1, "a third is nothing new");
    assert_eq!(stand(&[(1, 1), (1, 2), (2, 3)]), 0, "each stands in a term of its own");
}

#[test]
fn split_vote() {
    let split = |play: fn(&mut Run)| met(Situation::SplitVote, play);
    let two_and_two = |run: &mut Run| {
        run.stand(1, 1).stand(2, 1).term(3, 1).vote(3, 1, 1).term(4, 1).vote(4, 1, 2);
    };
    assert_eq!(split(two_and_two), 1);
    assert_eq!(split(|run| _ = run.stand(1, 1).stand(2, 1).stand(3, 1)), 1, "each for itself");
    assert_eq!(split(|run| _ = run.stand(1, 1).stand(2, 1).stand(1, 2)), 0, "two cannot elect one");
    let lost = |run: &mut Run| {
        run.stand(1, 1).stand(2, 1).term(3, 1).vote(3, 1, 1).term(4, 1).vote(4, 1, 1);
    };
    assert_eq!(split(lost), 0, "a majority votes for n1, and it never learns that");
    let late = |run: &mut Run| {
        run.stand(1, 1).stand(2, 1).term(3, 1).vote(3, 1, 1).term(4, 1).vote(4, 1, 2);
        run.term(5, 1).vote(5, 1, 2).role(2, 1, Role::Leader, at(0, 0));
    };
    assert_eq!(split(late), 0, "one is elected");
}

#[test]
fn vote_refused_for_log() {
    let refused = |play: &dyn Fn(&mut Run), theirs: Position, granted| {
        met(Situation::VoteRefusedForLog, |run| {
            run.term(2, 2).append(2, 4, 2);
            let request = vote_request(1, 2, 3, theirs);
            run.pass(&request).term(2, 3);
            play(run);
            run.send(&message(2, 1, 3, Raft::VoteReply { granted }));
        })
    };
    let nothing = |_: &mut Run| {};
    assert_eq!(refused(&nothing, at(9, 1), false), 1, "a later term");
    assert_eq!(refused(&nothing, at(3, 2), false), 1, "a longer log");
    assert_eq!(refused(&nothing, at(4, 2), false), 0, "the logs are equal: for another reason");
    assert_eq!(refused(&nothing, at(9, 1), true), 0, "it is granted, which rules are for");
    let votes = |run: &mut Run| _ = run.vote(2, 3, 5);
    assert_eq!(refused(&votes, at(9, 1), false), 0, "its vote is another's");
    let its_own = |run: &mut Run| _ = run.vote(2, 3, 1);
    assert_eq!(refused(&its_own, at(9, 1), false), 1, "its vote was the candidate's before");
    let follows = |run: &mut Run| {
        let leader = Some(5);
        run.step(2, Event::Role { term: 3, role: Role::Follower, leader, last: at(4, 2) });
    };
    assert_eq!(refused(&follows, at(9, 1), false), 0, "it knows the leader of the term");
    let restarts = |run: &mut Run| _ = run.kill(2).start(2, 2, (3, Some(5)), at(4, 2));
    assert_eq!(refused(&restarts, at(9, 1), false), 0, "nobody asked this boot");
    let late = met(Situation::VoteRefusedForLog, |run| {
        run.term(2, 5).append(2, 4, 5);
        run.pass(&vote_request(1, 2, 3, at(1, 1)));
        run.send(&message(2, 1, 5, Raft::VoteReply { granted: false }));
    });
    assert_eq!(late, 0, "it is refused for its term");
}

#[test]
fn vote_lost() {
    let lost = |synced: bool, found| {
        met(Situation::VoteLost, |run| {
            run.term(2, 3).step(2, Event::Voted { term: 3, candidate: 1 });
            if synced {
                run.step(2, Event::Durable { term: 3, vote: Some(1), last: at(0, 0) });
            }
            run.kill(2).start(2, 2, found, at(0, 0));
        })
    };
    assert_eq!(lost(false, (2, None)), 1);
    assert_eq!(lost(false, (3, None)), 1, "the term is there, the vote is not");
    assert_eq!(lost(false, (3, Some(1))), 0, "the crash kept it");
    assert_eq!(lost(true, (2, None)), 0, "a disk that forgets is another matter");
    let gone_on = |synced: bool, found| {
        met(Situation::VoteLost, |run| {
            run.term(2, 3).vote(2, 3, 1).term(2, 4);
            if synced {
                run.step(2, Event::Durable { term: 4, vote: None, last: at(0, 0) });
            }
            run.kill(2).start(2, 2, found, at(0, 0));
        })
    };
    assert_eq!(gone_on(false, (2, None)), 1, "it could vote in term 3 again");
    assert_eq!(gone_on(false, (4, None)), 0, "the crash kept the later term");
    assert_eq!(gone_on(true, (2, None)), 0, "the later term was on disk");
}

#[test]
fn restart_in_election() {
    let restart = |play: fn(&mut Run)| {
        met(Situation::RestartInElection, |run| {
            run.kill(5);
            play(run);
            run.start(5, 2, (0, None), at(0, 0));
        })
    };
    assert_eq!(restart(|run| _ = run.stand(1, 1)), 1);
    assert_eq!(restart(|run| _ = run.lead(1, 1, at(0, 0))), 0, "it is over");
    assert_eq!(restart(|run| _ = run.stand(1, 1).kill(1)), 0, "the candidate is gone");
}
