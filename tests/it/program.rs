//! Running the built program.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

/// A directory that goes with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("metrics-preflight-it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a scratch file");
        path.display().to_string()
    }

    /// Where a file of this name would be.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A kubeconfig of a server at this local port.
    pub(crate) fn kubeconfig(&self, port: u16) -> String {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n\
             clusters: [{{name: lab, cluster: {{server: \"https://127.0.0.1:{port}\"}}}}]\n\
             users: [{{name: lab, user: {{token: not-a-token}}}}]\n"
        );
        self.file("kubeconfig", &text)
    }

    /// A recording without observations, made in this mode.
    pub(crate) fn empty_recording(&self, mode: &str) -> String {
        let text = format!(
            "{{\"formatVersion\":1,\"tool\":\"metrics-preflight 0.1.0\",\"takenAt\":\"2026-11-20T22:04:05Z\",\
             \"arguments\":{{\"mode\":\"{mode}\"}}}}\n{{\"end\":0}}\n"
        );
        self.file("recording", &text)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind in the directory for temporary files does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with these arguments, and nothing of this process's environment that names a cluster or a proxy.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"));
    command.args(args);
    // What the caller's surroundings say of clusters, proxies and colours is not what is tested.
    for name in [
        "KUBECONFIG",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "TERM",
        "COLUMNS",
        "METRICS_PREFLIGHT_FAIL_ON",
        "METRICS_PREFLIGHT_STRICT",
        "METRICS_PREFLIGHT_ALLOW_UNDECIDED",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs the program.
pub(crate) fn run(args: &[&str]) -> Output {
    command(args).output().expect("the program starts")
}

/// The exit code.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// What it wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The one document on standard output, which is valid and knows the exit code.
pub(crate) fn document(output: &Output) -> Value {
    let document: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let schema = include_str!("../../docs/report.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is one");
    let faults: Vec<String> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(document["exit_code"], code(output));
    document
}

/// A port at which nothing listens.
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
