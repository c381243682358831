//! A whole look at a directory, and what stands in the way of reading one.

use std::time::{Duration, Instant};

use super::files::Unread;
use super::testing::Tree;
use super::*;

fn options(tree: &Tree) -> MachineOptions {
    MachineOptions { root: tree.0.clone(), name: Some("one".to_owned()), dials: Vec::new() }
}

async fn outcome_of(tree: &Tree, fact: &str) -> Outcome {
    let machine = Machine::look(&options(tree)).await.expect("it has a root");
    machine.ask(&Request::fact("host one", fact)).outcome.clone()
}

#[tokio::test]
async fn every_fact_is_answered_whatever_the_root_holds() {
    let tree = Tree::new("empty");
    let machine = Machine::look(&options(&tree)).await.expect("it has a root");
    for (fact, _) in ON_DISK {
        let seen = machine.ask(&Request::fact("host one", *fact));
        assert!(!matches!(seen.outcome, Outcome::NotRecorded), "{fact}");
    }
    // Nothing is taken for absent where nothing could be seen.
    for fact in
        ["kubelet process", "kube-apiserver", "container runtime", "settings", "listeners", "packet filter"]
    {
        let seen = machine.ask(&Request::fact("host one", fact));
        assert!(matches!(seen.outcome, Outcome::Failed { .. }), "{fact}: {:?}", seen.outcome);
    }
}

#[tokio::test]
async fn a_root_full_of_traps_is_read_in_time() {
    let tree = Tree::new("traps");
    tree.init();
    let garbage: Vec<u8> =
        (0..200_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for file in [
        "/proc/7/cmdline",
        "/proc/7/status",
        "/proc/7/stat",
        "/proc/swaps",
        "/proc/modules",
        "/proc/1/net/tcp",
        "/proc/1/net/tcp6",
        "/proc/1/net/route",
        "/proc/1/net/ipv6_route",
        "/proc/1/net/fib_trie",
        "/proc/1/net/if_inet6",
        "/proc/1/net/ip_vs",
        "/etc/sysctl.d/1.conf",
        "/etc/modules-load.d/1.conf",
        "/etc/systemd/system/kubelet.service",
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        "/etc/kubernetes/kubelet.conf",
        "/etc/environment",
        "/etc/resolv.conf",
        "/etc/ufw/ufw.conf",
        "/etc/os-release",
        "/etc/hostname",
    ] {
        tree.write(file, &garbage);
    }
    tree.process(8, &["/usr/bin/kubelet", "--config=/loop/a"], 1, Some("net:[1]"));
    tree.link("/loop/a", "b");
    tree.link("/loop/b", "a");
    tree.link("/etc/systemd/system/multi-user.target.wants", "/etc/systemd/system/multi-user.target.wants");
    let begun = Instant::now();
    let machine = Machine::look(&options(&tree)).await.expect("it has a root");
    assert!(begun.elapsed() < Duration::from_secs(30));
    let seen = machine.ask(&Request::fact("host one", "kubelet configuration"));
    let Outcome::Fact { value } = &seen.outcome else { panic!("{:?}", seen.outcome) };
    assert!(value["error"].as_str().expect("an error").contains("in a circle"), "{value}");
}

#[test]
fn nothing_but_a_regular_file_of_a_bearable_size_is_read() {
    let tree = Tree::new("kinds");
    let root = tree.root();
    let unfit = |path: &str, part: &str| match root.read(path) {
        Err(Unread::Unfit(words)) => assert!(words.contains(part) && words.contains(path), "{words}"),
        other => panic!("{path}: {other:?}"),
    };
    let fifo = tree.path("/fifo");
    let made = rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0);
    made.expect("a FIFO");
    unfit("/fifo", "a FIFO");
    tree.write("/huge", vec![b'x'; files::LIMIT + 1]);
    unfit("/huge", "larger than");
    assert!(root.text_part("/huge", 10).expect("a part").cut);
    unfit("/", "a directory");
    tree.write("/full", vec![b'x'; files::LIMIT]);
    assert_eq!(root.read("/full").expect("it fits").len(), files::LIMIT);
    assert_eq!(root.read("/none"), Err(Unread::Absent));
    assert_eq!(root.read("/full/below"), Err(Unread::Absent));
}

