//! Flags that change the node's limits. Small ones let a test reach them.

use std::time::Duration;

use crate::replica::Limits;

/// The limits that can be set; what is not given has its default.
#[derive(Debug, Default, clap::Args)]
pub(super) struct LimitFlags {
    /// Time after which a request that has no answer fails with an unknown outcome [default: 5s].
    #[arg(long, env = "RAFT_REQUEST_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    request_timeout: Option<Duration>,

    /// Bytes of a client's request; a larger one is refused [default: 1572864].
    #[arg(long, env = "RAFT_MAX_REQUEST_BYTES", value_name = "N")]
    max_request_bytes: Option<usize>,

    /// Requests of clients in flight; more are refused [default: 4096].
    #[arg(long, env = "RAFT_MAX_REQUESTS", value_name = "N")]
    max_requests: Option<usize>,

    /// Bytes of entries that a leader keeps uncommitted; more commands are refused, but one is
    /// always taken [default: 67108864].
    #[arg(long, env = "RAFT_MAX_UNCOMMITTED_BYTES", value_name = "N")]
    max_uncommitted_bytes: Option<usize>,

    /// Bytes of entries in one message to a peer; at least one entry is always sent [default:
    /// 1048576].
    #[arg(long, env = "RAFT_MAX_APPEND_BYTES", value_name = "N")]
    max_append_bytes: Option<usize>,

    /// Messages with entries that are in flight to one peer [default: 64].
    #[arg(long, env = "RAFT_APPEND_WINDOW", value_name = "N")]
    append_window: Option<usize>,
}

impl LimitFlags {
    /// The limits, checked.
    ///
    /// # Errors
    ///
    /// A sentence that says which flag is wrong and what it must be.
    pub(super) fn limits(&self) -> Result<Limits, String> {
        let usual = Limits::default();
        let number = |name: &str, given: Option<usize>, usual| match given {
            Some(0) => Err(format!("--{name} must be at least 1")),
            // Sums of limits are limits of packets.
            Some(most) if most > LARGEST => Err(format!("--{name} must be at most {LARGEST}")),
            given => Ok(given.unwrap_or(usual)),
        };
        let request_timeout = self.request_timeout.unwrap_or(usual.request_timeout);
        if request_timeout.is_zero() {
            return Err("--request-timeout must be more than nothing".into());
        }
        Ok(Limits {
            request_bytes: number(
                "max-request-bytes",
                self.max_request_bytes,
                usual.request_bytes,
            )?,
            requests: number("max-requests", self.max_requests, usual.requests)?,
            uncommitted_bytes: number(
                "max-uncommitted-bytes",
                self.max_uncommitted_bytes,
                usual.uncommitted_bytes,
            )?,
            append_bytes: number("max-append-bytes", self.max_append_bytes, usual.append_bytes)?,
            append_window: number("append-window", self.append_window, usual.append_window)?,
            request_timeout,
            ..usual
        })
    }
}

/// No limit is larger.
const LARGEST: usize = 1 << 30;
