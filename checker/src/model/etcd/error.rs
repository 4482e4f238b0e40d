//! Refusals that say something: about the request, or about the store.

/// Why etcd refuses a request, which then changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A key is empty.
    EmptyKey,
    /// A put keeps what a key has that does not exist.
    KeyNotFound,
    /// A put has a value and `ignore_value`.
    ValueProvided,
    /// A put has a lease and `ignore_lease`.
    LeaseProvided,
    /// A put names a lease, and there is none.
    LeaseNotFound,
    /// A transaction has too many compares or requests.
    TooManyOperations,
    /// A transaction changes a key twice.
    DuplicateKey,
    /// A read at a revision that does not exist yet.
    FutureRevision,
    /// A read at a revision that is forgotten.
    Compacted,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 9] = [
        Self::EmptyKey,
        Self::KeyNotFound,
        Self::ValueProvided,
        Self::LeaseProvided,
        Self::LeaseNotFound,
        Self::TooManyOperations,
        Self::DuplicateKey,
        Self::FutureRevision,
        Self::Compacted,
    ];

    /// etcd's words.
    pub fn text(self) -> &'static str {
        match self {
            Self::EmptyKey => "etcdserver: key is not provided",
            Self::KeyNotFound => "etcdserver: key not found",
            Self::ValueProvided => "etcdserver: value is provided",
            Self::LeaseProvided => "etcdserver: lease is provided",
            Self::LeaseNotFound => "etcdserver: requested lease not found",
            Self::TooManyOperations => "etcdserver: too many operations in txn request",
            Self::DuplicateKey => "etcdserver: duplicate key given in txn request",
            Self::FutureRevision => "etcdserver: mvcc: required revision is a future revision",
            Self::Compacted => "etcdserver: mvcc: required revision has been compacted",
        }
    }

    /// The refusal that an error names: a gRPC code, and etcd's words. None for every other error,
    /// which says nothing of the store.
    pub fn of(error: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| error.ends_with(refusal.text()))
    }
}
