//! The node and the real `etcdctl`, 3.4 or 3.5.

use std::{io::Write, path::Path, process::Stdio, sync::LazyLock};

use crate::cluster::Cluster;

/// The program. The first test that needs it fetches it, and prints its version even if the
/// test's own output is captured.
static ETCDCTL: LazyLock<Result<packages::Program, String>> = LazyLock::new(|| {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let search = packages::Search::new(packages::Machine::this(), packages::directory(workspace));
    let say = |text: &str| drop(writeln!(std::io::stderr(), "{text}"));
    search.find(&packages::ETCDCTL, &say).map_err(|error| format!("{error:#}"))
});

/// Runs `etcdctl` with the arguments in `line`, split at blanks, and this input; returns what it
/// printed, or fails with what it complained of.
fn etcdctl(endpoints: &str, line: &str, input: &str) -> Result<String, String> {
    let program = ETCDCTL.as_ref().unwrap_or_else(|why| panic!("{why}"));
    let mut child = program
        .command()
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoints])
        .args(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The cells of a table's rows.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

fn endpoints(cluster: &Cluster) -> String {
    cluster.ids().map(|id| cluster.client(id)).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn keys_are_written_read_and_deleted() {
    let cluster = Cluster::started(3).await;
    let all = endpoints(&cluster);
    let run = |line: &str| etcdctl(&all, line, "").unwrap();

    assert_eq!(run("put a/1 one"), "OK\n");
    assert_eq!(run("put a/2 two"), "OK\n");
    assert_eq!(run("put b three"), "OK\n");
    assert_eq!(run("get a/1"), "a/1\none\n");
    assert_eq!(run("get a/1 --consistency=s --print-value-only"), "one\n");
    assert_eq!(run("get missing"), "");
    assert_eq!(run("get --prefix a/"), "a/1\none\na/2\ntwo\n");
    assert_eq!(run("get --prefix a/ --limit 1"), "a/1\none\n");
    assert_eq!(run("get --prefix a/ --keys-only"), "a/1\n\na/2\n\n");
    assert_eq!(run("get --from-key a/2"), "a/2\ntwo\nb\nthree\n");
    assert_eq!(run("get a b --order=DESCEND"), "a/2\ntwo\na/1\none\n");
    assert_eq!(run("put --prev-kv b four"), "OK\nb\nthree\n");
    assert_eq!(run("get b --rev=4"), "b\nthree\n");
    let json = run("get b -w json");
    for field in [
        r#""revision":5"#,
        r#""create_revision":4"#,
        r#""mod_revision":5"#,
        r#""version":2"#,
        r#""raft_term":"#,
    ] {
        assert!(json.contains(field), "{field} is not in {json}");
    }
    assert_eq!(run("del --prev-kv b"), "1\nb\nfour\n");
    assert_eq!(run("del --prefix a/"), "2\n");
    assert_eq!(run("del b"), "0\n");
    let refused = etcdctl(&all, "get a --rev=1000", "").unwrap_err();
    assert!(refused.contains("required revision is a future revision"), "{refused}");
}

#[tokio::test]
async fn transactions_compare_and_branch() {
    let cluster = Cluster::started(3).await;
    let all = endpoints(&cluster);
    etcdctl(&all, "put k old", "").unwrap();
    let txn = "value(\"k\") = \"old\"\nversion(\"k\") = \"1\"\n\nput k new\nget k\n\nget k\n\n";
    assert_eq!(etcdctl(&all, "txn", txn).unwrap(), "SUCCESS\n\nOK\n\nk\nnew\n");
    assert_eq!(etcdctl(&all, "txn", txn).unwrap(), "FAILURE\n\nk\nnew\n");
    let txn = "mod(\"k\") > \"2\"\ncreate(\"none\") = \"0\"\n\ndel k\n\nput k wrong\n\n";
    assert_eq!(etcdctl(&all, "txn", txn).unwrap(), "SUCCESS\n\n1\n");
    let twice = "create(\"k\") = \"0\"\n\nput k 1\nput k 2\n\n\n";
    let refused = etcdctl(&all, "txn", twice).unwrap_err();
    assert!(refused.contains("duplicate key given in txn request"), "{refused}");
}

#[tokio::test]
async fn the_cluster_can_be_looked_at() {
    let cluster = Cluster::started(3).await;
    let all = endpoints(&cluster);
    let leader = cluster.leader().await;
    etcdctl(&all, "put k v", "").unwrap();

    let table = etcdctl(&all, "endpoint status -w table", "").unwrap();
    let rows = cells(&table);
    assert_eq!(rows.len(), 4, "{table}");
    for (id, row) in cluster.ids().zip(&rows[1..]) {
        assert_eq!(row[0], cluster.client(id), "{table}");
        assert_eq!(row[1], format!("{id:x}"), "{table}");
        assert!(row[2].starts_with("3.4.0"), "{table}");
        assert_eq!(row[4], (id == leader).to_string(), "{table}");
        assert!(row[6].parse::<u64>().unwrap() >= 1, "term in {table}");
        assert!(row[7].parse::<u64>().unwrap() >= 2, "index in {table}");
        assert_eq!(row[9], "", "errors in {table}");
    }

    let table = etcdctl(&all, "member list -w table", "").unwrap();
    let rows = cells(&table);
    assert_eq!(rows.len(), 4, "{table}");
    for (id, row) in cluster.ids().zip(&rows[1..]) {
        let name = format!("n{id}");
        let (peer, client) = (cluster.peer(id), cluster.client(id));
        let (peer, client) = (format!("http://{peer}"), format!("http://{client}"));
        assert_eq!(row[..], [&format!("{id:x}"), "started", &name, &peer, &client, "false"]);
    }

    // Every follower applies what is committed, but not at the same moment.
    let hashes = crate::cluster::eventually("equal hashes", async || {
        let text = etcdctl(&all, "endpoint hashkv", "")?;
        let mut hashes: Vec<_> =
            text.lines().map(|line| line.rsplit(", ").next().unwrap().to_owned()).collect();
        hashes.dedup();
        if hashes.len() == 1 { Ok(hashes) } else { Err(text) }
    })
    .await;
    assert!(hashes[0].parse::<u32>().is_ok(), "{hashes:?}");
}

#[tokio::test]
async fn health_follows_the_quorum() {
    let mut cluster = Cluster::started(3).await;
    let all = endpoints(&cluster);
    // etcdctl prints its findings on stderr.
    assert!(etcdctl(&all, "endpoint health", "").is_ok());
    cluster.kill(2);
    cluster.leader().await;
    let sick = etcdctl(&all, "endpoint health", "").unwrap_err();
    assert_eq!(sick.matches("is unhealthy").count(), 1, "{sick}");
    cluster.kill(3);
    let sick = etcdctl(&cluster.client(1), "endpoint health", "").unwrap_err();
    assert!(sick.contains("is unhealthy"), "{sick}");
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let cluster = Cluster::started(1).await;
    for line in ["lease list", "user list", "snapshot save /dev/null"] {
        let refused = etcdctl(&cluster.client(1), line, "").unwrap_err();
        assert!(refused.contains("Unimplemented"), "{line}: {refused}");
    }
}
