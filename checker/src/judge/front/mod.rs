//! Front ends of the models, one a file: each has a function `check` that decides whole histories.

pub mod bank;
pub mod etcd;
pub mod kv;
pub mod lock;
pub mod queue;
pub mod register;
pub mod set;
