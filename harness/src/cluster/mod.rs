//! Where nodes live.
//!
//! - [`docker`]: containers on this machine, broken with the kernel's own means;
//! - [`sim`]: one process, in virtual time.

pub mod docker;
pub mod sim;
