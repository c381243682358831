//! The hosts' `systemctl`: what a printed remedy needs of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::control::{Reply, Verb, ask};
use crate::layout::{IDENTITY_FILE, Identity};
use crate::unit_file::UnitFile;

/// The units that the supervisor runs.
const SUPERVISED: [&str; 4] = ["kubelet", "kube-proxy", "containerd", "etcd"];
const UNITS: &str = "/etc/systemd/system";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants";
/// Where units that ran leave a mark, for `is-active`.
const ACTIVE: &str = "/run/units";

/// Runs `systemctl ARGS`; gives its exit code.
pub(crate) fn main(args: &[String]) -> Result<i32> {
    let (options, words): (Vec<&str>, Vec<&str>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with('-'));
    if words.first() == Some(&"show") {
        return properties(args);
    }
    let now = options.contains(&"--now");
    let quiet = options.iter().any(|option| matches!(*option, "-q" | "--quiet"));
    let Some((verb, units)) = words.split_first() else {
        bail!("systemctl: which command?");
    };
    if matches!(*verb, "daemon-reload" | "daemon-reexec" | "reset-failed") {
        return Ok(0);
    }
    ensure!(!units.is_empty(), "systemctl {verb}: which unit?");
    let mut code = 0;
    for unit in units {
        let unit = unit.strip_suffix(".service").unwrap_or(unit);
        code = code.max(one(verb, unit, now, quiet)?);
    }
    Ok(code)
}

fn one(verb: &str, unit: &str, now: bool, quiet: bool) -> Result<i32> {
    match verb {
        "start" => start(unit)?,
        "stop" => stop(unit)?,
        "restart" | "try-restart" | "reload-or-restart" | "reload" => restart(unit)?,
        "enable" => {
            enable(unit)?;
            if now {
                start(unit)?;
            }
        }
        "disable" => {
            fs::remove_file(Path::new(WANTED).join(format!("{unit}.service"))).ok();
            if now {
                stop(unit)?;
            }
        }
        "cat" => println!("{}", UnitFile::load(Path::new("/"), unit)?.cat()),
        "is-active" | "status" => return status(unit, verb == "status", quiet),
        "is-enabled" => {
            let enabled =
                SUPERVISED.contains(&unit) || Path::new(WANTED).join(format!("{unit}.service")).exists();
            println!("{}", if enabled { "enabled" } else { "disabled" });
            return Ok(i32::from(!enabled));
        }
        _ => bail!("systemctl: this host knows no command {verb}"),
    }
    Ok(0)
}

fn supervised(verb: Verb, unit: &str) -> Result<Reply> {
    let identity: Identity = serde_json::from_slice(&fs::read(IDENTITY_FILE)?)?;
    ask(&identity.layout.socket(), verb, &identity.host, unit)
}

fn start(unit: &str) -> Result<()> {
    if SUPERVISED.contains(&unit) {
        return supervised(Verb::Start, unit).map(drop);
    }
    execute(unit, "ExecStart")?;
    fs::create_dir_all(ACTIVE)?;
    Ok(fs::write(Path::new(ACTIVE).join(unit), "")?)
}

fn stop(unit: &str) -> Result<()> {
    if SUPERVISED.contains(&unit) {
        return supervised(Verb::Stop, unit).map(drop);
    }
    execute(unit, "ExecStop")?;
    fs::remove_file(Path::new(ACTIVE).join(unit)).ok();
    Ok(())
}

fn restart(unit: &str) -> Result<()> {
    if SUPERVISED.contains(&unit) {
        return supervised(Verb::Restart, unit).map(drop);
    }
    if unit == "systemd-sysctl" {
        return sysctl_files();
    }
    stop(unit)?;
    start(unit)
}

/// Applies the host's own sysctl files; those of the distribution concern the machine.
fn sysctl_files() -> Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir("/etc/sysctl.d")?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .collect();
    files.sort();
    for file in files {
        let status = Command::new("sysctl").arg("-q").arg("-p").arg(&file).status()?;
        ensure!(status.success(), "sysctl -p {} failed", file.display());
    }
    Ok(())
}

