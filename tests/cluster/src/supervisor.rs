//! Keeps the hosts and their programs alive, as systemd and the kubelet of the control plane would.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::control::{Reply, Request, Verb};
use crate::hook::MARK;
use crate::layout::{CONTROL_PLANE, HOST_VARIABLE, Layout, ROLE_VARIABLE, is_control_plane};
use crate::net::CONTROL_PLANE_IP;
use crate::policy;
use crate::process;
use crate::run::wait_for;
use crate::unit::Unit;

const TICK: Duration = Duration::from_millis(100);

const KUBE_PROXY: [&str; 2] = ["kube-proxy", "--config=/var/lib/kube-proxy/config.conf"];

/// etcd for those who need it: other hosts reach it only where others have a kube-apiserver.
fn etcd(layout: &Layout) -> Vec<String> {
    let own = "http://127.0.0.1:2379".to_owned();
    let clients =
        if layout.control_planes > 1 { format!("{own},http://{CONTROL_PLANE_IP}:2379") } else { own };
    let words = [
        "etcd".to_owned(),
        "--data-dir=/var/lib/etcd/member-data".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    words.to_vec()
}

/// A unit, and beside its lock what finds it: one that takes long to stop does not hide the others.
struct Slot {
    host: String,
    name: String,
    unit: Mutex<Unit>,
}

type Units = Arc<Vec<Slot>>;

/// The life of the supervisor; it ends with its PID namespace.
pub(crate) fn run(cluster: &str) -> Result<()> {
    let layout = Layout::load(cluster)?;
    let program = layout.program();
    let program = program.to_str().context("the path of this program is no text")?;
    let mut units = Vec::new();
    for (host, keeper) in keepers(&layout)? {
        if host == CONTROL_PLANE {
            let etcd = etcd(&layout);
            let etcd: Vec<&str> = etcd.iter().map(String::as_str).collect();
            units.push(Unit::service(&layout, &host, keeper, "etcd", &etcd));
            for name in ["kube-controller-manager", "kube-scheduler"] {
                units.push(Unit::static_pod(&layout, &host, keeper, name));
            }
        }
        if is_control_plane(&host) {
            units.push(Unit::static_pod(&layout, &host, keeper, "kube-apiserver"));
        } else {
            units.push(Unit::service(&layout, &host, keeper, "containerd", &["containerd"]));
            units.push(Unit::of_file(&layout, &host, keeper, "kubelet"));
            // Runs only where a scenario wants policies to be enforced.
            units.push(Unit::service(&layout, &host, keeper, policy::PLUGIN, &[program, MARK, "policies"]));
        }
        units.push(Unit::service(&layout, &host, keeper, "kube-proxy", &KUBE_PROXY));
    }
    let units: Units = Arc::new(
        units
            .into_iter()
            .map(|unit| Slot { host: unit.host.clone(), name: unit.name.clone(), unit: Mutex::new(unit) })
            .collect(),
    );
    let listener = UnixListener::bind(layout.socket()).context("cannot bind the control socket")?;
    let served = Arc::clone(&units);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let units = Arc::clone(&served);
            thread::spawn(move || answer(&units, &stream));
        }
    });
    loop {
        for slot in units.iter() {
            if let Ok(mut unit) = slot.unit.try_lock()
                && let Err(error) = unit.tick()
            {
                eprintln!("{} on {}: {error:#}", unit.name, unit.host);
            }
        }
        thread::sleep(TICK);
    }
}

/// Starts the hosts; for each the process whose namespaces are the host's.
fn keepers(layout: &Layout) -> Result<Vec<(String, u32)>> {
    for host in layout.hosts() {
        keep(layout, &host)?;
    }
    let mut keepers = Vec::new();
    for host in layout.hosts() {
        let ready = layout.host_dir(&host).join("keeper");
        wait_for(&format!("host {host}"), Duration::from_secs(20), || Ok(ready.exists()))?;
        let keeper = process::of_cluster(&layout.name)
            .into_iter()
            .find(|process| process.role.as_deref() == Some("keeper") && process.host.as_ref() == Some(&host))
            .with_context(|| format!("host {host} has no keeper"))?;
        keepers.push((host, u32::try_from(keeper.pid)?));
    }
    Ok(keepers)
}

/// Starts a host's keeper. It is the first process of the host's PID namespace, and `unshare`, which waits for it,
/// is outside: only the keeper itself may carry the role.
fn keep(layout: &Layout, host: &str) -> Result<()> {
    fs::create_dir_all(layout.host_dir(host))?;
    Command::new("nsenter")
        .arg(format!("--net=/run/netns/{}", layout.netns(host)))
        .args(["--", "unshare", "--mount", "--uts", "--pid", "--fork", "--propagation", "private", "--"])
        .args(["env", &format!("{ROLE_VARIABLE}=keeper"), &format!("{HOST_VARIABLE}={host}")])
        .arg(env::current_exe()?)
        .args([MARK, "keep", &layout.name, host])
        .spawn()
        .with_context(|| format!("cannot start host {host}"))?;
    Ok(())
}

fn answer(units: &Units, mut stream: &UnixStream) {
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line).is_err() {
        return;
    }
    let reply = serde_json::from_str(&line)
        .map_err(anyhow::Error::from)
        .and_then(|request| carry_out(units, &request))
        .unwrap_or_else(|error| Reply {
            error: Some(format!("{error:#}")),
            pid: None,
            starts: 0,
            manifest: None,
        });
    if let Ok(text) = serde_json::to_string(&reply) {
        // Whoever does not wait for the answer does not need it.
        writeln!(stream, "{text}").ok();
    }
}

fn carry_out(units: &Units, request: &Request) -> Result<Reply> {
    let slot = units
        .iter()
        .find(|slot| slot.host == request.host && slot.name == request.unit)
        .with_context(|| format!("Unit {}.service could not be found on {}.", request.unit, request.host))?;
    let mut unit = lock(&slot.unit);
    match request.verb {
        Verb::Start => unit.start()?,
        Verb::Stop => unit.stop(),
        Verb::Restart => {
            unit.stop();
            unit.start()?;
        }
        Verb::Status => {}
    }
    Ok(Reply { error: None, pid: unit.pid_on_host(), starts: unit.starts, manifest: unit.manifest() })
}

/// A panic while a unit was held leaves at worst a program to be started again.
fn lock(unit: &Mutex<Unit>) -> MutexGuard<'_, Unit> {
    unit.lock().unwrap_or_else(PoisonError::into_inner)
}
