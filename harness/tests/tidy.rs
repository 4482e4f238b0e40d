//! Keeps the house: what the sources must look like, and who may use whom. Names file, line and
//! rule for each fault that it finds.
//!
//! That public items are documented is a lint of the compiler; here it is checked that every crate
//! has that lint.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::Span;
use syn::{Attribute, Item, ItemMod, Path as SynPath, UseTree, spanned::Spanned, visit::Visit};

/// A file that is longer usually holds two ideas.
const LINES_MAX: usize = 600;
/// Columns of a comment, in characters. A row of a table may be longer.
const COLUMNS_MAX: usize = 100;
/// How paths of a private machine begin.
const PRIVATE: [&str; 3] = ["/home/", "/Users/", "/root/"];

/// Which crate may use which, in code that is not a test.
const CRATES: [(&str, &[&str]); 5] = [
    ("proto", &[]),
    ("packages", &[]),
    ("checker", &["proto"]),
    ("node", &["proto"]),
    ("harness", &["proto", "packages", "checker", "node"]),
];

/// Which room of a crate may use which others. A room is a folder or a file right below `src`; one
/// that is not listed may use none. In the checker, models know no decider and deciders no other
/// decider; in the harness, what a test is and how it proceeds know no cluster, and the report
/// knows only the run directory.
const ROOMS: [(&str, &str, &[&str]); 33] = [
    ("checker", "consistency", &["budget", "history", "model", "text", "verdict"]),
    ("checker", "evidence", &["fault", "history", "jsonl", "version"]),
    ("checker", "fault", &["version"]),
    ("checker", "explanation", &["history", "model", "text", "verdict"]),
    ("checker", "history", &["jsonl"]),
    ("checker", "judge", EVERY),
    ("checker", "linear", &["budget", "history", "model", "text", "verdict"]),
    ("checker", "main", EVERY),
    ("checker", "model", &["history"]),
    ("checker", "property", &["evidence", "fault", "history", "text", "verdict"]),
    ("checker", "raft", &["evidence", "text", "verdict"]),
    ("checker", "surface", &["history", "model"]),
    ("checker", "txn", &["budget", "history", "text", "verdict"]),
    ("checker", "verdict", &["history", "text", "version"]),
    ("checker", "watch", &["budget", "history", "model", "text", "verdict"]),
    ("harness", "campaign", EVERY),
    ("harness", "cli", EVERY),
    ("harness", "client", &["workload"]),
    ("harness", "cluster", CLUSTER),
    ("harness", "doctor", &["cluster", "daemon", "images"]),
    ("harness", "exercise", &["client", "nemesis", "plan", "system", "workload"]),
    ("harness", "images", &["daemon", "system"]),
    ("harness", "plan", &["nemesis", "system", "workload"]),
    ("harness", "run", &["cluster", "daemon", "exercise", "images", "panics", "plan", "report"]),
    ("harness", "scenario", EVERY),
    ("harness", "story", &["cluster", "exercise", "nemesis", "plan", "report"]),
    ("harness", "system", &["nemesis"]),
    ("node", "raft", &["mutants"]),
    ("node", "replica", &["kv", "mutants", "raft", "storage"]),
    ("node", "server", &["kv", "mutants", "raft", "replica", "storage"]),
    ("node", "storage", &["raft"]),
    ("packages", "debian", &["machine", "scratch"]),
    ("packages", "tool", &["debian", "machine", "scratch"]),
];

/// A room that stands above all others.
const EVERY: &[&str] = &["*"];

const CLUSTER: &[&str] =
    &["client", "daemon", "exercise", "images", "nemesis", "panics", "plan", "system", "workload"];

/// The sources of a crate: name, and directory below the root.
const SOURCES: [(&str, &str); 5] = [
    ("proto", "proto/src"),
    ("packages", "docker/packages/src"),
    ("checker", "checker/src"),
    ("node", "node/src"),
    ("harness", "harness/src"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All Rust files below a directory, ascending.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What was found, a line each: file, line, rule.
#[derive(Default)]
struct Faults(String);

impl Faults {
    fn add(&mut self, file: &Path, line: usize, rule: &str) {
        let file = file.strip_prefix(root()).unwrap_or(file);
        writeln!(self.0, "{}:{line}: {rule}", file.display()).unwrap();
    }

    #[track_caller]
    fn none(&self) {
        assert!(self.0.is_empty(), "the house is not in order:\n{}", self.0);
    }
}

#[test]
fn files_are_short_headed_and_no_comment_is_wide() {
    let mut faults = Faults::default();
    let mut all = Vec::new();
    for part in ["checker", "docker", "harness", "node", "proto"] {
        files(&root().join(part), &mut all);
    }
    assert!(all.len() > 200, "only {} files were found", all.len());
    for file in &all {
        let text = fs::read_to_string(file).unwrap();
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.add(file, lines, &format!("a file has at most {LINES_MAX} lines"));
        }
        if !text.starts_with("//!") && !text.starts_with("#!") {
            faults.add(file, 1, "a file begins with `//!` and what lives there");
        }
        for (number, line) in (1..).zip(text.lines()) {
            let comment = line.trim_start();
            let is_table = ["//! |", "/// |"].iter().any(|row| comment.starts_with(row));
            if comment.starts_with("//") && !is_table && line.chars().count() > COLUMNS_MAX {
                faults.add(file, number, &format!("a comment has at most {COLUMNS_MAX} columns"));
            }
        }
    }
    faults.none();
}

#[test]
fn no_file_names_a_private_path() {
    let mut faults = Faults::default();
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "git must list the files of a clone");
    let names = String::from_utf8(listed.stdout).unwrap();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // This file says what is forbidden.
        if name.ends_with("tests/tidy.rs") {
            continue;
        }
        let file = root().join(name);
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(path) = PRIVATE.iter().find(|path| line.contains(*path)) {
                faults.add(&file, number, &format!("`{path}` is a path of somebody's machine"));
            }
        }
    }
    faults.none();
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(workspace.contains("missing_docs = \"warn\""), "public items must be documented");
    for (name, source) in SOURCES {
        let manifest = root().join(source).parent().unwrap().join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        assert!(text.contains("[lints]\nworkspace = true"), "{name} has lints of its own");
    }
}

