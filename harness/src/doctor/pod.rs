//! What the kernel lets a pod do: tried, not asked.

use anyhow::{Context, Result};
use bollard::Docker;

use super::Line;
use crate::cluster::docker::Sandbox;

/// `tc` by its path: busybox has a lesser one built into its shell. Each line of the output is
/// `<name> <outcome>`, the outcome `ok` or the reason.
const SCRIPT: &str = r#"
try() { # name, command...
  name=$1; shift
  if out=$("$@" 2>&1); then echo "$name ok"; else echo "$name $(echo "$out" | tail -n 1)"; fi
}
try nft iptables-nft -w -A INPUT -s 198.18.0.1 -m comment --comment doctor -j DROP
try legacy iptables-legacy -w -A INPUT -s 198.18.0.1 -m comment --comment doctor -j DROP
flavour=legacy
iptables-nft -w -S INPUT >/dev/null 2>&1 && flavour=nft
try statistic iptables-$flavour -w -A INPUT -s 198.18.0.1 \
  -m statistic --mode random --probability 0.5 -j DROP
try nfqueue iptables-$flavour -w -A INPUT -s 198.18.0.1 -j NFQUEUE --queue-num 0
try netem /sbin/tc qdisc add dev lo root netem delay 1ms
true
"#;

/// Tries everything in a pod of its own.
pub(super) async fn examine(docker: &Docker, image: &str) -> Vec<Line> {
    match try_all(docker, image).await {
        Ok(lines) => lines,
        Err(error) => vec![Line::fail("pod", format!("{error:#}"))],
    }
}

async fn try_all(docker: &Docker, image: &str) -> Result<Vec<Line>> {
    let sandbox = Sandbox::create(docker, image, "doctor").await?;
    let outcome = async {
        let report = sandbox.run(SCRIPT).await.context("trying the kernel's features")?;
        let mut lines = findings(&report);
        lines.push(match sandbox.freeze_and_thaw().await {
            Ok(()) => Line::ok("freezer", "a container pauses and goes on"),
            Err(error) => Line::fail(
                "freezer",
                format!("{error:#}; the fault `pause` needs the cgroup freezer"),
            ),
        });
        Ok(lines)
    }
    .await;
    sandbox.destroy().await?;
    outcome
}

fn findings(report: &str) -> Vec<Line> {
    let outcome = |name: &str| {
        report
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or("was not tried")
    };
    let flavour = match (outcome("nft"), outcome("legacy")) {
        ("ok", _) => Line::ok("iptables", "flavour nft works in a pod"),
        (_, "ok") => Line::ok("iptables", "flavour legacy works in a pod; nft does not"),
        (nft, legacy) => Line::fail(
            "iptables",
            format!(
                "no flavour works in a pod, so there can be no partitions. nft: {nft}. legacy: \
                 {legacy}. Try `sudo modprobe nf_tables nft_compat xt_comment`"
            ),
        ),
    };
    let mut lines = vec![flavour];
    for (name, title, purpose) in [
        (
            "statistic",
            "packet loss",
            "lossy links need xt_statistic (`sudo modprobe xt_statistic`)",
        ),
        ("netem", "netem", "delays will need it (`sudo modprobe sch_netem`) or NFQUEUE"),
        ("nfqueue", "NFQUEUE", "delays without netem need it (`sudo modprobe xt_NFQUEUE`)"),
    ] {
        lines.push(match outcome(name) {
            "ok" => Line::ok(title, "works in a pod"),
            reason => Line::warn(title, format!("does not work in a pod ({reason}); {purpose}")),
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{super::Status, *};

    #[test]
    fn reasons_reach_the_reader() {
        let lines = findings("nft No such file\nlegacy ok\nstatistic ok\nnetem RTNETLINK: no\n");
        let statuses: Vec<Status> = lines.iter().map(|line| line.status).collect();
        assert_eq!(statuses, [Status::Ok, Status::Ok, Status::Warn, Status::Warn]);
        assert!(lines[0].text.contains("legacy"));
        assert!(lines[2].text.contains("RTNETLINK: no"), "{}", lines[2].text);
        assert!(lines[3].text.contains("was not tried"));
        assert_eq!(findings("nft a\nlegacy b\n")[0].status, Status::Fail);
    }
}
