//! A network for a cluster: a free /24 of 198.18.0.0/15.
//!
//! RFC 2544 sets 198.18.0.0/15 aside for benchmarks, so no office network or VPN uses it. Each
//! cluster starts looking at a place that its run's id decides, so that clusters that start at
//! once rarely ask for the same one; if they do, the daemon refuses the second, which moves on.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use bollard::{
    Docker,
    errors::Error,
    models::{Ipam, IpamConfig, NetworkCreateRequest},
};

use super::label;
use crate::nemesis::NodeId;

/// 198.18.0.0/15 has so many networks of 256 addresses.
const NETWORKS: u32 = 512;

/// Node n has host number 10 + n; the first ten are left to the gateway and to guests.
const FIRST_HOST: u8 = 10;

/// 256 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet(u32);

impl Subnet {
    fn nth(n: u32) -> Self {
        Self(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + 256 * (n % NETWORKS))
    }

    fn host(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from(self.0 + u32::from(number))
    }

    /// The address of a node's pod.
    pub(super) fn node(self, node: NodeId) -> Ipv4Addr {
        self.host(FIRST_HOST + u8::try_from(node).unwrap_or(u8::MAX - FIRST_HOST))
    }

    fn overlaps(self, base: u32, prefix: u32) -> bool {
        let mask = u32::MAX.checked_shl(32 - prefix.min(24)).unwrap_or(0);
        self.0 & mask == base & mask
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/24", self.host(0))
    }
}

/// Creates the run's network on a subnet that no other Docker network and no route uses.
pub(super) async fn create(docker: &Docker, name: &str, run: &str) -> Result<Subnet> {
    let mut taken = routes();
    let networks = docker
        .list_networks(None::<bollard::query_parameters::ListNetworksOptions>)
        .await
        .context("asking the Docker daemon for its networks")?;
    taken.extend(
        networks
            .into_iter()
            .filter_map(|network| network.ipam?.config)
            .flatten()
            .filter_map(|config| parse(&config.subnet?)),
    );
    let start = run.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        // FNV-1a: spreads ids that differ only in their last character.
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    for offset in 0..NETWORKS {
        let subnet = Subnet::nth(start.wrapping_add(offset));
        if taken.iter().any(|&(base, prefix)| subnet.overlaps(base, prefix)) {
            continue;
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".into()),
            ipam: Some(Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(subnet.to_string()),
                    gateway: Some(subnet.host(1).to_string()),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            labels: Some(label::labels(run)),
            ..Default::default()
        };
        match docker.create_network(request).await {
            Ok(_) => return Ok(subnet),
            Err(Error::DockerResponseServerError { message, .. })
                if message.contains("overlap") =>
            {
                tracing::debug!("{subnet} was taken meanwhile: {message}");
            }
            Err(error) => return Err(error).context("creating the cluster's network"),
        }
    }
    bail!(
        "all {NETWORKS} networks in 198.18.0.0/15 are in use. Remove what old runs left with \
         `harness gc`, or see `docker network ls`"
    )
}

/// Destinations in the machine's routing table, but for the default route.
fn routes() -> Vec<(u32, u32)> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let field = |text: Option<&str>| u32::from_str_radix(text?, 16).ok().map(u32::from_be);
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let base = field(fields.next())?;
            let mask = field(fields.nth(5))?;
            (mask != 0).then_some((base, mask.count_ones()))
        })
        .collect()
}

fn parse(subnet: &str) -> Option<(u32, u32)> {
    let (base, prefix) = subnet.split_once('/')?;
    Some((base.parse::<Ipv4Addr>().ok()?.into(), prefix.parse().ok().filter(|&p| p <= 32)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_stay_inside_the_benchmark_range() {
        assert_eq!(Subnet::nth(0).to_string(), "198.18.0.0/24");
        assert_eq!(Subnet::nth(511).to_string(), "198.19.255.0/24");
        assert_eq!(Subnet::nth(512), Subnet::nth(0));
        assert_eq!(Subnet::nth(3).node(5), Ipv4Addr::new(198, 18, 3, 15));
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let subnet = Subnet::nth(3);
        for (other, expected) in [
            ("198.18.3.0/24", true),
            ("198.18.3.128/25", true),
            ("198.18.0.0/15", true),
            ("0.0.0.0/0", true),
            ("198.18.4.0/24", false),
            ("172.17.0.0/16", false),
        ] {
            let (base, prefix) = parse(other).unwrap();
            assert_eq!(subnet.overlaps(base, prefix), expected, "{other}");
        }
    }
}