#[test]
fn no_link_leads_out_of_the_root() {
    let tree = Tree::new("links");
    let outside = tree.path("/outside");
    tree.write("/outside", "secret");
    tree.write("/root/inside", "fine");
    tree.write("/root/etc/shadow", "inner");
    tree.link("/root/up", "../outside");
    tree.link("/root/far", "../../../../../../../../etc/hostname");
    tree.link("/root/absolute", outside.to_str().expect("a path"));
    tree.link("/root/own", "/etc/shadow");
    tree.link("/root/chain", "deep/../own");
    std::fs::create_dir_all(tree.path("/root/deep")).expect("a directory");
    let root = Root::open(&tree.path("/root")).expect("a root");
    assert_eq!(root.text("/inside").as_deref(), Ok("fine"));
    assert_eq!(
        root.text("/own").as_deref(),
        Ok("inner"),
        "an absolute link begins at the root that was given"
    );
    assert_eq!(root.text("/chain").as_deref(), Ok("inner"));
    for path in ["/up", "/far", "/absolute", "/../outside", "/deep/../../outside"] {
        assert_eq!(root.text(path), Err(Unread::Absent), "{path}");
    }
}

#[tokio::test]
async fn who_may_not_look_says_so() {
    let tree = Tree::new("hidepid");
    // With hidepid nobody's processes but one's own are there.
    tree.write("/proc/stat", "btime 1700000000\n");
    tree.process(4711, &["/bin/sh"], 1, None);
    let seen = outcome_of(&tree, "kubelet process").await;
    assert!(matches!(seen, Outcome::Failed { kind: FailureKind::NotPermitted, .. }), "{seen:?}");

    let tree = Tree::new("container");
    tree.init();
    tree.process(9, &["/usr/local/bin/kube-apiserver", "--v=2"], 2, None);
    let seen = outcome_of(&tree, "kube-apiserver").await;
    assert!(matches!(seen, Outcome::Failed { kind: FailureKind::NotPermitted, .. }), "{seen:?}");
}

#[tokio::test]
async fn a_distribution_in_one_process_is_named() {
    let tree = Tree::new("k3s");
    tree.init();
    tree.process(9, &["/usr/local/bin/k3s server"], 1, Some("net:[1]"));
    for fact in ["kubelet process", "kube-apiserver"] {
        let Outcome::Failed { kind, message } = outcome_of(&tree, fact).await else {
            panic!("{fact} was seen")
        };
        assert!(kind == FailureKind::Lacking && message.contains("k3s"), "{message}");
    }
    let agent = Tree::new("k3s-agent");
    agent.init();
    agent.process(9, &["/usr/local/bin/k3s", "agent"], 1, Some("net:[1]"));
    assert!(matches!(outcome_of(&agent, "kube-apiserver").await, Outcome::Fact { value } if value.is_null()));
}

#[tokio::test]
async fn the_control_plane_is_its_process_and_its_manifest() {
    let tree = Tree::new("control-plane");
    tree.init();
    tree.write(
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        "spec:\n  containers:\n  - command: [kube-apiserver, --proxy-client-cert-file=/pki/new.crt, --secret-token=hidden]\n",
    );
    let manifest = outcome_of(&tree, "kube-apiserver").await;
    let Outcome::Fact { value } = manifest else { panic!("{manifest:?}") };
    assert_eq!(
        (value["seen_as"].as_str(), value["path"].as_str()),
        (Some("manifest"), Some("/etc/kubernetes/manifests/kube-apiserver.yaml"))
    );
    tree.process(20, &["kube-apiserver", "--proxy-client-cert-file=/pki/old.crt"], 2, Some("net:[1]"));
    tree.write("/pki/old.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    let process = outcome_of(&tree, "kube-apiserver").await;
    let Outcome::Fact { value } = process else { panic!("{process:?}") };
    assert_eq!(value["seen_as"], "process");
    assert_eq!(value["flags"]["proxy-client-cert-file"], "/pki/old.crt");
    assert_eq!(value["declared"], serde_json::json!({"proxy-client-cert-file": "/pki/new.crt"}));
    let Outcome::Fact { value } = outcome_of(&tree, "front-proxy certificates").await else {
        panic!("not seen")
    };
    assert_eq!(value["client"]["chain"], serde_json::json!(["MIIB"]));
    assert!(value["ca"].is_null(), "the flag is not set");
}
