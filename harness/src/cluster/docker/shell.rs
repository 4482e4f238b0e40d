//! Long-lived shells inside the pods.
//!
//! `docker exec` costs about 70 ms a call, of which a cut across five nodes would make a smear.
//! So each pod gets its shells once, and is fed commands on their standard input: a few
//! milliseconds each. Answers end with a line that carries the command's number, so that an
//! answer nobody waited for is never taken for a later one.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use bollard::{
    Docker, container::LogOutput, errors::Error, exec::StartExecResults, models::ExecConfig,
};
use futures::{Stream, StreamExt};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Mutex, oneshot},
    task::JoinHandle,
};

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// Begins the line that ends an answer.
const MARK: &str = "@@";

/// A command that takes longer means that the machine or the pod is in trouble.
const PATIENCE: Duration = Duration::from_secs(10);

/// Characters of transcript that are kept.
const TRANSCRIPT_MAX: usize = 4 << 20;

async fn attach(docker: &Docker, pod: &str) -> Result<(Output, Input)> {
    let exec = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["busybox".into(), "sh".into()]),
        ..Default::default()
    };
    let exec = docker
        .create_exec(pod, exec)
        .await
        .with_context(|| format!("creating a shell in {pod}"))?;
    match docker.start_exec(&exec.id, None).await {
        Ok(StartExecResults::Attached { output, input }) => Ok((output, input)),
        Ok(StartExecResults::Detached) => bail!("the Docker daemon detached the shell in {pod}"),
        Err(error) => Err(error).with_context(|| format!("starting a shell in {pod}")),
    }
}

/// Splits a stream of chunks into lines.
struct Lines {
    output: Output,
    rest: Vec<u8>,
}

impl Lines {
    fn new(output: Output) -> Self {
        Self { output, rest: Vec::new() }
    }

    /// The next line without its end; `None` once the shell has ended.
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            match self.output.next().await {
                Some(chunk) => self.rest.extend_from_slice(chunk?.as_ref()),
                None => return Ok(None),
            }
        }
    }
}

/// A shell has ended, or the way to it is broken. It is opened again when it is next used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the shell has ended; is the pod still there?")]
pub(super) struct ShellLost;

/// Runs one command after another in a pod.
pub(super) struct Shell {
    docker: Docker,
    pod: String,
    /// None: it was lost.
    attached: Mutex<Option<Attached>>,
    transcript: StdMutex<String>,
}

struct Attached {
    lines: Lines,
    input: Input,
    commands: u64,
}

impl Shell {
    pub(super) async fn open(docker: &Docker, pod: &str) -> Result<Self> {
        let attached = Attached::open(docker, pod).await?;
        Ok(Self {
            docker: docker.clone(),
            pod: pod.to_owned(),
            attached: Mutex::new(Some(attached)),
            transcript: StdMutex::default(),
        })
    }

    /// Runs a script and gives what it printed. A shell that was lost is opened again first.
    ///
    /// # Errors
    ///
    /// It ended with another status than 0, took longer than ten seconds, or the shell has ended.
    pub(super) async fn run(&self, script: &str) -> Result<String> {
        let mut place = self.attached.lock().await;
        // Away from its place: given up half-way, it does not come back.
        let mut attached = match place.take() {
            Some(attached) => attached,
            None => Attached::open(&self.docker, &self.pod).await?,
        };
        let answer = tokio::time::timeout(PATIENCE, attached.run(script))
            .await
            .unwrap_or_else(|_| Err(anyhow!(ShellLost).context("no answer within 10 s")));
        if answer.is_ok() {
            *place = Some(attached);
        }
        self.note(script, &answer);
        match answer {
            Ok((0, text)) => Ok(text),
            Ok((status, text)) => {
                bail!("in {}: `{}` ended with status {status}: {}", self.pod, script, text.trim())
            }
            Err(error) => Err(error.context(format!("in {}: `{script}`", self.pod))),
        }
    }

