//! What is generated from the `.proto` files.

macro_rules! generated {
    ($(#[$doc:meta])* $name:ident, $package:literal) => {
        $(#[$doc])*
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod $name {
            tonic::include_proto!($package);
        }
    };
}

// The generated code refers to its sibling packages by their protobuf names.
generated!(
    /// Package `etcdserverpb`: requests, replies, clients and servers of etcd's v3 API.
    etcdserverpb, "etcdserverpb"
);
generated!(
    /// Package `mvccpb`: etcd's key-value type.
    mvccpb, "mvccpb"
);
/// Packages below `raftlab`, which are this project's own.
pub mod raftlab {
    generated!(
        /// Package `raftlab.peer`: messages between nodes.
        peer, "raftlab.peer"
    );
    generated!(
        /// Package `raftlab.inspect`: a node's own account of its state.
        inspect, "raftlab.inspect"
    );
}
