//! Reading files below a root, which may be a machine's own or one that is mounted somewhere.
//!
//! Paths are walked name by name with open directories, and links are followed by this code alone, so that none leads
//! out of the root: neither `..`, nor an absolute link, nor the links of `/proc` that jump elsewhere. Only regular
//! files are read, never a device or a FIFO, and never more than a limit.

use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::Unseen;
use crate::source::observation::FailureKind;

/// The most that is read of one file.
pub(super) const LIMIT: usize = 1 << 20;
/// The most links on the way to one file; Linux has the same limit (`MAXSYMLINKS`).
const LINKS: usize = 40;
/// The most names of one directory.
const NAMES: usize = 100_000;
/// `f_type` of procfs (statfs(2)).
const PROC: u64 = 0x9fa0;

/// A root directory.
#[derive(Debug)]
pub(super) struct Root {
    dir: OwnedFd,
    /// As the user wrote it; empty for the machine's own.
    pub(super) shown: String,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// There is no such file.
    Absent,
    /// The caller may not.
    Denied(String),
    /// It is there and cannot be used; a whole sentence with the path in it.
    Unfit(String),
}

impl Unread {
    /// The same for a look; `what` is missing where there is no such file.
    pub(super) fn unseen(&self, what: &str) -> Unseen {
        match self {
            Self::Absent => Unseen::lacking(format!("{what} is not there")),
            Self::Denied(path) => Unseen::denied(path),
            Self::Unfit(words) => Unseen::other(words.clone()),
        }
    }
}

impl From<Unread> for Unseen {
    fn from(unread: Unread) -> Self {
        unread.unseen("a file")
    }
}

/// A file's text, and whether it goes on.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) cut: bool,
}

