//! Flags of components that a version of Kubernetes does not know, and how to take them out.

use std::collections::BTreeSet;

use super::role;
use crate::check::{Finding, Step, Subject};
use crate::evidence::{Command, Evidence, Host};
use crate::removed_flags::{Removed, removed};
use crate::support;

/// The newest version that has been out of support for so long that whoever does not say theirs has a newer one
/// (<https://kubernetes.io/releases/patch-releases/>: 1.31 ended in November 2025).
const LONG_GONE: u32 = 31;

/// A flag that is set, and that some version has taken out.
#[derive(Clone, Debug)]
pub(super) struct Gone<'e> {
    pub(super) command: &'e Command,
    pub(super) name: &'e str,
    pub(super) row: &'static Removed,
    /// The files in which it stands; empty where that is not known.
    pub(super) files: BTreeSet<&'e str>,
}

impl Gone<'_> {
    /// Whether the version that will start does not know it; nothing where that cannot be told.
    pub(super) fn is_unknown(&self) -> Option<bool> {
        minor(self.command).map(|minor| minor >= self.row.minor)
    }

    /// Whether no version that is maintained knows it.
    pub(super) fn is_long_gone(&self) -> bool {
        self.row.minor <= LONG_GONE
    }

    fn words(&self) -> String {
        let place = if self.files.is_empty() {
            self.command.path.clone()
        } else {
            self.files.iter().copied().collect::<Vec<_>>().join(", ")
        };
        let of = if place.is_empty() { String::new() } else { format!(" in {place}") };
        format!(
            "{} has --{}{of}, which is gone since Kubernetes 1.{}",
            self.command.component, self.name, self.row.minor
        )
    }
}

/// The minor version of Kubernetes 1 that a component will start as.
pub(super) fn minor(command: &Command) -> Option<u32> {
    let mut parts = command.version.as_deref()?.split('.');
    (parts.next() == Some("1")).then(|| parts.next()?.parse().ok())?
}

/// The flags of a component that some version has taken out; nothing where its flags are not known.
pub(super) fn gone(command: &Command) -> Option<Vec<Gone<'_>>> {
    let mut found: Vec<Gone<'_>> = Vec::new();
    for set in command.flags.as_ref()? {
        for name in &set.names {
            let Some(row) = removed(&command.component, name) else { continue };
            let file = Some(set.file.as_str()).filter(|file| !file.is_empty());
            match found.iter_mut().find(|other| other.name == name) {
                Some(other) => other.files.extend(file),
                None => found.push(Gone { command, name, row, files: file.into_iter().collect() }),
            }
        }
    }
    Some(found)
}

/// Whether a flag can be what ends its component now: one that has run for a while knows all that it was started with, and
/// one that was just started may end.
pub(super) fn may_end_it(host: &Host, gone: &Gone<'_>) -> bool {
    gone.command.runs.as_ref().is_none_or(|runs| {
        !role::has_got_over_its_start(host, runs.started)
            && !runs.without.iter().any(|name| name == gone.name)
    })
}

/// A finding about these flags; `version` is what does not know them.
pub(super) fn finding(host: &Host, subject: Subject, gone: &[Gone<'_>], version: &str) -> Finding {
    let words: Vec<String> = gone.iter().map(Gone::words).collect();
    let mut finding = Finding::new(subject, words.join("; "));
    for one in gone.iter().take(8) {
        let field = format!("{}.flags.{}", one.command.component, one.name);
        finding = finding.cite(&host.commands, field, "set", &format!("no flag that {version} lacks"));
    }
    finding
}

/// The machine of a finding.
pub(super) fn host_of<'e>(evidence: &'e Evidence, finding: &Finding) -> Option<&'e Host> {
    evidence.hosts.iter().find(|host| Subject::host(host) == finding.subject)
}

/// What to do in place of flags, one sentence a row, for what a cure costs.
pub(super) fn instead(gone: &[Gone<'_>]) -> String {
    let mut said = BTreeSet::new();
    let mut sentences = Vec::new();
    for one in gone.iter().filter(|one| !one.row.instead.is_empty()) {
        if said.insert(one.row.pull) {
            sentences.push(format!("Instead of --{}: {}.", one.name, one.row.instead));
        }
    }
    sentences.join(" ")
}

/// The flags of one component after the other.
pub(super) fn by_component<'g, 'e>(gone: &'g [Gone<'e>]) -> Vec<&'g [Gone<'e>]> {
    gone.chunk_by(|one, other| one.command.component == other.command.component).collect()
}

