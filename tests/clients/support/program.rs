//! A program in another language: installed once, outside the checkout, and run.
//!
//! Holds: what is installed belongs to the program's files as they are now. Of several processes
//! at once, one installs and the others wait for it.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

use crate::Report;

/// Fetching and compiling everything, on a busy machine.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(1200);
/// A program that has not ended by then hangs; the slowest takes half a minute on two idle cores.
const RUN_TIMEOUT: Duration = Duration::from_secs(180);

/// A folder beside this package's manifest, and how to run what is in it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The folder.
    pub folder: &'static str,
    /// What it needs on this machine.
    pub tools: &'static [&'static str],
    /// Bash, run in the folder: fetches and compiles into the folder that OUT names.
    pub install: &'static str,
    /// Bash, run in the folder: runs what is in OUT.
    pub run: &'static str,
}

/// What the program is told about the server.
#[derive(Clone, Debug)]
pub struct Server {
    /// `host:port`.
    pub endpoint: String,
    /// The stream that it may make; it may use longer names too.
    pub stream: String,
}

impl Program {
    /// boto3, in a virtual environment.
    pub const BOTO3: Program = Program {
        folder: "python",
        tools: &["python3"],
        install: "python3 -m venv $OUT/venv && $OUT/venv/bin/pip install -q -r requirements.txt",
        run: "exec $OUT/venv/bin/python client.py",
    };

    /// Whether it can run here. A machine that lacks a tool says so; in CI that is a failure.
    pub fn can_run(&self) -> bool {
        let missing: Vec<&str> = self.tools.iter().copied().filter(|tool| !on_path(tool)).collect();
        if missing.is_empty() {
            return true;
        }
        let said = format!("{}: not tested, for want of {}", self.folder, missing.join(", "));
        assert!(std::env::var_os("CI").is_none(), "{said}");
        eprintln!("{said}");
        false
    }

    /// Installs what it needs, unless that is done.
    pub async fn install(&self) -> anyhow::Result<()> {
        let out = self.out();
        std::fs::create_dir_all(&out)?;
        let lock = File::create(out.join(".lock"))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
        let (stamp, wanted) = (out.join(".installed"), self.fingerprint()?);
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        let installed = self.bash(self.install, None).output();
        let output = tokio::time::timeout(INSTALL_TIMEOUT, installed).await.context("installing took too long")??;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: `{}` failed:\n{}", self.folder, self.install, said());
        std::fs::write(&stamp, wanted)?;
        drop(lock);
        Ok(())
    }

    /// Runs it to its end; its report.
    pub async fn report(&self, server: &Server) -> anyhow::Result<Report> {
        let last = self.start(server)?.finish().await?;
        serde_json::from_str(&last).with_context(|| format!("{}: the last line is no report: {last}", self.folder))
    }

    /// Starts it.
    pub fn start(&self, server: &Server) -> anyhow::Result<Running> {
        let mut command = self.bash(self.run, Some(server));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut stderr = child.stderr.take().expect("it is piped");
        let complaints = tokio::spawn(async move {
            let mut complaints = String::new();
            stderr.read_to_string(&mut complaints).await.map(|_| complaints)
        });
        Ok(Running { folder: self.folder, child, output, complaints })
    }

    fn bash(&self, script: &str, server: Option<&Server>) -> Command {
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).current_dir(self.sources()).env("OUT", self.out());
        // Whatever this person's own accounts are, the program must not know them.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        if let Some(server) = server {
            command.envs([
                ("AWS_ENDPOINT_URL_KINESIS", &*format!("http://{}", server.endpoint)),
                ("AWS_REGION", "eu-central-1"),
                ("AWS_DEFAULT_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_CONFIG_FILE", "/dev/null"),
                ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
                ("STREAM", &*server.stream),
            ]);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Where its files lie.
    pub fn sources(&self) -> PathBuf {
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this")).join(self.folder)
    }

    fn out(&self) -> PathBuf {
        let cache = std::env::var_os("THALWEG_CACHE").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache/thalweg");
        cache.unwrap_or_else(home).join("clients").join(self.folder)
    }

    /// Changes with every file of the program and with the way it is installed.
    fn fingerprint(&self) -> anyhow::Result<String> {
        let mut files = Vec::new();
        collect_files(&self.sources(), &mut files)?;
        files.sort();
        let mut hasher = DefaultHasher::new();
        self.install.hash(&mut hasher);
        for file in files {
            // Not where it lies: a fresh clone finds what another one has installed.
            (file.strip_prefix(self.sources())?, std::fs::read(&file)?).hash(&mut hasher);
        }
        Ok(format!("{:016x}", hasher.finish()))
    }
}

/// A program that was started; it is killed when this goes.
#[derive(Debug)]
pub struct Running {
    folder: &'static str,
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    complaints: JoinHandle<std::io::Result<String>>,
}

impl Running {
    /// Gives it an empty line; the line it answers, or an error when it has ended instead.
    pub async fn ask(&mut self) -> anyhow::Result<String> {
        let asked = self.child.stdin.as_mut().context("its input is open")?.write_all(b"\n").await;
        let line = tokio::time::timeout(RUN_TIMEOUT, self.output.next_line()).await;
        match line.with_context(|| format!("{}: said nothing for {RUN_TIMEOUT:?}", self.folder))?? {
            Some(line) => asked.map(|()| line).context("it takes no input"),
            None => {
                let why = self.ended().await?;
                bail!("{}: has ended: {why}", self.folder)
            }
        }
    }

    /// Ends its input and waits for its end; the last line of its output.
    pub async fn finish(mut self) -> anyhow::Result<String> {
        drop(self.child.stdin.take());
        let mut last = String::new();
        let end = async {
            while let Some(line) = self.output.next_line().await? {
                last = line;
            }
            self.ended().await
        };
        let ended = tokio::time::timeout(RUN_TIMEOUT, end).await;
        let why = ended.with_context(|| format!("{}: did not end within {RUN_TIMEOUT:?}", self.folder))??;
        ensure!(why.is_empty(), "{}: {why}\nand said last: {last}", self.folder);
        Ok(last)
    }

    /// Why it ended, and what it complained about; nothing when all went well.
    async fn ended(&mut self) -> anyhow::Result<String> {
        let status = self.child.wait().await?;
        let complaints = (&mut self.complaints).await??;
        Ok(if status.success() { String::new() } else { format!("{status}\n{complaints}") })
    }
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

fn collect_files(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect_files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}
