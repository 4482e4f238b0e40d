//! Subscriptions to the changes of the store: one request with many replies.
//!
//! A subscriber gets every change that this node applies from its subscription on, in order. What
//! waits for it is bounded: a subscriber that falls behind gets [`Notice::Lagged`] as its last
//! notice (or none, if not even that finds room), and must subscribe again and read what it missed.
//! So a slow subscriber never holds up the node, and a subscriber never misses a change without
//! knowing.

use std::{collections::BTreeSet, sync::Arc};

use crate::kv::Change;

/// Names a subscription within one boot; chosen by the driver, never reused.
pub type SubscriptionId = u64;

/// What a subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Changes, in the order in which they were made; shared among the subscribers.
    Changes(Arc<[Change]>),
    /// More changed than may wait: the subscription is over.
    Lagged,
}

/// The subscriptions that are open.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeSet<SubscriptionId>);

impl Subscriptions {
    pub(super) fn open(&mut self, id: SubscriptionId) {
        self.0.insert(id);
    }

    pub(super) fn close(&mut self, id: SubscriptionId) {
        self.0.remove(&id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds changes to the notices that wait. Of one subscription no more than `most` changes wait;
    /// it ends when there are more.
    pub(super) fn publish(
        &mut self,
        changes: Vec<Change>,
        most: usize,
        notices: &mut Vec<(SubscriptionId, Notice)>,
    ) {
        if changes.is_empty() {
            return;
        }
        let batch: Arc<[Change]> = changes.into();
        self.0.retain(|&id| {
            let of_this = notices.iter().filter(|(subscription, _)| *subscription == id);
            let waits: usize = of_this.map(|(_, notice)| notice.len()).sum();
            let room = waits + batch.len() <= most;
            let notice = if room { Notice::Changes(batch.clone()) } else { Notice::Lagged };
            notices.push((id, notice));
            room
        });
    }
}

impl Notice {
    fn len(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.len(),
            Self::Lagged => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn changes(revisions: &[i64]) -> Vec<Change> {
        let change = |&revision| Change { revision, key: Bytes::from_static(b"k"), value: None };
        revisions.iter().map(change).collect()
    }

    #[test]
    fn what_waits_is_bounded_and_who_lags_is_told_and_dropped() {
        let (mut subscriptions, mut notices) = (Subscriptions::default(), Vec::new());
        subscriptions.open(1);
        subscriptions.publish(changes(&[2, 3]), 3, &mut notices);
        subscriptions.open(2);
        subscriptions.publish(changes(&[4, 5]), 3, &mut notices);
        subscriptions.publish(changes(&[6]), 3, &mut notices);
        subscriptions.publish(changes(&[]), 3, &mut notices);
        let batch = |revisions| Notice::Changes(changes(revisions).into());
        let first = [(1, batch(&[2, 3])), (1, Notice::Lagged)];
        let second = [(2, batch(&[4, 5])), (2, batch(&[6]))];
        assert_eq!(notices, [first, second].concat());
        notices.clear();
        subscriptions.publish(changes(&[7, 8, 9]), 3, &mut notices);
        assert_eq!(notices, [(2, batch(&[7, 8, 9]))], "what left waits no more");
        subscriptions.close(2);
        assert!(subscriptions.is_empty());
    }
}