/// The flags as a person writes them.
pub(super) fn listed(gone: &[Gone<'_>]) -> String {
    gone.iter().map(|one| format!("--{}", one.name)).collect::<Vec<_>>().join(", ")
}

/// The step that takes flags out of what starts a component, and starts it.
pub(super) fn taken_out(run_on: String, gone: &[Gone<'_>]) -> Option<Step> {
    let command = gone.first()?.command;
    let name = &command.component;
    let known = gone.iter().all(|one| !one.files.is_empty());
    let names: Vec<String> = gone.iter().map(|one| one.name.replace('-', "[-_]")).collect();
    let names = names.join("|");
    Some(match command.seen_as.as_str() {
        "unit" if known => {
            let files: BTreeSet<&str> = gone.iter().flat_map(|one| one.files.iter().copied()).collect();
            let files: Vec<String> = files.into_iter().map(support::word).collect();
            let files = files.join(" ");
            Step::run(run_on, out_of_unit(name, &files, &names))
                .verify(format!("{} && systemctl is-active {name}", is_out(&files, &names)))
        }
        "manifest" if known => {
            // The kernel knows fifteen letters of a name, and the kubelet looks at its manifests every 20 s.
            let process: String = name.chars().take(15).collect();
            let runs = format!("timeout 90 sh -c 'until pgrep -x {process}; do sleep 2; done'");
            Step::run(run_on, out_of_manifest(name, &command.path, &names)?)
                .verify(format!("{} && {runs}", is_out(&support::word(&command.path), &names)))
        }
        _ => {
            let by = if command.path.is_empty() { "what starts it" } else { &command.path };
            Step::manual(run_on, format!("take {} of {name} out of {by}, and start it again", listed(gone)))
        }
    })
}

/// Succeeds when no line of these files has the flags.
fn is_out(files: &str, names: &str) -> String {
    format!("! grep -hvE '^[[:space:]]*[#;]' {files} | grep -qE -e '--({names})([^[:alnum:]_-]|$)'")
}

/// Takes flags out of lines of units, drop-ins and files of their environment: the word with its value, be it behind `=`
/// or the next word. systemd reads no file that ends with `.before`.
fn out_of_unit(name: &str, files: &str, names: &str) -> String {
    // A quote cannot stand in the quotes of a shell; sed knows it as \x27.
    let word = format!(
        r#"(^|[[:space:]"\x27=])--({names})(=("[^"]*"|\x27[^\x27]*\x27|[^[:space:]"\x27\\]*)|[[:space:]]+("[^-"$][^"]*"|\x27[^-\x27$][^\x27]*\x27|[^-[:space:]"\x27\\$][^[:space:]"\x27\\]*))?([[:space:]"\x27\\]|$)"#
    );
    format!(
        "(\nset -e\nfor file in {files}; do\n  [ -e \"$file.before\" ] || cp -p \"$file\" \"$file.before\"\n  \
         sed -E -i -e :again -e '/^[[:space:]]*[#;]/!s/{word}/\\1\\6/' -e tagain \"$file\"\ndone\nsystemctl daemon-reload\n\
         systemctl reset-failed {name} 2>/dev/null || true\nsystemctl restart {name}\n)"
    )
}

/// Takes the lines of flags out of a static pod's manifest, in one go; the kubelet starts it anew. Copies are outside of the
/// manifests' folder, where the kubelet would run them.
fn out_of_manifest(name: &str, path: &str, names: &str) -> Option<String> {
    let (folder, _) = path.rsplit_once('/')?;
    let (above, _) = folder.rsplit_once('/')?;
    let beside = support::word(&format!("{above}/{name}.yaml"));
    let manifest = support::word(path);
    Some(support::on_host(
        &manifest,
        &format!(
            "[ -e {beside}.before ] || cp -p {manifest} {beside}.before\ncp -p {manifest} {beside}.new\n\
             sed -E -i '/^[[:space:]]*-[[:space:]]+[\"\\x27]?--({names})(=.*)?[\"\\x27]?[[:space:]]*$/d' {beside}.new\n\
             mv {beside}.new {manifest}"
        ),
    ))
}
