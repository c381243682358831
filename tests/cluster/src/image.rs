//! Images without a registry: a docker archive with one layer, made here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::run::call;

/// The image that every pod's sandbox runs.
const PAUSE: &str = "registry.local/pause:1";
/// The image of sample workloads.
pub(crate) const BUSYBOX: &str = "registry.local/busybox:1";

/// The name of the program's own image in tests: on every node, and nowhere to be pulled from.
pub const PROGRAM_IMAGE: &str = "registry.local/metrics-preflight:test";
/// Where the program stands in the image that users build, and who runs it; `docs/container/Containerfile` says the same.
const PROGRAM: &str = "/metrics-preflight";
const PROGRAM_USER: &str = "65532:65532";

/// One image: files, names that link to the first of them, and what is run by whom.
#[derive(Default)]
struct Image<'a> {
    name: &'a str,
    /// Programs and libraries: the path in the image, and the file here.
    files: Vec<(String, PathBuf)>,
    links: &'a [&'a str],
    entrypoint: &'a [&'a str],
    user: &'a str,
    /// Nothing but the files: what `FROM scratch` and `COPY` make.
    bare: bool,
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
        files: vec![("bin/busybox".to_owned(), busybox.to_owned())],
        links: &["cat", "dd", "echo", "httpd", "ls", "nc", "nslookup", "ping", "sh", "sleep", "wget", "yes"],
        entrypoint,
        ..Image::default()
    };
    write(archive, &[image(PAUSE, &["/bin/sleep", "2000000000"]), image(BUSYBOX, &["/bin/sh"])])
}

/// Writes the archive of an image that is made of one program.
pub(crate) fn write_program(archive: &Path, program: &Path, name: &str) -> Result<()> {
    let path = program.file_name().and_then(|path| path.to_str()).context("a program has a name")?;
    let entrypoint = format!("/{path}");
    let files = vec![(path.to_owned(), program.to_owned())];
    write(archive, &[Image { name, files, entrypoint: &[&entrypoint], ..Image::default() }])
}

/// Writes the archive of the image that `docs/container/Containerfile` describes.
pub(crate) fn write_preflight(archive: &Path, program: &Path, name: &str) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    ensure!(
        !needs_loader(&bytes)?,
        "{} needs shared libraries, and an image from scratch has none; build it with \
         RUSTFLAGS='-C target-feature=+crt-static' and --target",
        program.display()
    );
    let files = vec![(PROGRAM.trim_start_matches('/').to_owned(), program.to_owned())];
    let image = Image { name, files, entrypoint: &[PROGRAM], user: PROGRAM_USER, bare: true, links: &[] };
    write(archive, &[image])
}

/// Writes the archive of a program of this machine with the shared libraries that it needs.
pub(crate) fn write_dynamic(archive: &Path, program: &Path, name: &str) -> Result<()> {
    let program_text = program.to_string_lossy();
    let inside = |path: &str| path.trim_start_matches('/').to_owned();
    let mut files = vec![(inside(&program_text), program.to_owned())];
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)`, and the loader without an arrow.
    for line in call("ldd", &[&program_text])?.lines() {
        if let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) {
            files.push((inside(path), PathBuf::from(path)));
        }
    }
    write(archive, &[Image { name, files, entrypoint: &[&program_text], ..Image::default() }])
}

/// Whether an ELF program names an interpreter (program header `PT_INTERP`, elf(5)): the kernel starts that instead.
fn needs_loader(program: &[u8]) -> Result<bool> {
    const PT_INTERP: u64 = 3;
    ensure!(program.starts_with(b"\x7fELF\x02\x01"), "not a program for this machine");
    let number = |at: usize, length: usize| -> Result<u64> {
        let bytes = program.get(at..at + length).context("the program is cut off")?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (first, size, count) =
        (usize::try_from(number(32, 8)?)?, usize::try_from(number(54, 2)?)?, number(56, 2)?);
    for index in 0..usize::try_from(count)? {
        let at = first.checked_add(index * size).context("the program is cut off")?;
        if number(at, 4)? == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
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
                "User": image.user,
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
    let mut tar = Builder::new(Vec::new());
    if !image.bare {
        for directory in ["bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"] {
            let mut header =
                header(EntryType::Directory, if directory == "tmp/" { 0o1777 } else { 0o755 }, 0);
            tar.append_data(&mut header, directory, std::io::empty())?;
        }
        add_file(&mut tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)?;
    }
    for (path, source) in &image.files {
        let bytes = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        add_file(&mut tar, path, &bytes, 0o755)?;
    }
    let target = image.files.first().map(|(path, _)| path.as_str()).unwrap_or_default();
    for link in image.links {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, format!("bin/{link}"), format!("/{target}"))?;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PROGRAM, PROGRAM_USER, needs_loader};

    fn repository() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    /// The image of the tests is what users build, or the proof is of something else.
    #[test]
    fn the_image_is_what_the_containerfile_says() {
        let path = repository().join("docs/container/Containerfile");
        let text = std::fs::read_to_string(path).expect("the definition of the image");
        let (build, last) = text.split_once("\nFROM scratch\n").expect("a last stage from scratch");
        let instructions: Vec<&str> =
            last.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let expected = [
            format!("COPY --from=build {PROGRAM} {PROGRAM}"),
            format!("USER {PROGRAM_USER}"),
            format!("ENTRYPOINT [\"{PROGRAM}\"]"),
        ];
        assert_eq!(instructions, expected);
        // The compiler that the project is tested with, and the flag that makes the program static.
        let toolchain =
            std::fs::read_to_string(repository().join("rust-toolchain.toml")).expect("a toolchain");
        let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
        let version = channel.trim_matches('"').rsplit_once('.').map_or(channel, |(minor, _)| minor);
        assert!(build.contains(&format!("/rust:{}-", version.trim_matches('"'))), "{channel} in\n{build}");
        assert!(build.contains("-C target-feature=+crt-static"), "{build}");
    }

    #[test]
    fn a_program_with_shared_libraries_is_told_apart() {
        // The header of a 64-bit program with one program header behind it.
        let program = |kind: u8| {
            let mut bytes = vec![0; 64 + 56];
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            (bytes[32], bytes[54], bytes[56], bytes[64]) = (64, 56, 1, kind);
            bytes
        };
        assert!(needs_loader(&program(3)).expect("a program"));
        assert!(!needs_loader(&program(1)).expect("a program"));
        for broken in [&b"#!/bin/sh"[..], b"\x7fELF\x02\x01", &program(1)[..60], &program(1)[..64]] {
            assert!(needs_loader(broken).is_err(), "{broken:?}");
        }
    }
}
