//! The flags that Kubernetes has taken out, held against its programs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use checks::removed_flags::{COMPONENTS, REMOVED, removed};

/// Flags of old guides that these programs know still, whatever is said of them.
const KEPT: &[(&str, &[&str])] = &[
    (
        "kube-apiserver",
        &["admission-control", "allow-privileged", "apiserver-count", "kubelet-port", "token-auth-file"],
    ),
    (
        "kubelet",
        &["cloud-provider", "cluster-dns", "container-runtime-endpoint", "port", "read-only-port", "v"],
    ),
    ("kube-controller-manager", &["cloud-provider", "enable-hostpath-provisioner", "master"]),
    ("kube-scheduler", &["master"]),
    ("kube-proxy", &["healthz-port", "master", "metrics-port", "vmodule"]),
];

/// Starts a program with a flag, and with one behind it that nobody knows, so that it ends in any case.
fn said(programs: &Path, component: &str, name: &str) -> Result<String> {
    let program = programs.join(component);
    let mut command = Command::new("timeout");
    command.args(["30".as_ref(), program.as_os_str()]);
    let output = command.args([format!("--{name}=0"), "--nobody-knows-this".to_owned()]).output()?;
    ensure!(!output.status.success(), "{component} --{name} did not end with an error");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

fn is_refused(said: &str, name: &str) -> bool {
    said.split("unknown flag: --").skip(1).any(|rest| {
        rest.strip_prefix(name)
            .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '-'))
    })
}

#[test]
fn what_is_said_of_flags_is_what_the_programs_do() -> Result<()> {
    let programs = cluster::install()?;
    let mut wrong = Vec::new();
    let mut refused = 0;
    for component in COMPONENTS {
        let version = Command::new(programs.join(component)).arg("--version").output()?.stdout;
        let version = String::from_utf8(version)?;
        let minor = version.trim().split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        let minor = minor.with_context(|| format!("{component} says {version:?}"))?;
        for row in REMOVED.iter().filter(|row| row.components.contains(component)) {
            for name in row.names {
                let is_gone = row.minor <= minor;
                refused += u32::from(is_gone);
                let said = said(&programs, component, name)?;
                if is_refused(&said, name) != is_gone {
                    wrong.push(format!(
                        "{component} 1.{minor} --{name}: {}",
                        said.lines().last().unwrap_or_default()
                    ));
                }
            }
        }
        for (_, names) in KEPT.iter().filter(|(of, _)| of == component) {
            for name in *names {
                let said = said(&programs, component, name)?;
                if is_refused(&said, name) || removed(component, name).is_some() {
                    wrong.push(format!(
                        "{component} --{name} is known: {}",
                        said.lines().last().unwrap_or_default()
                    ));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(refused > 80, "only {refused} flags were refused");
    Ok(())
}
