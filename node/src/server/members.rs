//! Who the members of the cluster are, for `MemberList`.
//!
//! Ids and peer addresses come from the configuration. Names and client addresses are learned from
//! the peers themselves when they dial; a member that never did has none, which etcd (and so
//! `etcdctl`) calls "unstarted".

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use proto::etcd;

use super::Config;
use crate::raft::NodeId;

/// The members, with what is known of them by now.
#[derive(Debug)]
pub(super) struct Members(Mutex<BTreeMap<NodeId, etcd::Member>>);

impl Members {
    /// All members; of the others, names and client addresses are not known yet.
    pub(super) fn new(config: &Config) -> Self {
        let members = config.cluster.iter().map(|(&id, peer)| {
            let peer_urls = vec![format!("http://{peer}")];
            (id, etcd::Member { id, peer_ur_ls: peer_urls, ..Default::default() })
        });
        let members = Self(Mutex::new(members.collect()));
        members.learn(config.id, &config.name, &config.client_url);
        members
    }

    /// Notes what a member says of itself.
    pub(super) fn learn(&self, id: NodeId, name: &str, client_url: &str) {
        let mut members = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = members.get_mut(&id) {
            member.name = name.to_owned();
            member.client_ur_ls = vec![client_url.to_owned()];
        }
    }

    /// All members, by id.
    pub(super) fn list(&self) -> Vec<etcd::Member> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
