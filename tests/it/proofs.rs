//! Printed proofs, run as they are printed: they fail while the fault is there and succeed once it is gone.
//!
//! Programs that would ask the machine have stand-ins, and files stand in a directory of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::tree::root;

/// The first step of the cure of a check, from the report of a recording.
fn step(recording: &Path, code: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .args(["check", "-o", "json", "--replay"])
        .arg(recording)
        .env_remove("KUBECONFIG")
        .output()
        .expect("the program starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let causes = document["root_causes"].as_array().expect("root causes");
    let cause = causes.iter().find(|cause| cause["code"] == code).expect("the cause is named");
    cause["remedies"][0]["steps"][0].clone()
}

/// A directory with programs in it; it is gone with this.
struct Machine(PathBuf);

impl Machine {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mp-proof-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("bin")).expect("a directory");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is one");
    }

    /// Whether a script succeeds, with files of this machine in the place of others.
    fn succeeds(&self, script: &str, files: &[(&str, &Path)]) -> bool {
        let replace = |script: String, (instead, file): &(&str, &Path)| {
            script.replace(instead, &file.display().to_string())
        };
        let script = files.iter().fold(script.to_owned(), replace);
        let path = format!("{}:/usr/bin:/bin", self.path("bin").display());
        let output = Command::new("/bin/sh").arg("-c").arg(script).env("PATH", path).output();
        output.expect("a shell").status.success()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn flags_that_run_are_those_of_the_manifest() {
    const MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
    let recording = root().join("tests/recordings/machines-manifest-unread.machines.jsonl");
    let step = step(&recording, "MP040");
    let proof = step["verify"].as_str().expect("a proof");
    assert!(proof.contains(MANIFEST), "{proof}");
    let machine = Machine::new("flags");
    let (manifest, process) = (machine.path("manifest.yaml"), machine.path("process"));
    machine.program("pgrep", &format!("[ -s '{}' ]", process.display()));
    machine.program("ps", &format!("cat '{}'", process.display()));
    let holds = |declared: &str, runs: &str| {
        fs::write(&manifest, declared).expect("a manifest");
        fs::write(&process, runs).expect("a process");
        machine.succeeds(proof, &[(MANIFEST, &manifest)])
    };
    let declared = "    - kube-apiserver\n    - --requestheader-allowed-names=front-proxy-client\n    - \"--proxy-client-cert-file=/a.crt\"\n#   - --enable-aggregator-routing=true\n    - --v=2\n";
    let (names, file) =
        ("--requestheader-allowed-names=front-proxy-client", "--proxy-client-cert-file=/a.crt");
    assert!(holds(declared, &format!("kube-apiserver --v=4 {file} {names}\n")));
    assert!(!holds(declared, &format!("kube-apiserver {names} --proxy-client-cert-file=/b.crt\n")));
    assert!(!holds(declared, &format!("kube-apiserver {names}\n")), "one does not run");
    assert!(!holds(declared, "kube-apiserver --v=2\n"), "none runs");
    assert!(!holds("    - kube-apiserver\n", &format!("kube-apiserver {file}\n")), "none is declared");
    assert!(holds("    - kube-apiserver\n", "kube-apiserver --v=2\n"), "none on both sides");
    assert!(!holds("    - kube-apiserver\n", ""), "nothing runs");
    let flow =
        "  command: [kube-apiserver, --requestheader-allowed-names=a,b, --enable-aggregator-routing]\n";
    assert!(holds(
        flow,
        "kube-apiserver --enable-aggregator-routing=true --requestheader-allowed-names=a,b\n"
    ));
}

/// The recording of a healthy node, on which swap is on and the kubelet does not run.
fn with_swap(machine: &Machine, at_boot: &Value) -> PathBuf {
    let text = fs::read_to_string(root().join("tests/hosts/node-healthy.jsonl")).expect("a recording");
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    for line in &mut lines {
        let name = line["request"]["fact"]["fact"].clone();
        let value = &mut line["outcome"]["fact"]["value"];
        match name.as_str() {
            Some("swap") => *value = json!(1 << 30),
            Some("kubelet process") => *value = Value::Null,
            Some("kubelet configuration") => value["fail_swap_on"] = json!(true),
            _ => {}
        }
    }
    let swap = lines.iter().position(|line| line["request"]["fact"]["fact"] == "swap").expect("it is there");
    let mut more = lines[swap].clone();
    more["request"]["fact"]["fact"] = json!("swap at boot");
    more["outcome"]["fact"]["value"] = at_boot.clone();
    lines.insert(swap + 1, more);
    lines.pop();
    lines.push(json!({ "end": lines.len() - 1 }));
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let path = machine.path("changed.jsonl");
    fs::write(&path, lines.join("\n") + "\n").expect("a recording");
    path
}

#[test]
fn swap_that_is_turned_off_stays_off() {
    const FSTAB: &str = "# swap was on /dev/sda2\nUUID=a / ext4 defaults 0 1\nUUID=b none swap sw 0 0\n  /swapfile\tnone\tswap\n/dev/x none swap noauto 0 0\n";
    let machine = Machine::new("swap");
    let at_boot = json!({
        "sources": [
            {"kind": "fstab", "name": "UUID=b", "file": "/etc/fstab"},
            {"kind": "service", "name": "zramswap.service", "file": "/lib/systemd/system/zramswap.service"},
        ],
        "turned_off_by": null,
    });
    let step = step(&with_swap(&machine, &at_boot), "MP034");
    let (script, proof) =
        (step["command"].as_str().expect("a script"), step["verify"].as_str().expect("a proof"));
    let (fstab, swaps, units) = (machine.path("fstab"), machine.path("swaps"), machine.path("units"));
    fs::write(&fstab, FSTAB).expect("a file");
    fs::write(&swaps, "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n").expect("a file");
    fs::write(&units, "").expect("a file");
    let (swaps_path, units_path) = (swaps.display(), units.display());
    machine.program("swapoff", &format!("echo Filename > '{swaps_path}'"));
    // What it was told to mask is masked, and the kubelet is active once it was started.
    machine.program(
        "systemctl",
        &format!(
            "verb=$1; for unit; do :; done\ncase $verb in\nmask|disable|restart) echo \"$verb $unit\" >> '{units_path}';;\n\
             is-enabled) grep -qx \"mask $unit\" '{units_path}' && {{ echo masked; exit 1; }}; echo enabled;;\n\
             is-active) grep -qx \"restart $unit\" '{units_path}';;\n*) exit 9;;\nesac"
        ),
    );
    let files: [(&str, &Path); 2] = [("/etc/fstab", &fstab), ("/proc/swaps", &swaps)];
    assert!(!machine.succeeds(proof, &files), "swap is on");
    assert!(machine.succeeds(script, &files), "{script}");
    assert!(machine.succeeds(proof, &files), "{proof}");
    let cured = fs::read_to_string(&fstab).expect("a file");
    let expected = FSTAB.replace("UUID=b", "#UUID=b").replace("  /swapfile", "#  /swapfile");
    assert_eq!(cured, expected);
    // Again it changes nothing, and the copy is still that of before.
    assert!(machine.succeeds(script, &files));
    assert_eq!(fs::read_to_string(&fstab).expect("a file"), cured);
    assert_eq!(fs::read_to_string(machine.path("fstab.before-swapoff")).expect("a copy"), FSTAB);
    // Each part of the proof counts.
    fs::write(&fstab, FSTAB).expect("a file");
    assert!(!machine.succeeds(proof, &files), "a boot brings it back");
    fs::write(&fstab, &cured).expect("a file");
    for missing in ["mask swap.target", "mask zramswap.service", "restart kubelet"] {
        let all = fs::read_to_string(&units).expect("a file");
        let without: Vec<&str> = all.lines().filter(|line| *line != missing).collect();
        fs::write(&units, without.join("\n") + "\n").expect("a file");
        assert!(!machine.succeeds(proof, &files), "without {missing}");
        fs::write(&units, all).expect("a file");
    }
    assert!(machine.succeeds(proof, &files));
}
