//! Where nodes live.
//!
//! - [`docker`]: containers on this machine, broken with the kernel's own means.

pub mod docker;
