//! Money: every read has the same total, no account holds less than nothing, and every balance is
//! what the transfers before it made.

use super::{Bank, Entry, Known, OPENING, State, Transfer};
use crate::{
    history::generic::Outcome,
    text::count,
    verdict::{Property, Tally},
};

/// Name of the property.
const NAME: &str = "balances";

impl Bank<'_> {
    /// Counts the money in every answer.
    pub(super) fn balances(&self) -> Property {
        let mut tally = Tally::default();
        let reads = self.entries.iter().filter(|entry| entry.is_read()).count();
        for (by, entry) in self.entries.iter().enumerate() {
            if entry.is_read() {
                self.total(by, entry, &mut tally);
            }
            self.overdrafts(by, entry, &mut tally);
            self.refusal(by, entry, &mut tally);
        }
        self.counts(&mut tally);
        self.sums(&mut tally);
        if reads == 0 {
            tally.undecided(|| "that no read of all accounts was answered".into());
        }
        let examined =
            format!("{} of {}", count(reads, "read"), count(self.accounts.len(), "account"));
        tally.property(NAME, &examined, "observation")
    }

    /// What some accounts have more than they began with, others must have less.
    fn total(&self, by: usize, entry: &Entry<'_>, tally: &mut Tally) {
        let states = entry.seen.iter().flatten();
        let surplus: i128 =
            states.map(|(_, state)| i128::from(state.balance) - i128::from(OPENING)).sum();
        if surplus == 0 {
            return;
        }
        tally.violated(|| {
            let accounts = self.accounts.len();
            let total = i128::from(OPENING) * accounts as i128;
            let summary = format!(
                "the {} had {total} at the beginning, and {} in the read of {}",
                count(accounts, "account"),
                total + surplus,
                self.say(by)
            );
            self.violation("total", summary, &[by])
        });
    }

    fn overdrafts(&self, by: usize, entry: &Entry<'_>, tally: &mut Tally) {
        for (account, state) in entry.seen.iter().flatten().filter(|(_, it)| it.balance < 0) {
            tally.violated(|| {
                let balance = state.balance;
                let summary = format!("account {account} holds {balance}, says {}", self.say(by));
                self.violation("overdraft", summary, &[by])
            });
        }
    }

    /// A transfer is refused only if the account that is to pay holds less.
    fn refusal(&self, by: usize, entry: &Entry<'_>, tally: &mut Tally) {
        let Some(transfer) = &entry.transfer else { return };
        let refused = matches!(entry.source.outcome, Outcome::Failed { .. });
        let held = entry.before(transfer.from).map_or(OPENING, |state| state.balance);
        if !refused || entry.seen.is_none() || held < transfer.amount {
            return;
        }
        tally.violated(|| {
            let Transfer { number, from, amount, .. } = transfer;
            let summary = format!(
                "{} refused transfer {number} of {amount} although account {from} held {held}",
                self.say(by)
            );
            self.violation("refusal", summary, &[by])
        });
    }

    /// No account was changed more often than clients asked for.
    fn counts(&self, tally: &mut Tally) {
        let changes = self.changes();
        for (account, Known { state, by, .. }) in self.told().filter(|(_, known)| !known.made) {
            let most = changes.get(account).copied().unwrap_or_default();
            if state.transfers <= most {
                continue;
            }
            tally.violated(|| {
                let summary = format!(
                    "account {account} was changed by {} transfers, says {}, and clients asked for \
                     {most}",
                    state.transfers,
                    self.say(by)
                );
                self.violation("count", summary, &[by])
            });
        }
    }

    /// A state has one balance, and it is that of the state before it and one transfer. Whether two
    /// states of one count had different transfers last is a question of their order.
    fn sums(&self, tally: &mut Tally) {
        let (places, transfers) = (self.places(), self.transfers());
        for (account, known) in self.told() {
            let State { balance, transfers: number, last } = known.state;
            let place = |number| places.get(account).and_then(|places| places.get(&number));
            let differs =
                |other: &&Known| other.state.last == last && other.state.balance != balance;
            if let Some(other) = place(number).filter(differs) {
                let (say, than) = (self.say(known.by), self.say(other.by));
                tally.violated(|| {
                    let summary = format!(
                        "account {account} holds {balance} after transfer {last}, says {say}, and \
                         {}, says {than}",
                        other.state.balance
                    );
                    self.violation("balance", summary, &[known.by, other.by])
                });
            }
            // What a transfer made was worked out from what it found.
            let Some((entry, transfer)) = transfers.get(&last).filter(|_| !known.made) else {
                continue;
            };
            let (before, by) = match (entry.before(account), &entry.seen) {
                (Some(state), _) if state.transfers == number - 1 => (state.balance, None),
                // It says that it was another one than this account says.
                (Some(_), _) => continue,
                (None, _) if number == 1 => (OPENING, None),
                (None, Some(_)) => continue,
                (None, None) => match place(number - 1) {
                    Some(it) => (it.state.balance, Some(it.by)),
                    None => continue,
                },
            };
            if transfer.applied(account, before) == Some(balance) {
                continue;
            }
            let say = self.say(known.by);
            tally.violated(|| {
                let Transfer { from, to, amount, .. } = transfer;
                let summary = format!(
                    "account {account} held {before}, and {balance} after transfer {last} of \
                     {amount} from {from} to {to}, says {say}"
                );
                let concerned: Vec<usize> = by.into_iter().chain([known.by]).collect();
                self.violation("balance", summary, &concerned)
            });
        }
    }
}
