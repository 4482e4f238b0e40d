//! What clients may ask, and what they are told when they may not.

use proto::etcd;
use tonic::{
    Code, Request, Status,
    codegen::http::uri::PathAndQuery,
    metadata::{AsciiMetadataKey, MetadataValue},
};

use crate::cluster::{Cluster, eventually, put, range};

#[track_caller]
fn assert_refused(status: Status, code: Code, text: &str) {
    assert_eq!((status.code(), status.message()), (code, text));
    assert_eq!(status.metadata().get("raft-outcome").unwrap(), "none", "{status:?}");
}

#[tokio::test]
async fn a_follower_forwards_writes_and_reads() {
    let cluster = Cluster::started(3).await;
    let follower = cluster.follower().await;
    let mut kv = cluster.kv(follower).await;
    let written = kv.put(put("k", "v")).await.unwrap().into_inner().header.unwrap();
    assert_eq!((written.member_id, written.revision), (follower, 2));
    assert_ne!(written.cluster_id, 0);
    assert!(written.raft_term >= 1);
    let read = kv.range(range("k")).await.unwrap().into_inner();
    assert_eq!(&read.kvs[0].value[..], b"v");
    assert_eq!(read.header.unwrap().revision, 2);
}

/// Nothing but the log subscribes to changes yet.
#[tokio::test]
async fn changes_are_logged_at_level_debug() {
    let mut cluster = Cluster::new(1).with_flags(&["--log=debug"]);
    cluster.start_all();
    cluster.leader().await;
    cluster.put(1, "k", "v").await;
    let delete = etcd::DeleteRangeRequest { key: "k".into(), ..Default::default() };
    cluster.kv(1).await.delete_range(delete).await.unwrap();
    eventually("log of the changes", async || {
        let log = cluster.log(1);
        let changes = ["applied k=v at revision 2", "applied k deleted at revision 3"];
        if changes.iter().all(|change| log.contains(change)) { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn bad_requests_get_etcds_codes_and_have_no_effect() {
    let cluster = Cluster::started(1).await;
    let mut kv = cluster.kv(1).await;
    let no_key = "etcdserver: key is not provided";
    let invalid = Code::InvalidArgument;
    assert_refused(kv.put(put("", "v")).await.unwrap_err(), invalid, no_key);
    assert_refused(kv.range(range("")).await.unwrap_err(), invalid, no_key);
    let delete = etcd::DeleteRangeRequest::default();
    assert_refused(kv.delete_range(delete).await.unwrap_err(), invalid, no_key);

    let mut valued = put("k", "v");
    valued.ignore_value = true;
    assert_refused(kv.put(valued).await.unwrap_err(), invalid, "etcdserver: value is provided");
    let mut sorted = range("k");
    sorted.sort_order = 77;
    assert_eq!(kv.range(sorted).await.unwrap_err().code(), invalid);
    let mut future = range("k");
    future.revision = 1000;
    let text = "etcdserver: mvcc: required revision is a future revision";
    assert_refused(kv.range(future).await.unwrap_err(), Code::OutOfRange, text);

    let one = |key: &str| etcd::RequestOp {
        request: Some(etcd::request_op::Request::RequestPut(put(key, "v"))),
    };
    let twice = etcd::TxnRequest { success: vec![one("k"), one("k")], ..Default::default() };
    let text = "etcdserver: duplicate key given in txn request";
    assert_refused(kv.txn(twice).await.unwrap_err(), invalid, text);
    let many = (0..200).map(|n| one(&n.to_string())).collect();
    let many = etcd::TxnRequest { success: many, ..Default::default() };
    let text = "etcdserver: too many operations in txn request";
    assert_refused(kv.txn(many).await.unwrap_err(), invalid, text);

    // The store is as it was: revision 1, no key.
    let mut all = range("\0");
    all.range_end = "\0".into();
    let read = kv.range(all).await.unwrap().into_inner();
    assert_eq!((read.count, read.header.unwrap().revision), (0, 1));
}

#[tokio::test]
async fn requests_have_a_size_limit() {
    let cluster = Cluster::started(3).await;
    let follower = cluster.follower().await;
    let mut kv = cluster.kv(follower).await;
    let sized = |bytes: usize| put("k", &"v".repeat(bytes));
    kv.put(sized(1_500_000)).await.unwrap();
    let text = "etcdserver: request is too large";
    assert_refused(kv.put(sized(1_600_000)).await.unwrap_err(), Code::InvalidArgument, text);
    let refused = kv.put(sized(3_000_000)).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.metadata().get("raft-outcome").unwrap(), "none");
    assert_eq!(cluster.get(follower, "k").await.unwrap().len(), 1_500_000);
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    let cluster = Cluster::started(1).await;
    for path in [
        "/etcdserverpb.Lease/LeaseGrant",
        "/etcdserverpb.Watch/Watch",
        "/etcdserverpb.Auth/AuthEnable",
        "/etcdserverpb.KV/Compact",
        "/etcdserverpb.Cluster/MemberAdd",
        "/etcdserverpb.Maintenance/Snapshot",
        "/no.such.Service/Call",
    ] {
        let mut client = tonic::client::Grpc::new(cluster.channel(1).await);
        client.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<etcd::StatusRequest, etcd::StatusResponse>::default();
        let request = Request::new(etcd::StatusRequest {});
        let answer = client.unary(request, PathAndQuery::from_static(path), codec).await;
        let status = answer.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(status.metadata().get("raft-outcome").unwrap(), "none", "{path}");
    }
}

fn with_session<T>(message: T, id: &str, sequence: &str) -> Request<T> {
    let mut request = Request::new(message);
    for (key, value) in [("raft-session-id", id), ("raft-session-sequence", sequence)] {
        if !value.is_empty() {
            let key = AsciiMetadataKey::from_static(key);
            request.metadata_mut().insert(key, MetadataValue::try_from(value).unwrap());
        }
    }
    request
}

#[tokio::test]
async fn a_session_makes_a_retry_take_effect_once() {
    let cluster = Cluster::started(3).await;
    for id in cluster.ids() {
        let mut kv = cluster.kv(id).await;
        // The same command by way of each node: only the first counts.
        let request = with_session(put("k", &id.to_string()), "client", "1");
        let header = kv.put(request).await.unwrap().into_inner().header.unwrap();
        assert_eq!(header.revision, 2);
    }
    let mut kv = cluster.kv(2).await;
    let next = with_session(put("k", "next"), "client", "2");
    assert_eq!(kv.put(next).await.unwrap().into_inner().header.unwrap().revision, 3);
    for (id, sequence) in [("client", ""), ("", "3"), ("client", "0"), ("client", "x")] {
        let refused = kv.put(with_session(put("k", "v"), id, sequence)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    assert_eq!(cluster.get(1, "k").await.as_deref(), Some("next"));
}

#[tokio::test]
async fn a_client_that_goes_away_takes_nothing_with_it() {
    let cluster = Cluster::started(3).await;
    let leader = cluster.leader().await;
    for n in 0..200 {
        let mut kv = cluster.kv(leader).await;
        let call = tokio::spawn(async move { kv.put(put(&format!("k{n}"), "v")).await });
        tokio::task::yield_now().await;
        call.abort();
    }
    cluster.put(leader, "last", "v").await;
    assert_eq!(cluster.get(leader, "last").await.as_deref(), Some("v"));
}

#[tokio::test]
async fn hashes_differ_by_revision_and_agree_between_nodes() {
    let cluster = Cluster::started(3).await;
    for n in 0..3 {
        cluster.put(1, "k", &n.to_string()).await;
    }
    let mut by_node = Vec::new();
    for id in cluster.ids() {
        // A linearizable read makes sure that the node has applied the writes.
        cluster.get(id, "k").await;
        let mut maintenance = cluster.maintenance(id).await;
        let mut hashes = Vec::new();
        for revision in [2, 3, 4, 0] {
            let answer = maintenance.hash_kv(etcd::HashKvRequest { revision }).await.unwrap();
            hashes.push(answer.into_inner().hash);
        }
        by_node.push(hashes);
        let future = maintenance.hash_kv(etcd::HashKvRequest { revision: 99 }).await;
        assert_eq!(future.unwrap_err().code(), Code::OutOfRange);
    }
    assert_eq!(by_node[0], by_node[1]);
    assert_eq!(by_node[0], by_node[2]);
    let [second, third, fourth, latest] = by_node[0][..] else { panic!("{by_node:?}") };
    assert_eq!(fourth, latest);
    assert!(second != third && third != fourth, "{by_node:?}");
}
