//! What clients ask for. Each call is described once, in a file of its own: an implementation of
//! [`Call`]. A new call is that file, its messages in `proto`, and a line in the list below.
//!
//! # Where a request is checked
//! A replica checks a request before it proposes it, which saves a useless proposal. The gate is
//! the store: it checks each command again as it applies it, since other nodes may propose
//! anything.

mod delete_range;
mod put;
mod range;
mod txn;

use bytes::Bytes;
use prost::Message;
use proto::{etcd, peer::command};

pub use self::txn::OPERATIONS_MAX;
use super::{Error, history::History};

/// One kind of request.
pub(super) trait Call: Message {
    /// What the client gets.
    type Response;

    /// What makes it malformed, whatever the state: etcd's checks (`v3rpc/key.go`), in etcd's
    /// order. An inverted range is well-formed and empty, as in etcd.
    fn check(&self) -> Result<(), Error>;

    /// Whether it writes nothing, whatever the state. Then it is never replicated.
    fn is_read(&self) -> bool {
        false
    }

    /// Whether a read may be served from a node's present state, however old.
    fn is_serializable(&self) -> bool {
        false
    }

    /// Answers a well-formed read.
    fn read(&self, _: &History) -> Result<Self::Response, Error> {
        Err(Error::NotARead)
    }

    /// Applies a well-formed request, and notes the changes in `effects`. An error has changed
    /// nothing.
    fn apply(&self, history: &mut History, effects: &mut Vec<u8>) -> Result<Self::Response, Error>;
}

/// Requests and responses of all calls, and what is asked of each. Those in `commands` have a
/// variant of the same name in [`command::Request`].
macro_rules! calls {
    (
        reads { $($(#[$read_doc:meta])* $read:ident: $read_request:ident => $read_response:ident;)* }
        commands { $($(#[$doc:meta])* $call:ident: $request:ident => $response:ident;)* }
    ) => {
        /// What a client asks for.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $($(#[$read_doc])* $read(etcd::$read_request),)*
            $($(#[$doc])* $call(etcd::$request),)*
        }

        /// What a client gets. Of the header the store fills in `revision` alone; the replica adds
        /// the rest.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Response {
            $(#[doc = concat!("Answers [`Request::", stringify!($read), "`].")]
            $read(etcd::$read_response),)*
            $(#[doc = concat!("Answers [`Request::", stringify!($call), "`].")]
            $call(etcd::$response),)*
        }

        impl Request {
            /// Whether a request is well-formed, before it is proposed: etcd's checks and status
            /// texts. The size of a request is the replica's concern.
            ///
            /// # Errors
            ///
            /// The first fault found. None depends on the state of the store.
            pub fn check(&self) -> Result<(), Error> {
                match self {
                    $(Self::$read(request) => request.check(),)*
                    $(Self::$call(request) => request.check(),)*
                }
            }

            /// Whether a request writes nothing, whatever the state.
            pub fn is_read(&self) -> bool {
                match self {
                    $(Self::$read(request) => request.is_read(),)*
                    $(Self::$call(request) => request.is_read(),)*
                }
            }

            /// Whether a read may be served from a node's present state, however old.
            pub fn is_serializable(&self) -> bool {
                match self {
                    $(Self::$read(request) => request.is_serializable(),)*
                    $(Self::$call(request) => request.is_serializable(),)*
                }
            }

            /// Bytes of the request, encoded.
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(Self::$read(request) => request.encoded_len(),)*
                    $(Self::$call(request) => request.encoded_len(),)*
                }
            }

            /// The request as a command for the log; none for a call that only reads.
            pub fn into_command(self) -> Option<command::Request> {
                match self {
                    $(Self::$read(_) => None,)*
                    $(Self::$call(request) => Some(command::Request::$call(request)),)*
                }
            }

            /// Answers a well-formed request that writes nothing.
            pub(super) fn read(&self, history: &History) -> Result<Response, Error> {
                match self {
                    $(Self::$read(request) => request.read(history).map(Response::$read),)*
                    $(Self::$call(request) => request.read(history).map(Response::$call),)*
                }
            }
        }

        impl Response {
            /// The response's header.
            pub fn header_mut(&mut self) -> &mut Option<etcd::ResponseHeader> {
                match self {
                    $(Self::$read(response) => &mut response.header,)*
                    $(Self::$call(response) => &mut response.header,)*
                }
            }

            /// Bytes of the response, encoded.
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(Self::$read(response) => response.encoded_len(),)*
                    $(Self::$call(response) => response.encoded_len(),)*
                }
            }
        }

        /// Checks and applies what a command asks for. An error has changed nothing.
        pub(super) fn apply(
            command: &command::Request,
            history: &mut History,
            effects: &mut Vec<u8>,
        ) -> Result<Response, Error> {
            match command {
                $(command::Request::$call(request) => {
                    request.check()?;
                    request.apply(history, effects).map(Response::$call)
                })*
            }
        }
    };
}

calls! {
    reads {
        /// A read, linearizable unless it says `serializable`.
        Range: RangeRequest => RangeResponse;
    }
    commands {
        /// Writes one key.
        Put: PutRequest => PutResponse;
        /// Deletes keys.
        DeleteRange: DeleteRangeRequest => DeleteRangeResponse;
        /// Compares, then one of two lists of operations. Without any write it is served as a read.
        Txn: TxnRequest => TxnResponse;
    }
}

/// Refuses an empty key.
fn key_given(key: &Bytes) -> Result<(), Error> {
    if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}
