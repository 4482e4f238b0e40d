//! The Raft safety properties on traces made by hand, right and wrong, and on random right ones.

mod holds;
mod integrity;
mod random;
mod script;
mod violations;
