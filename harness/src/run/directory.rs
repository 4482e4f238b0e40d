//! Run directories: `results/<time>-<workload>-<seed>`, or where the user wants it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, bail};

/// Creates the directory of a run.
///
/// # Errors
/// It exists and is not empty, or cannot be written to.
pub(crate) fn create(wanted: Option<&Path>, workload: &str, seed: u64) -> anyhow::Result<PathBuf> {
    let dir = match wanted {
        Some(dir) => dir.to_owned(),
        None => {
            let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            let time = time.trim_end_matches('Z').replace([':', '-'], "").replace('T', "-");
            Path::new("results").join(format!("{time}-{workload}-{seed}"))
        }
    };
    let shown = dir.display();
    fs::create_dir_all(&dir).with_context(|| {
        format!("cannot create the run directory {shown}; choose another with --out")
    })?;
    let mut entries = fs::read_dir(&dir).with_context(|| {
        format!("cannot read the run directory {shown}; choose another with --out")
    })?;
    if entries.next().is_some() {
        bail!(
            "the run directory {shown} is not empty, and evidence is never overwritten; choose \
             another with --out, or remove it"
        );
    }
    // Found out now rather than after the run.
    let probe = dir.join(".probe");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).with_context(|| {
        format!("cannot write into the run directory {shown}; choose another with --out")
    })?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_and_a_used_one_refused() {
        let root = tempfile::tempdir().unwrap();
        let wanted = root.path().join("a/b");
        assert_eq!(create(Some(&wanted), "register", 1).unwrap(), wanted);
        assert_eq!(create(Some(&wanted), "register", 1).unwrap(), wanted, "it is still empty");
        fs::write(wanted.join("plan.json"), "{}").unwrap();
        let error = create(Some(&wanted), "register", 1).unwrap_err().to_string();
        assert!(error.contains("not empty") && error.contains("--out"), "{error}");
    }

    #[test]
    fn a_place_where_nothing_can_be_written_is_refused() {
        for place in ["/proc/1/run", "/dev/null/run"] {
            let error = create(Some(Path::new(place)), "register", 1).unwrap_err().to_string();
            assert!(error.contains("choose another with --out"), "{error}");
        }
    }
}
