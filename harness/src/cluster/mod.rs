//! Where nodes live.
//!
//! - [`docker`]: containers on this machine, broken with the kernel's own means;
//! - [`sim`]: one process, in virtual time: replicas without their servers;
//! - [`in_process`]: the same with the whole servers;
//! - `clients`, `watch`: gRPC clients of nodes, and what nodes say of themselves.

mod clients;
pub mod docker;
pub mod in_process;
pub mod sim;
mod watch;

use std::sync::atomic::AtomicBool;

use anyhow::anyhow;

use self::sim::{Observer, Simulation};
use crate::{
    nemesis::Fault,
    plan::{ClusterKind, Plan},
};

/// Runs a plan in virtual time, in-process where its cluster is, else in simulation; gives its
/// observer back. A simulated node that never returns ends the run: then there is no evidence but
/// that, and no observer. When `stop` becomes true the run ends early, and says so. `inert`: faults
/// are recorded and not carried out.
pub fn simulate_guarded<O: Observer + Send + 'static>(
    plan: &Plan,
    inert: bool,
    observer: Option<O>,
    stop: &AtomicBool,
) -> (Simulation, Option<O>) {
    match plan.cluster {
        ClusterKind::InProcess => {
            let mut observer = observer;
            let seen = observer.as_mut().map(|it| it as &mut dyn Observer);
            (in_process::simulate(plan, inert, seen, stop), observer)
        }
        ClusterKind::Sim | ClusterKind::Docker => {
            sim::simulate_guarded(plan, inert, observer, stop)
        }
    }
}

/// The same on this thread, which a node that never returns holds up for ever.
pub fn simulate(plan: &Plan, stop: &AtomicBool) -> Simulation {
    match plan.cluster {
        ClusterKind::InProcess => in_process::simulate(plan, false, None, stop),
        ClusterKind::Sim | ClusterKind::Docker => sim::simulate(plan, stop),
    }
}

/// The same, before the eyes of an observer. It changes nothing.
pub fn simulate_observed(
    plan: &Plan,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Simulation {
    match plan.cluster {
        ClusterKind::InProcess => in_process::simulate(plan, false, Some(observer), stop),
        ClusterKind::Sim | ClusterKind::Docker => sim::simulate_observed(plan, stop, observer),
    }
}

/// The same, but that faults are recorded and not carried out: to test that the lack of proof is
/// noticed.
#[doc(hidden)]
pub fn simulate_inert(plan: &Plan, stop: &AtomicBool) -> Simulation {
    match plan.cluster {
        ClusterKind::InProcess => in_process::simulate(plan, true, None, stop),
        ClusterKind::Sim | ClusterKind::Docker => sim::simulate_inert(plan, stop),
    }
}

/// Whether the nodes of such a cluster can suffer a fault.
///
/// # Errors
/// They cannot; says why, and what to do.
pub fn supports(cluster: ClusterKind, fault: &Fault) -> Result<(), String> {
    match cluster {
        ClusterKind::Docker => docker::hands::supports(fault),
        ClusterKind::Sim => sim::supports(fault),
        ClusterKind::InProcess => in_process::supports(fault),
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
