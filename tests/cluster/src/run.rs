//! Running a program to its end, within a time limit.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a command may take when nobody says otherwise.
pub(crate) const LIMIT: Duration = Duration::from_mins(2);

/// What a command printed, and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The command, for messages.
    pub command: String,
}

impl Output {
    /// Whether it ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// Standard output.
    ///
    /// # Errors
    /// When the command failed; the message holds both streams.
    pub fn ok(self) -> Result<String> {
        if self.success() {
            return Ok(self.stdout);
        }
        bail!("`{}` ended with {}\n{}{}", self.command, self.code, self.stdout, self.stderr)
    }
}

/// Runs `command` and collects what it prints; kills it and all it started in its process group
/// after `limit`.
pub(crate) fn run(command: &mut Command, input: Option<&str>, limit: Duration) -> Result<Output> {
    let shown = show(command);
    command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let writer = child.stdin.take().zip(input).map(|(mut stdin, text)| {
        let text = text.to_owned();
        // A program that ends without reading its input is no failure of ours.
        thread::spawn(move || drop(stdin.write_all(text.as_bytes())))
    });
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let status = wait(&mut child, limit).with_context(|| format!("waiting for `{shown}`"))?;
    if status.is_none()
        && let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
    {
        kill_process_group(group, Signal::KILL).ok();
        child.wait().ok();
    }
    if let Some(writer) = writer {
        writer.join().ok();
    }
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    let Some(status) = status else {
        bail!("`{shown}` did not end within {limit:?}\n{stdout}{stderr}");
    };
    Ok(Output {
        code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
        stdout,
        stderr,
        command: shown,
    })
}

/// Runs a program of the machine and returns its standard output; a failure is an error.
pub(crate) fn call(program: &str, args: &[&str]) -> Result<String> {
    run(Command::new(program).args(args), None, LIMIT)?.ok()
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Polls until `done` says true; the error tells what was waited for and what was last seen.
pub(crate) fn wait_for(what: &str, deadline: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + deadline;
    loop {
        let seen = match done() {
            Ok(true) => return Ok(()),
            Ok(false) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("waited {deadline:?} for {what}; last seen: {seen}");
        }
        thread::sleep(Duration::from_millis(150));
    }
}