impl Root {
    /// Opens a root.
    pub(super) fn open(dir: &Path) -> std::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(dir, flags, Mode::empty())?;
        let own = statat(&opened, "", AtFlags::EMPTY_PATH)?;
        let slash = rustix::fs::stat("/")?;
        let is_own = (own.st_dev, own.st_ino) == (slash.st_dev, slash.st_ino);
        let shown = if is_own { String::new() } else { dir.display().to_string() };
        Ok(Self { dir: opened, shown })
    }

    /// Whether it is the root that this program has itself.
    pub(super) fn is_own(&self) -> bool {
        self.shown.is_empty()
    }

    /// The path as the user can find it.
    pub(super) fn name(&self, path: &str) -> String {
        format!("{}{path}", self.shown.trim_end_matches('/'))
    }

    /// Whether a kernel's processes are below `/proc`, and not merely files.
    pub(super) fn has_procfs(&self) -> bool {
        let found = self.walk("/proc", true).ok().and_then(|found| rustix::fs::fstatfs(&found).ok());
        found.is_some_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == PROC))
    }

    /// The bytes of a regular file.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>, Unread> {
        let (bytes, cut) = self.part(path, LIMIT)?;
        if cut {
            return Err(Unread::Unfit(format!("{} is larger than {LIMIT} bytes", self.name(path))));
        }
        Ok(bytes)
    }

    /// The text of a regular file; what is not UTF-8 becomes U+FFFD.
    pub(super) fn text(&self, path: &str) -> Result<String, Unread> {
        self.read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a regular file, at most `limit` bytes of it.
    pub(super) fn text_part(&self, path: &str, limit: usize) -> Result<Part, Unread> {
        let (bytes, cut) = self.part(path, limit)?;
        Ok(Part { text: String::from_utf8_lossy(&bytes).into_owned(), cut })
    }

    /// The text of a file, or nothing where there is none.
    pub(super) fn text_if_any(&self, path: &str) -> Result<Option<String>, Unread> {
        match self.text(path) {
            Ok(text) => Ok(Some(text)),
            Err(Unread::Absent) => Ok(None),
            Err(unread) => Err(unread),
        }
    }

    /// The first line of a small file, such as a setting of the kernel.
    pub(super) fn line(&self, path: &str) -> Result<String, Unread> {
        let text = self.text(path)?;
        Ok(text.lines().next().unwrap_or_default().trim().chars().take(256).collect())
    }

    fn part(&self, path: &str, limit: usize) -> Result<(Vec<u8>, bool), Unread> {
        let found = self.walk(path, true)?;
        self.must_be_regular(&found, path)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let (parent, name) = self.parent(path)?;
        let opened =
            openat(&parent, name.as_str(), flags, Mode::empty()).map_err(|errno| self.unread(errno, path))?;
        // Somebody may have put another file there meanwhile.
        self.must_be_regular(&opened, path)?;
        let mut bytes = Vec::new();
        let mut file = std::fs::File::from(opened).take(limit as u64 + 1);
        file.read_to_end(&mut bytes).map_err(|error| {
            if error.kind() == std::io::ErrorKind::PermissionDenied {
                Unread::Denied(self.name(path))
            } else {
                Unread::Unfit(format!("{}: {error}", self.name(path)))
            }
        })?;
        let cut = bytes.len() > limit;
        bytes.truncate(limit);
        Ok((bytes, cut))
    }

    /// Whether root alone can have put a regular file there: it and every directory on the way belong to root, and nobody
    /// else may write to them. In a directory with the sticky bit others may make files, and not put another in the
    /// place of root's.
    pub(super) fn is_only_roots(&self, path: &str) -> bool {
        let mut all = true;
        let mut is_file = false;
        let found = self.resolve_seeing(path, true, &mut |stat| {
            let kind = FileType::from_raw_mode(stat.st_mode);
            let writable = stat.st_mode & 0o022 != 0;
            let sticky = kind == FileType::Directory && stat.st_mode & 0o1000 != 0;
            all &= stat.st_uid == 0 && (kind == FileType::Symlink || !writable || sticky);
            is_file = kind == FileType::RegularFile;
        });
        found.is_ok() && all && is_file
    }

    fn must_be_regular(&self, file: &OwnedFd, path: &str) -> Result<(), Unread> {
        let stat = statat(file, "", AtFlags::EMPTY_PATH).map_err(|errno| self.unread(errno, path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            other => Err(Unread::Unfit(format!("{} is {}, and not read", self.name(path), kind(other)))),
        }
    }

    /// Whether there is anything at a path.
    pub(super) fn exists(&self, path: &str) -> Result<bool, Unread> {
        match self.walk(path, true) {
            Ok(_) => Ok(true),
            Err(Unread::Absent) => Ok(false),
            Err(unread) => Err(unread),
        }
    }

    /// When a file was last changed.
    pub(super) fn changed(&self, path: &str) -> Option<Timestamp> {
        let found = self.walk(path, true).ok()?;
        let stat = statat(&found, "", AtFlags::EMPTY_PATH).ok()?;
        Timestamp::from_second(stat.st_mtime).ok()
    }

    /// Where a link leads, as it stands there.
    pub(super) fn link(&self, path: &str) -> Result<String, Unread> {
        let (parent, name) = self.parent_of_link(path)?;
        let target =
            readlinkat(&parent, name.as_str(), Vec::new()).map_err(|errno| self.unread(errno, path))?;
        Ok(String::from_utf8_lossy(target.as_bytes()).into_owned())
    }

    /// The names in a directory, sorted; none where it is not there.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, Unread> {
        let found = match self.walk(path, true) {
            Err(Unread::Absent) => return Ok(Vec::new()),
            found => found?,
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = match openat(&found, ".", flags, Mode::empty()) {
            Err(Errno::NOTDIR) => {
                return Err(Unread::Unfit(format!("{} is not a directory", self.name(path))));
            }
            opened => opened.map_err(|errno| self.unread(errno, path))?,
        };
        let mut names = Vec::new();
        for entry in Dir::new(opened).map_err(|errno| self.unread(errno, path))? {
            let entry = entry.map_err(|errno| self.unread(errno, path))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == NAMES {
                let words = format!("{} holds more than {NAMES} names", self.name(path));
                return Err(Unread::Unfit(words));
            }
            names.push(name.to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Opens the place of a path, without a way to read it.
    fn walk(&self, path: &str, follow: bool) -> Result<OwnedFd, Unread> {
        let (parent, name) = self.resolve(path, follow)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&parent, name.as_str(), flags, Mode::empty()).map_err(|errno| self.unread(errno, path))
    }

    fn parent(&self, path: &str) -> Result<(OwnedFd, String), Unread> {
        self.resolve(path, true)
    }

    fn parent_of_link(&self, path: &str) -> Result<(OwnedFd, String), Unread> {
        self.resolve(path, false)
    }

    /// The directory that a path ends in, and the last name there, which is no link when `follow` is set.
    fn resolve(&self, path: &str, follow: bool) -> Result<(OwnedFd, String), Unread> {
        self.resolve_seeing(path, follow, &mut |_| {})
    }

    /// The same; `see` gets whatever is met on the way, the last at the end.
    fn resolve_seeing(
        &self,
        path: &str,
        follow: bool,
        see: &mut dyn FnMut(&Stat),
    ) -> Result<(OwnedFd, String), Unread> {
        let fail = |errno: Errno| self.unread(errno, path);
        let mut way = vec![
            self.dir
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| Unread::Unfit(format!("{}: {error}", self.name(path))))?,
        ];
        let mut left = names_of(path);
        let mut links = 0;
        while let Some(name) = left.pop() {
            if name == ".." {
                if way.len() > 1 {
                    way.pop();
                }
                continue;
            }
            let Some(here) = way.last() else { break };
            let is_last = left.is_empty();
            let stat = statat(here, name.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(fail)?;
            see(&stat);
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink if follow || !is_last => {
                    links += 1;
                    if links > LINKS {
                        let words =
                            format!("{}: more than {LINKS} links, which may go in a circle", self.name(path));
                        return Err(Unread::Unfit(words));
                    }
                    let target = readlinkat(here, name.as_str(), Vec::new()).map_err(fail)?;
                    let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
                    if target.starts_with('/') {
                        way.truncate(1);
                    }
                    left.extend(names_of(&target));
                }
                _ if is_last => {
                    let Some(here) = way.pop() else { break };
                    return Ok((here, name));
                }
                _ => {
                    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let next = openat(here, name.as_str(), flags, Mode::empty()).map_err(fail)?;
                    way.push(next);
                }
            }
        }
        let Some(here) = way.pop() else { return Err(Unread::Absent) };
        Ok((here, ".".to_owned()))
    }

    fn unread(&self, errno: Errno, path: &str) -> Unread {
        match errno {
            // A process that has ended leaves ESRCH behind.
            Errno::NOENT | Errno::NOTDIR | Errno::SRCH => Unread::Absent,
            Errno::ACCESS | Errno::PERM => Unread::Denied(self.name(path)),
            other => Unread::Unfit(format!("{}: {}", self.name(path), std::io::Error::from(other))),
        }
    }
}

/// The names of a path, the last first.
fn names_of(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|name| !name.is_empty() && *name != ".").map(str::to_owned).collect()
}

/// Whether a name ends as those of drop-ins do.
pub(super) fn is_conf(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == "conf")
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Symlink => "a link",
        _ => "no regular file",
    }
}

impl Unseen {
    /// Somebody else may not look there.
    pub(super) fn denied(path: &str) -> Self {
        Self { kind: FailureKind::NotPermitted, message: format!("{path} is read by root only") }
    }
}