fn enable(unit: &str) -> Result<()> {
    if SUPERVISED.contains(&unit) {
        return Ok(());
    }
    let text = unit_file(unit)?;
    if text.lines().any(|line| line.starts_with("WantedBy=")) {
        fs::create_dir_all(WANTED)?;
        let link = Path::new(WANTED).join(format!("{unit}.service"));
        if !link.exists() {
            symlink(Path::new(UNITS).join(format!("{unit}.service")), &link)?;
            eprintln!("Created symlink {}.", link.display());
        }
    }
    Ok(())
}

fn unit_file(unit: &str) -> Result<String> {
    fs::read_to_string(Path::new(UNITS).join(format!("{unit}.service")))
        .with_context(|| format!("Unit {unit}.service not found."))
}

/// Runs every line of this key, one after the other, as a oneshot unit does.
fn execute(unit: &str, key: &str) -> Result<()> {
    for line in unit_file(unit)?.lines() {
        let Some(command) =
            line.trim().strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='))
        else {
            continue;
        };
        let command = command.trim();
        let (command, may_fail) = match command.strip_prefix('-') {
            Some(command) => (command, true),
            None => (command, false),
        };
        // systemd's quoting is near enough to a shell's for what a remedy writes.
        let status = Command::new("sh").args(["-c", command]).status()?;
        ensure!(
            may_fail || status.success(),
            "Job for {unit}.service failed: `{command}` ended with {status}"
        );
    }
    Ok(())
}

/// `systemctl show [-p NAME,...] [--value] UNIT`
fn properties(args: &[String]) -> Result<i32> {
    let (mut wanted, mut only_values, mut unit) = (Vec::new(), false, None);
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        match arg.split_once('=') {
            Some(("--property", names)) => wanted.extend(names.split(',')),
            _ if matches!(arg, "-p" | "--property") => {
                wanted.extend(args.next().context("systemctl show: which property?")?.split(','));
            }
            _ if arg == "--value" => only_values = true,
            _ if arg == "show" || arg.starts_with('-') => {}
            _ => unit = Some(arg.strip_suffix(".service").unwrap_or(arg)),
        }
    }
    for line in show(unit.context("systemctl show: which unit?")?)?.lines() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        if wanted.is_empty() || wanted.contains(&name) {
            println!("{}", if only_values { value } else { line });
        }
    }
    Ok(0)
}

/// The properties that tell where a unit comes from and what runs of it.
fn show(unit: &str) -> Result<String> {
    let (path, drop_ins) = UnitFile::load(Path::new("/"), unit)
        .map_or_else(|_| (String::new(), String::new()), |file| (file.path, file.drop_ins.join(" ")));
    let pid = if SUPERVISED.contains(&unit) { supervised(Verb::Status, unit)?.pid } else { None };
    let active = pid.is_some() || Path::new(ACTIVE).join(unit).exists();
    Ok(format!(
        "MainPID={}\nActiveState={}\nFragmentPath={path}\nDropInPaths={drop_ins}\n",
        pid.unwrap_or_default(),
        if active { "active" } else { "inactive" }
    ))
}

fn status(unit: &str, long: bool, quiet: bool) -> Result<i32> {
    let known = SUPERVISED.contains(&unit) || unit_file(unit).is_ok();
    if !known && long {
        eprintln!("Unit {unit}.service could not be found.");
        return Ok(4);
    }
    let (active, detail) = if SUPERVISED.contains(&unit) {
        let reply = supervised(Verb::Status, unit)?;
        let detail = reply.pid.map(|pid| format!("   Main PID: {pid} ({unit})\n"));
        (reply.pid.is_some(), detail.unwrap_or_default())
    } else {
        (Path::new(ACTIVE).join(unit).exists(), String::new())
    };
    let word = if active { "active" } else { "inactive" };
    if long {
        let running = if active { "active (running)" } else { "inactive (dead)" };
        print!("{unit}.service\n     Active: {running}\n{detail}");
    } else if !quiet {
        println!("{word}");
    }
    Ok(if active { 0 } else { 3 })
}
