//! Images without a registry: a docker archive with one layer, made here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tar::{Builder, EntryType, Header};

/// The image that every pod's sandbox runs.
const PAUSE: &str = "registry.local/pause:1";
/// The image of sample workloads.
pub(crate) const BUSYBOX: &str = "registry.local/busybox:1";

/// One image: a program, names that link to it, and what is run.
struct Image<'a> {
    name: &'a str,
    program: &'a Path,
    path: &'a str,
    links: &'a [&'a str],
    entrypoint: &'a [&'a str],
}

/// Writes the archive of the pause image and the busybox image.
pub(crate) fn write_base(archive: &Path) -> Result<()> {
    let busybox = ["/usr/bin/busybox", "/bin/busybox"]
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .context("busybox-static is not installed")?;
    let image = |name, entrypoint| Image {
        name,
        program: busybox,
        path: "bin/busybox",
        links: &["cat", "dd", "echo", "httpd", "ls", "nc", "nslookup", "ping", "sh", "sleep", "wget", "yes"],
        entrypoint,
    };
    write(archive, &[image(PAUSE, &["/bin/sleep", "2000000000"]), image(BUSYBOX, &["/bin/sh"])])
}

/// Writes the archive of an image that is made of one program.
pub(crate) fn write_program(archive: &Path, program: &Path, name: &str) -> Result<()> {
    let path = program.file_name().and_then(|path| path.to_str()).context("a program has a name")?;
    let entrypoint = format!("/{path}");
    write(archive, &[Image { name, program, path, links: &[], entrypoint: &[&entrypoint] }])
}

fn write(archive: &Path, images: &[Image<'_>]) -> Result<()> {
    let mut manifest = Vec::new();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for image in images {
        let layer = layer(image)?;
        let layer_hash = hash(&layer);
        let config = serde_json::to_vec(&json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "Entrypoint": image.entrypoint,
                "Env": ["PATH=/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_hash}")]},
            "history": [{"created_by": "one program"}],
        }))?;
        let (config_name, layer_name) = (format!("{}.json", hash(&config)), format!("{layer_hash}.tar"));
        manifest.push(json!({
            "Config": config_name,
            "RepoTags": [image.name],
            "Layers": [layer_name],
        }));
        for (name, bytes) in [(config_name, config), (layer_name, layer)] {
            if !files.iter().any(|(known, _)| *known == name) {
                files.push((name, bytes));
            }
        }
    }
    files.push(("manifest.json".to_owned(), serde_json::to_vec(&manifest)?));
    // Another cluster may write the same file at the same time.
    let partial = partial(archive);
    let mut tar = Builder::new(fs::File::create(&partial)?);
    for (name, bytes) in &files {
        add_file(&mut tar, name, bytes, 0o644)?;
    }
    tar.into_inner()?.sync_data()?;
    fs::rename(&partial, archive)?;
    Ok(())
}

fn partial(archive: &Path) -> PathBuf {
    archive.with_extension(format!("{}.partial", std::process::id()))
}

fn layer(image: &Image<'_>) -> Result<Vec<u8>> {
    let program =
        fs::read(image.program).with_context(|| format!("cannot read {}", image.program.display()))?;
    let mut tar = Builder::new(Vec::new());
    for directory in ["bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"] {
        let mut header = header(EntryType::Directory, if directory == "tmp/" { 0o1777 } else { 0o755 }, 0);
        tar.append_data(&mut header, directory, std::io::empty())?;
    }
    add_file(&mut tar, image.path, &program, 0o755)?;
    add_file(&mut tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)?;
    for link in image.links {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{link}"), format!("/{}", image.path))?;
    }
    Ok(tar.into_inner()?)
}

fn add_file<W: std::io::Write>(tar: &mut Builder<W>, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let mut header = header(EntryType::Regular, mode, bytes.len() as u64);
    Ok(tar.append_data(&mut header, name, bytes)?)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
