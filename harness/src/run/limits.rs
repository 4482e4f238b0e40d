//! What a run must reach, in containers and in simulation alike.

use std::time::Duration;

use checker::evidence::Expect;

use crate::{plan::Plan, workload::Workload};

/// Every node must serve within this time after the last heal.
pub(crate) const RECOVERY: Duration = Duration::from_secs(10);
/// So much longer the harness waits for it, to be able to say how long it took.
pub(crate) const GRACE: Duration = Duration::from_secs(5);
/// Every node must have applied everything within this time after the last operation.
pub(crate) const CATCH_UP: Duration = Duration::from_secs(10);

/// What the checker expects of a run of this plan.
pub(crate) fn expect(plan: &Plan) -> Expect {
    // Far below what a healthy cluster does, and more than one that only pretends to.
    let operations = match &plan.workload {
        Workload::Register(_) => {
            let asked = if plan.load.rate == 0 { u64::MAX } else { plan.load.rate };
            let operations = plan.time.as_secs().saturating_mul(asked) / 4;
            operations.min(5 * plan.time.as_secs())
        }
        // Few, and begun under faults: what matters is that any succeeded.
        Workload::Script(_) => 1,
    };
    Expect { recovery: RECOVERY, operations, faults: plan.faults.len() }
}
