//! `SHA256SUMS`: the digest of each file of a run directory, taken while the file was written.
//!
//! - The file is the last that a run writes, so that nothing but the digests themselves is without
//!   a digest: it covers `run.json` too.
//! - What is made from the evidence (`verdict.json`, `measures.json`, the page and its picture) has
//!   no digest: to judge again writes it anew.
//! - The directory of a run that was killed has no such file, and its `run.json` says that nobody
//!   ended it.
//! - It has the form that `sha256sum -c SHA256SUMS` reads, so that anybody can check a directory
//!   without this program.
//! - Its own digest is in `verdict.json`, and `harness test` prints it. Whoever edits a file and
//!   every digest in the directory still meets the printed one; and the parts of a run are held
//!   against each other, see [`property::agreement`](crate::property::agreement).

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs, io,
    path::Path,
    str::FromStr,
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The file's name in a run directory.
pub const NAME: &str = "SHA256SUMS";

/// The file that says from which evidence the verdict was made.
pub const VERDICT: &str = "verdict.json";

/// The digest of `SHA256SUMS` that a `verdict.json` was made from, if it says so.
pub fn sealed(verdict: &[u8]) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Judged {
        evidence: Option<String>,
    }
    serde_json::from_slice::<Judged>(verdict).ok()?.evidence?.parse().ok()
}

/// What a verdict on a directory must say that it was made from: what the first verdict said, so
/// that to judge again hides no change; else the digest of the present `SHA256SUMS`, if there is
/// one.
pub fn seal(directory: &Path) -> Option<Digest> {
    let read = |name: &str| fs::read(directory.join(name)).ok();
    let first = read(VERDICT).and_then(|text| sealed(&text));
    first.or_else(|| read(NAME).map(|text| Digest::of(&text)))
}

/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no digest of 64 hexadecimal digits");
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

/// The digests of files, by their path in the run directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(pub BTreeMap<String, Digest>);

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, digest)| writeln!(f, "{digest}  {name}"))
    }
}

impl FromStr for Sums {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut sums = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |why: &str| format!("line {number}: {why}");
            let (digest, name) = line.split_once("  ").ok_or_else(|| wrong("no file is named"))?;
            let digest = digest.parse().map_err(|why: String| wrong(&why))?;
            if sums.insert(name.to_owned(), digest).is_some() {
                return Err(wrong(&format!("{name} is named twice")));
            }
        }
        Ok(Self(sums))
    }
}

/// Takes the digest of all that is read or written through it.
#[derive(Debug)]
pub struct Hashing<T> {
    inner: T,
    hasher: Sha256,
}

impl<T> Hashing<T> {
    /// Nothing yet.
    pub fn new(inner: T) -> Self {
        Self { inner, hasher: Sha256::new() }
    }

    /// The digest of what passed.
    pub fn digest(self) -> Digest {
        Digest(self.hasher.finalize().into())
    }
}

impl<T: io::Write> io::Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: io::Read> io::Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hasher.update(&bytes[..read]);
        Ok(read)
    }
}

/// The first digits of a digest, for a sentence.
pub(super) fn short(digest: Digest) -> String {
    let mut text = String::new();
    for byte in &digest.0[..6] {
        let _ = write!(text, "{byte:02x}");
    }
    text + "…"
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_passes_is_hashed() {
        let mut file = Hashing::new(Vec::new());
        file.write_all(b"ab").unwrap();
        file.write_all(b"c").unwrap();
        let digest = file.digest();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), known);
        assert_eq!(digest, Digest::of(b"abc"));
        let mut file = Hashing::new(&b"abc"[..]);
        file.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(file.digest(), digest);
        assert_eq!(short(digest), "ba7816bf8f01…");
    }

    #[test]
    fn sums_survive_their_file() {
        let sums = [("run.json", "a"), ("trace/n1.jsonl", "b")];
        let sums = Sums(sums.map(|(name, text)| (name.into(), Digest::of(text.as_bytes()))).into());
        assert_eq!(sums.to_string().parse(), Ok(sums));
        for text in ["x", "ab  run.json", &format!("{}  a\n", "é".repeat(32))] {
            assert!(text.parse::<Sums>().unwrap_err().starts_with("line 1: "), "{text}");
        }
        let line = format!("{}  a\n", Digest::of(b""));
        assert_eq!((line.clone() + &line).parse::<Sums>().unwrap_err(), "line 2: a is named twice");
    }
}
