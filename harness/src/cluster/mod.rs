//! Where nodes live.
//!
//! - [`docker`]: containers on this machine, broken with the kernel's own means;
//! - [`sim`]: one process, in virtual time.

pub mod docker;
pub mod sim;

use anyhow::anyhow;

use crate::{
    nemesis::Fault,
    plan::{ClusterKind, Plan},
};

/// Whether the nodes of such a cluster can suffer a fault.
///
/// # Errors
/// They cannot; says why, and what to do.
pub fn supports(cluster: ClusterKind, fault: &Fault) -> Result<(), String> {
    match cluster {
        ClusterKind::Docker => docker::hands::supports(fault),
        ClusterKind::Sim => sim::supports(fault),
    }
}

/// Whether a plan's cluster can suffer all its faults.
///
/// # Errors
/// The first that it cannot, and why.
pub fn check(plan: &Plan) -> anyhow::Result<()> {
    for (number, injection) in plan.faults.iter().enumerate() {
        supports(plan.cluster, &injection.fault).map_err(|why| anyhow!("fault {number}: {why}"))?;
    }
    Ok(())
}
