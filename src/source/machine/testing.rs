//! A directory that stands for a machine's root.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Place;
use super::files::Root;
use super::processes::Processes;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The directory; it is gone with this.
pub(super) struct Tree(pub(super) PathBuf);

impl Tree {
    pub(super) fn new(name: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mp-machine-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub(super) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::os::unix::fs::symlink(target, path).expect("a link");
    }

    /// A process with a PID namespace of `depth`, in the network `network`.
    pub(super) fn process(&self, pid: u32, words: &[&str], depth: usize, network: Option<&str>) {
        self.write(&format!("/proc/{pid}/cmdline"), words.join("\0") + "\0");
        let pids = vec!["1"; depth].join("\t");
        self.write(&format!("/proc/{pid}/status"), format!("Name:\tx\nNSpid:\t{pids}\n"));
        self.write(
            &format!("/proc/{pid}/stat"),
            format!("{pid} (a) b) S 1 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 9 0 500 1 1"),
        );
        if let Some(network) = network {
            self.link(&format!("/proc/{pid}/ns/net"), network);
        }
    }

    /// An init, without which nobody's processes are seen.
    pub(super) fn init(&self) {
        self.write("/proc/stat", "cpu 1 2\nbtime 1700000000\n");
        self.process(1, &["/sbin/init"], 1, Some("net:[1]"));
    }

    pub(super) fn root(&self) -> Root {
        Root::open(&self.0).expect("the directory")
    }

    pub(super) fn place(&self) -> Arc<Place> {
        let root = self.root();
        let processes = Processes::look(&root);
        Arc::new(Place { root, processes, is_root: true })
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