/// A path that code names: its segments, and where.
struct Named {
    segments: Vec<String>,
    line: usize,
}

/// Collects what a file names, but for its tests.
#[derive(Default)]
struct Names(Vec<Named>);

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<SynPath>().is_ok_and(|path| path.is_ident("test")))
    })
}

fn line(span: Span) -> usize {
    span.start().line
}

impl Names {
    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: String| before.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            UseTree::Name(name) => self.add(with(name.ident.to_string()), line(name.span())),
            UseTree::Rename(name) => self.add(with(name.ident.to_string()), line(name.span())),
            UseTree::Glob(glob) => self.add(before.to_vec(), line(glob.span())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }

    fn add(&mut self, segments: Vec<String>, line: usize) {
        self.0.push(Named { segments, line });
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(ItemMod { attrs, .. }) => attrs,
            Item::Fn(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if is_test(attributes) {
            return;
        }
        if let Item::Use(item) = item {
            self.tree(&[], &item.tree);
        }
        syn::visit::visit_item(self, item);
    }

    fn visit_path(&mut self, path: &'ast SynPath) {
        let segments: Vec<_> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        if segments.len() > 1 {
            self.add(segments, line(path.span()));
        }
        syn::visit::visit_path(self, path);
    }
}

/// The path of the module in a file, from the crate's root: `cluster`, `sim`, `world`.
fn module(source: &Path, file: &Path) -> Vec<String> {
    let file = file.strip_prefix(source).unwrap().with_extension("");
    let mut path: Vec<_> = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&&**last)) {
        path.pop();
    }
    path
}

/// A path from the crate's root, if it stays within the crate.
fn absolute(module: &[String], segments: &[String]) -> Option<Vec<String>> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    match segments.first()?.as_str() {
        "crate" => Some(segments[1..].to_vec()),
        "super" => {
            let base = &module[..module.len().checked_sub(supers)?];
            Some(base.iter().chain(&segments[supers..]).cloned().collect())
        }
        _ => None,
    }
}

#[test]
fn crates_and_rooms_use_only_what_they_may() {
    let mut faults = Faults::default();
    for (crate_name, source) in SOURCES {
        let source = root().join(source);
        let mut all = Vec::new();
        files(&source, &mut all);
        let rooms: BTreeSet<String> =
            all.iter().filter_map(|file| module(&source, file).first().cloned()).collect();
        let may: BTreeMap<&str, &[&str]> = CRATES.into();
        for file in &all {
            // Declared under `#[cfg(test)]` by the module above.
            if ["test.rs", "tests.rs", "model_test.rs"].iter().any(|name| file.ends_with(name)) {
                continue;
            }
            let here = module(&source, file);
            let mut names = Names::default();
            let text = fs::read_to_string(file).unwrap();
            names.visit_file(&syn::parse_file(&text).unwrap());
            for Named { segments, line } in names.0 {
                let first = segments[0].as_str();
                if may.contains_key(first)
                    && first != crate_name
                    && !may[crate_name].contains(&first)
                {
                    let rule = format!("{crate_name} may not use the crate {first}");
                    faults.add(file, line, &rule);
                }
                let Some(path) = absolute(&here, &segments) else { continue };
                let (Some(from), Some(to)) = (here.first(), path.first()) else { continue };
                if from == to || !rooms.contains(to) {
                    continue;
                }
                let rule = ROOMS.iter().find(|(of, room, _)| (*of, *room) == (crate_name, from));
                let allowed = rule.map_or(&[][..], |(_, _, allowed)| allowed);
                if allowed != EVERY && !allowed.contains(&to.as_str()) {
                    let rule = format!("in {crate_name}, {from} may not use {to}");
                    faults.add(file, line, &rule);
                }
            }
        }
    }
    faults.none();
}