    /// What was asked and answered so far.
    pub(super) fn transcript(&self) -> String {
        self.transcript.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn note(&self, script: &str, answer: &Result<(i32, String)>) {
        let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
        let answer = match answer {
            Ok((0, text)) => text.clone(),
            Ok((status, text)) => format!("{text}(status {status})\n"),
            Err(error) => format!("{error:#}\n"),
        };
        let mut transcript =
            self.transcript.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if transcript.len() < TRANSCRIPT_MAX {
            *transcript += &format!("{now} $ {script}\n{answer}");
        }
    }
}

impl Attached {
    async fn open(docker: &Docker, pod: &str) -> Result<Self> {
        let (output, input) = attach(docker, pod).await?;
        let mut attached = Self { lines: Lines::new(output), input, commands: 0 };
        // The daemon forwards the two streams separately; merged, they keep their order.
        match tokio::time::timeout(PATIENCE, attached.run("exec 2>&1")).await {
            Ok(answer) => answer.with_context(|| format!("opening a shell in {pod}"))?,
            Err(_) => bail!(anyhow!(ShellLost).context(format!("opening a shell in {pod}"))),
        };
        Ok(attached)
    }

    async fn run(&mut self, script: &str) -> Result<(i32, String)> {
        self.commands += 1;
        let command = self.commands;
        // A newline first: output that does not end with one must not hide the mark.
        let text = format!("{script}\nprintf '\\n{MARK}%d %d\\n' {command} $?\n");
        self.input.write_all(text.as_bytes()).await?;
        self.input.flush().await?;
        let mut answer = String::new();
        while let Some(line) = self.lines.next().await? {
            let Some((number, status)) = parse(&line) else {
                answer.push_str(&line);
                answer.push('\n');
                continue;
            };
            if number == command {
                answer.pop();
                return Ok((status, answer));
            }
            // The end of an answer that its asker gave up.
            answer.clear();
        }
        bail!(ShellLost)
    }
}

fn parse(line: &str) -> Option<(u64, i32)> {
    let (number, status) = line.strip_prefix(MARK)?.split_once(' ')?;
    Some((number.parse().ok()?, status.parse().ok()?))
}

/// Pings from inside a pod, many at once.
pub(super) struct Prober {
    docker: Docker,
    pod: String,
    /// None: it was lost.
    pinger: Mutex<Option<Pinger>>,
    next: AtomicU64,
}

impl Prober {
    pub(super) async fn open(docker: &Docker, pod: &str) -> Result<Self> {
        let pinger = Mutex::new(Some(Pinger::open(docker, pod).await?));
        Ok(Self { docker: docker.clone(), pod: pod.to_owned(), pinger, next: AtomicU64::new(1) })
    }

    /// Whether an echo request to `address` is answered within a second. A shell that was lost is
    /// opened again first.
    pub(super) async fn ping(&self, address: std::net::Ipv4Addr) -> Result<bool> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let answer = {
            let mut place = self.pinger.lock().await;
            let mut pinger = match place.take() {
                Some(pinger) if !pinger.reader.is_finished() => pinger,
                _ => Pinger::open(&self.docker, &self.pod).await?,
            };
            let answer = pinger.ask(number, address).await?;
            *place = Some(pinger);
            answer
        };
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(_)) => bail!(ShellLost),
            Err(_) => {
                *self.pinger.lock().await = None;
                bail!(anyhow!(ShellLost).context("no answer within 10 s"))
            }
        }
    }
}

/// A shell that pings.
struct Pinger {
    input: Input,
    waiting: Arc<StdMutex<BTreeMap<u64, oneshot::Sender<bool>>>>,
    reader: JoinHandle<()>,
}

impl Pinger {
    async fn open(docker: &Docker, pod: &str) -> Result<Self> {
        let (output, input) = attach(docker, pod).await?;
        let waiting: Arc<StdMutex<BTreeMap<u64, oneshot::Sender<bool>>>> = Arc::default();
        let asked = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            let mut lines = Lines::new(output);
            while let Ok(Some(line)) = lines.next().await {
                let mut asked = asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Some((number, status)) = parse(&line)
                    && let Some(asker) = asked.remove(&number)
                {
                    // An asker that gave up is no loss.
                    let _ = asker.send(status == 0);
                }
            }
            asked.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
        });
        Ok(Self { input, waiting, reader })
    }

    async fn ask(
        &mut self,
        number: u64,
        address: std::net::Ipv4Addr,
    ) -> Result<oneshot::Receiver<bool>> {
        let (asker, answer) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(number, asker);
        let text = format!(
            "(busybox ping -c 1 -W 1 {address} >/dev/null 2>&1; echo {MARK}{number} $?) &\n"
        );
        self.input.write_all(text.as_bytes()).await?;
        self.input.flush().await?;
        Ok(answer)
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
