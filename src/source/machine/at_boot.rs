//! Who runs a program when the machine boots: units that are started, their scripts, and the older ways.
//!
//! `swapoff -a` or `modprobe br_netfilter` stands in all of these places. Who looks for it must not take a machine for
//! one that lacks it, so a word that merely may be such a call counts.

use std::collections::BTreeSet;

use super::Look;
use super::files::{Root, Unread};
use super::units;

/// The most units that are read, and the most scripts.
const MOST: usize = 1_000;
/// The most of a script that is read.
const SCRIPT: usize = 64 << 10;

/// Files that a machine runs at boot as a whole.
const SCRIPTS: [&str; 3] = ["/etc/rc.local", "/etc/rc.d/rc.local", "/etc/init.d/boot.local"];
/// Tables of cron, of which lines with `@reboot` count, and directories of such.
const TABLES: [&str; 3] = ["/etc/crontab", "/var/spool/cron/crontabs/root", "/var/spool/cron/root"];
const CRON: &str = "/etc/cron.d";
/// cloud-init's configuration, of which `bootcmd` runs at every boot, and a directory of such.
const CLOUD: [&str; 2] = ["/etc/cloud/cloud.cfg", "/var/lib/cloud/instance/cloud-config.txt"];
const CLOUD_PARTS: &str = "/etc/cloud/cloud.cfg.d";
/// Scripts that cloud-init runs at every boot.
const CLOUD_SCRIPTS: &str = "/var/lib/cloud/scripts/per-boot";

/// The file by which the machine says a word when it boots, be it not by one of the units in `but`; nothing where none does.
pub(super) fn says(root: &Root, word: &str, but: &[&str]) -> Look<Option<String>> {
    let has = |line: &str| !line.starts_with(['#', ';']) && line.contains(word);
    let in_text = |text: &str| text.lines().map(str::trim).any(has);
    let mut scripts = BTreeSet::new();
    let all = units::enabled(root, "service")?;
    for unit in all.iter().filter(|unit| !but.contains(&unit.as_str())).take(MOST) {
        for (file, text) in units::texts(root, unit)? {
            let lines = units::joined(&text);
            // What stops a unit is not run at boot.
            for line in lines.iter().map(|line| line.trim()).filter(|line| line.starts_with("ExecStart")) {
                if has(line) {
                    return Ok(Some(file));
                }
                let command = line.split_once('=').map_or("", |(_, command)| command);
                let named =
                    command.split_whitespace().map(|word| word.trim_start_matches(['-', '@', ':', '+', '!']));
                scripts.extend(named.filter(|word| word.starts_with('/')).map(str::to_owned));
            }
        }
    }
    scripts.extend(SCRIPTS.map(str::to_owned));
    scripts.extend(below(root, CLOUD_SCRIPTS)?);
    for path in scripts.iter().take(MOST) {
        if script(root, path)?.is_some_and(|text| in_text(&text)) {
            return Ok(Some(path.clone()));
        }
    }
    let text = |path: &str| -> Look<String> {
        Ok(root.text_if_any(path).map_err(|unread| unread.unseen(path))?.unwrap_or_default())
    };
    for path in below(root, CRON)?.into_iter().chain(TABLES.map(str::to_owned)) {
        if text(&path)?.lines().map(str::trim).any(|line| line.starts_with("@reboot") && has(line)) {
            return Ok(Some(path));
        }
    }
    for path in below(root, CLOUD_PARTS)?.into_iter().chain(CLOUD.map(str::to_owned)) {
        let text = text(&path)?;
        if text.lines().any(|line| line.starts_with("bootcmd:")) && in_text(&text) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The files of a directory.
fn below(root: &Root, path: &str) -> Look<Vec<String>> {
    let names = root.names(path).map_err(|unread| unread.unseen(path))?;
    Ok(names.iter().take(MOST).map(|name| format!("{path}/{name}")).collect())
}

/// The beginning of a script; nothing of what is none.
fn script(root: &Root, path: &str) -> Look<Option<String>> {
    match root.text_part(path, 2) {
        Ok(begin) if begin.text == "#!" => {}
        // A program, a directory, or something that has gone: no script of the machine's owner.
        Ok(_) | Err(Unread::Absent | Unread::Unfit(_)) => return Ok(None),
        Err(unread @ Unread::Denied(_)) => return Err(unread.into()),
    }
    Ok(root.text_part(path, SCRIPT).ok().map(|part| part.text))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    #[test]
    fn a_unit_its_drop_in_its_script_and_cron_are_read() {
        let said = |name: &str, write: &dyn Fn(&Tree)| {
            let tree = Tree::new(name);
            let wants = "/etc/systemd/system/multi-user.target.wants/kubelet.service";
            tree.link(wants, "/usr/lib/systemd/system/kubelet.service");
            tree.write("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet\n");
            tree.write("/usr/bin/kubelet", "\u{7f}ELF swapoff -a");
            write(&tree);
            says(&tree.root(), "swapoff", &[]).expect("it is read")
        };
        let drop_in = "/etc/systemd/system/kubelet.service.d/20-swap.conf";
        assert_eq!(said("none", &|_| {}), None);
        let stop = |tree: &Tree| tree.write(drop_in, "[Service]\nExecStop=/sbin/swapoff -a\n");
        assert_eq!(said("stop", &stop), None);
        let parted =
            |tree: &Tree| tree.write(drop_in, "[Service]\nExecStartPre=/bin/sh -c \\\n  'swapoff -a'\n");
        assert_eq!(said("parted", &parted).as_deref(), Some(drop_in));
        let comment = |tree: &Tree| tree.write(drop_in, "[Service]\n# ExecStartPre=/sbin/swapoff -a\n");
        assert_eq!(said("comment", &comment), None);
        let before = |tree: &Tree| tree.write(drop_in, "[Service]\nExecStartPre=-/sbin/swapoff -a\n");
        assert_eq!(said("drop-in", &before).as_deref(), Some(drop_in));
        let script = |tree: &Tree| {
            tree.write(drop_in, "[Service]\nExecStartPre=+/opt/prepare.sh now\n");
            tree.write("/opt/prepare.sh", "#!/bin/sh\n  swapoff --all\n");
        };
        assert_eq!(said("script", &script).as_deref(), Some("/opt/prepare.sh"));
        let cron =
            |tree: &Tree| tree.write("/etc/cron.d/swap", "0 4 * * * root true\n@reboot root swapoff -a\n");
        assert_eq!(said("cron", &cron).as_deref(), Some("/etc/cron.d/swap"));
        let daily = |tree: &Tree| tree.write("/etc/crontab", "0 4 * * * root swapoff -a\n");
        assert_eq!(said("daily", &daily), None);
        let cloud = "/etc/cloud/cloud.cfg.d/90-own.cfg";
        let at_each = |tree: &Tree| tree.write(cloud, "bootcmd:\n- [swapoff, -a]\n");
        assert_eq!(said("cloud-init", &at_each).as_deref(), Some(cloud));
        let once = |tree: &Tree| tree.write(cloud, "runcmd:\n- [swapoff, -a]\n");
        assert_eq!(said("cloud-init once", &once), None);
        let idle = |tree: &Tree| {
            tree.write("/usr/lib/systemd/system/idle.service", "[Service]\nExecStart=/sbin/swapoff -a\n");
        };
        assert_eq!(said("not started", &idle), None);
    }
}
