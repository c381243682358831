use super::super::testing::Tree;
use super::*;

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

fn tree(name: &str, flags: &[&str]) -> Tree {
    let tree = Tree::new(name);
    tree.init();
    tree.process(7, &[&["/usr/bin/kubelet"], flags].concat(), 1, Some("net:[1]"));
    tree
}

fn look(tree: &Tree) -> KubeletFile {
    file(&tree.place()).expect("it is read").expect("it is named")
}

#[test]
fn a_file_that_is_silent_has_the_defaults_of_files() {
    let tree = tree("defaults", &["--config=/etc/kubelet.yaml"]);
    tree.write("/etc/kubelet.yaml", HEAD);
    let found = look(&tree);
    assert_eq!((found.path.as_str(), found.named_by.as_str()), ("/etc/kubelet.yaml", "process"));
    assert!(found.exists && found.error.is_empty() && found.decoy.is_none());
    let config = found.config.expect("it can be used");
    assert!(config.webhook_authentication && !config.anonymous && !config.server_tls_bootstrap);
    assert_eq!(
        (config.authorization_mode.as_str(), config.port, config.read_only_port),
        ("Webhook", 10250, 0)
    );
    assert_eq!(config.tls_cert_file, "/var/lib/kubelet/pki/kubelet.crt");
    assert_eq!((found.cgroup_driver.as_str(), found.fail_swap_on), ("cgroupfs", true));
}

#[test]
fn flags_win_over_drop_ins_and_these_over_the_file() {
    let flags = [
        "--config",
        "/etc/kubelet.yaml",
        "--config-dir=/etc/kubelet.d",
        "--read-only-port=10255",
        "--anonymous-auth",
    ];
    let tree = tree("precedence", &flags);
    tree.write(
        "/etc/kubelet.yaml",
        format!("{HEAD}readOnlyPort: 1\nport: 11\ncgroupDriver: cgroupfs\nauthentication:\n  anonymous: {{enabled: false}}\n  webhook: {{enabled: false}}\n"),
    );
    tree.write("/etc/kubelet.d/20-b.conf", format!("{HEAD}port: 13\n"));
    tree.write("/etc/kubelet.d/10-a.conf", format!("{HEAD}port: 12\ncgroupDriver: systemd\n"));
    tree.write("/etc/kubelet.d/30-c.yaml", "no drop-in");
    let found = look(&tree);
    let config = found.config.expect("it can be used");
    assert_eq!((config.read_only_port, config.port), (10255, 13));
    assert!(config.anonymous && !config.webhook_authentication);
    assert_eq!(found.cgroup_driver, "systemd");
}

#[test]
fn a_decoy_is_compared_and_a_missing_file_is_said() {
    let tree = tree("decoy", &["--config=/etc/kubelet.yaml"]);
    tree.write(USUAL, format!("{HEAD}serverTLSBootstrap: true\n"));
    let missing = look(&tree);
    assert!(!missing.exists && missing.config.is_none() && missing.decoy.is_some());
    tree.write("/etc/kubelet.yaml", HEAD);
    assert_eq!(look(&tree).decoy, Some(vec!["serverTLSBootstrap".to_owned()]));
    tree.write("/etc/kubelet.yaml", format!("{HEAD}serverTLSBootstrap: true\n"));
    assert_eq!(look(&tree).decoy, None);
}

#[test]
fn what_a_kubelet_refuses_is_an_error_that_quotes_nothing() {
    for (text, expected) in [
        ("kind: [secret-word", "it is no YAML: line"),
        ("kind: Pod\n", "it holds no KubeletConfiguration"),
        ("", "it holds no KubeletConfiguration"),
        (
            "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nport: secret-word\n",
            "port is not a number",
        ),
        (
            "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nauthentication: {webhook: {enabled: secret-word}}\n",
            "authentication.webhook.enabled is not true or false",
        ),
    ] {
        let tree = tree("refused", &["--config=/etc/kubelet.yaml"]);
        tree.write("/etc/kubelet.yaml", text);
        let found = look(&tree);
        assert!(found.error.contains(expected), "{text}: {}", found.error);
        assert!(!found.error.contains("secret-word") && found.config.is_none() && found.exists);
    }
}

#[test]
fn the_certificate_in_use_is_read_without_its_key() {
    let tree = tree("certificates", &["--config=/etc/kubelet.yaml", "--cert-dir=/pki"]);
    tree.write("/etc/kubelet.yaml", format!("{HEAD}serverTLSBootstrap: true\n"));
    tree.write(
        "/pki/kubelet-server-current.pem",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n",
    );
    let found = certificates(&tree.place()).expect("they are read");
    assert_eq!(found[0].path, "/pki/kubelet-server-current.pem");
    assert_eq!(found[0].chain, Some(vec!["MIIB".to_owned()]));
    assert_eq!(found[1].chain, None, "there is no client certificate");
    assert!(!format!("{found:?}").contains("SECRET"));
}

#[test]
fn of_several_kubelets_the_machines_own_counts() {
    let tree = tree("several", &["--config=/etc/kubelet.yaml"]);
    let own = tree.0.join("proc/1/ns/net");
    assert!(own.is_symlink());
    tree.process(70, &["/usr/bin/kubelet", "--config=/kind.yaml"], 2, Some("net:[2]"));
    assert_eq!(process(&tree.place()).expect("it is seen").map(|process| process.pid), Some(7));
    tree.process(71, &["kubelet"], 1, Some("net:[1]"));
    assert!(process(&tree.place()).is_err(), "two of them share the machine's network");
}

#[test]
fn a_file_of_nested_aliases_is_not_read_and_is_no_fault_of_the_kubelets() {
    let tree = tree("bomb", &["--config=/etc/kubelet.yaml"]);
    tree.write("/etc/kubelet.yaml", format!("{HEAD}{}", super::yaml::tests::bomb()));
    let unseen = file(&tree.place()).expect_err("it is not read");
    assert!(
        unseen.message.starts_with("/etc/kubelet.yaml: it has more values or aliases"),
        "{}",
        unseen.message
    );
    assert!(certificates(&tree.place()).is_err());
    assert_eq!((static_pod_path(&tree.place()), endpoint(&tree.place()).ok().flatten()), (None, None));
}
