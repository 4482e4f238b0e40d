//! Why the store refuses.

use tonic::Code;

/// Why the store refuses a request, which then changes no key. Texts and gRPC codes are etcd's
/// where etcd has the case.
///
/// Every error but the two of sessions that [`Error::outcome_unknown`] names says that the request
/// certainly had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A key is empty.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// A put keeps the old value (or lease) of a key that does not exist; or an operation of a
    /// transaction is none of those known, for which etcd has the same text.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// A put has a value and `ignore_value`.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// A put has a lease and `ignore_lease`.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// A put names a lease; the store has none.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// A range has an unknown sort order or target.
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    /// A transaction has more than [`super::OPERATIONS_MAX`] compares, or operations in a branch,
    /// or is nested too deep.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOperations,
    /// A transaction changes a key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// A read at a revision that does not exist yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// A command without a request: a newer node's, or a damaged one.
    #[error("the command carries no request that this node knows")]
    NoRequest,
    /// A request that writes was to be served as a read.
    #[error("the request writes, so it cannot be served as a read")]
    NotARead,
    /// The id of a session is empty or longer than [`super::SESSION_ID_BYTES_MAX`], or the
    /// sequence number is 0.
    #[error("a session needs an id of 1 to 128 bytes and sequence numbers from 1")]
    InvalidSession,
    /// The session already went on to a later command. An earlier attempt of this command may have
    /// been applied.
    #[error(
        "the session went on to command {last}, so the result of command {sequence} is forgotten"
    )]
    SessionAhead {
        /// The sequence number of this command.
        sequence: u64,
        /// The session's last one.
        last: u64,
    },
    /// The session is not known, though this is not its first command: it was unused for so long
    /// that it was forgotten. An earlier attempt of this command may have been applied.
    #[error("the session is unknown or was forgotten; begin a new one with sequence number 1")]
    SessionExpired,
}

impl Error {
    /// The gRPC code.
    pub fn code(&self) -> Code {
        match self {
            Self::EmptyKey
            | Self::KeyNotFound
            | Self::ValueProvided
            | Self::LeaseProvided
            | Self::InvalidSortOption
            | Self::TooManyOperations
            | Self::DuplicateKey
            | Self::NoRequest
            | Self::InvalidSession => Code::InvalidArgument,
            Self::LeaseNotFound => Code::NotFound,
            Self::FutureRevision => Code::OutOfRange,
            Self::NotARead => Code::Internal,
            Self::SessionAhead { .. } | Self::SessionExpired => Code::FailedPrecondition,
        }
    }

    /// Whether an earlier attempt of the same command of the same session may have had an effect,
    /// so that a client must take the outcome for unknown.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Self::SessionAhead { .. } | Self::SessionExpired)
    }
}
