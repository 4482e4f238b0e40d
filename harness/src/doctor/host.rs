//! What can be seen without a container.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Output, Stdio},
};

use super::Line;

/// A run of a minute leaves some hundred megabytes of logs, data and evidence.
const SPACE_MIN_KB: u64 = 1 << 20;

/// Below this, a night of runs may fill the disk.
const SPACE_GOOD_KB: u64 = 5 << 20;

pub(super) async fn examine() -> Vec<Line> {
    vec![fuse(), etcdctl().await, free_space("space for results", Path::new(".")).await]
}

/// A fault-injecting file system needs FUSE.
fn fuse() -> Line {
    match fs::OpenOptions::new().read(true).write(true).open("/dev/fuse") {
        Ok(_) => Line::ok("FUSE", "/dev/fuse opens"),
        Err(error) => Line::warn(
            "FUSE",
            format!("/dev/fuse: {error}; disk faults need it (`sudo modprobe fuse`)"),
        ),
    }
}

async fn etcdctl() -> Line {
    match run("etcdctl", &["version".as_ref()]).await {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Line::ok("etcdctl", text.lines().next().unwrap_or_default())
        }
        Ok(output) => {
            Line::warn("etcdctl", String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
        Err(_) => Line::ok(
            "etcdctl",
            "not on the PATH, and not needed: tests fetch one below target/; to talk to nodes by \
             hand, install the Debian package etcd-client",
        ),
    }
}

/// Free space where `path` lies, as `df` tells it.
pub(super) async fn free_space(name: &'static str, path: &Path) -> Line {
    let output = match run("df", &["-Pk".as_ref(), path.as_os_str()]).await {
        Ok(output) if output.status.success() => output,
        // The daemon's directory belongs to root, or is on another machine.
        _ => return Line::ok(name, format!("{} is not visible from here", path.display())),
    };
    let Some(free) = available_kb(&String::from_utf8_lossy(&output.stdout)) else {
        return Line::warn(
            name,
            format!("`df` says nothing that makes sense of {}", path.display()),
        );
    };
    let text = format!("{:.1} GiB free at {}", free as f64 / f64::from(1 << 20), path.display());
    if free < SPACE_MIN_KB {
        Line::fail(name, format!("{text}; make room, `docker system prune` may help"))
    } else if free < SPACE_GOOD_KB {
        Line::warn(name, format!("{text}; enough for a few runs"))
    } else {
        Line::ok(name, text)
    }
}

fn available_kb(df: &str) -> Option<u64> {
    df.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

async fn run(program: &str, arguments: &[&OsStr]) -> std::io::Result<Output> {
    tokio::process::Command::new(program)
        .args(arguments)
        .env("ETCDCTL_API", "3")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn df_is_read() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  /dev/vda 263174212 33952040 61234567 36% /\n";
        assert_eq!(available_kb(df), Some(61_234_567));
        assert_eq!(available_kb("nonsense"), None);
    }
}
