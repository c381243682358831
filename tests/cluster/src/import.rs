//! Images on the nodes: there is no registry to pull from.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::cluster::Cluster;
use crate::image;
use crate::options::Component;
use crate::run::wait_for;

impl Cluster {
    /// Puts an image of a statically linked program on every node, laid out as `docs/container/Containerfile` says
    /// (nothing but `/metrics-preflight`, run by user 65532). The name is one that the nodes cannot pull, such as
    /// [`crate::PROGRAM_IMAGE`]; another program under the same name takes its place.
    ///
    /// # Errors
    /// When the program needs shared libraries, or an image cannot be imported.
    pub fn load_program_image(&self, program: &Path, name: &str) -> Result<()> {
        ensure!(!name.contains(char::is_whitespace), "an image's name has no spaces: {name:?}");
        let archive = self.layout.dir().join("images/program.tar");
        image::write_preflight(&archive, program, name)?;
        self.import_everywhere(&archive)
    }

    /// Puts an image on every node.
    pub(crate) fn import_everywhere(&self, archive: &Path) -> Result<()> {
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .nodes()
                .into_iter()
                .map(|node| scope.spawn(move || self.import(&node, archive)))
                .collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("an import panicked"))))
        })
    }

    pub(crate) fn import(&self, node: &str, archive: &Path) -> Result<()> {
        let containerd = || -> Result<()> {
            wait_for(&format!("containerd on {node}"), Duration::from_secs(30), || {
                Ok(self.path(node, "/run/containerd/containerd.sock").exists())
            })?;
            let archive = archive.to_string_lossy();
            let import = ["ctr", "-n", "k8s.io", "images", "import", &*archive];
            // The socket is there a moment before somebody listens.
            wait_for(&format!("the images on {node}"), Duration::from_mins(1), || {
                self.exec(node, &import)?.ok().map(|_| true)
            })
        };
        containerd()
            .map_err(|error| self.explain(error, &self.layout.log(node, Component::Containerd.name())))
    }
}
