//! The thin shell around a replica.
