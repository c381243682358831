#![expect(clippy::unwrap_used, reason = "a test may")]

use crate::source::testing::{Directory, Pki};

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
            .collect(),
        service_account: PathBuf::from("/nonexistent"),
        exec_limit: Duration::from_millis(500),
    }
}

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: k, user: u, namespace: ns}}}}, {{name: lost, context: {{cluster: none, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

const SERVER: &str = "server: 'https://10.1.2.3:6443'";

async fn found(cluster: &str, user: &str, variables: &[(&str, &str)]) -> Result<Target, ConnectError> {
    let directory = Directory::new();
    let path = directory.file("config", kubeconfig(cluster, user));
    find(Some(&path), None, &environment(variables)).await
}

async fn error(cluster: &str, user: &str) -> String {
    let error = found(cluster, user, &[]).await.err().unwrap();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("5ecret"), "{text}");
    text
}

#[tokio::test]
async fn a_kubeconfig_leads_to_a_cluster() {
    let target =
        found("server: 'https://rancher:8443/k8s/clusters/c-1/'", "token: ' t0k '", &[]).await.unwrap();
    assert_eq!(target.server.to_string(), "https://rancher:8443/");
    assert_eq!(target.prefix, "/k8s/clusters/c-1");
    assert_eq!(target.authorization.unwrap(), "Bearer t0k");
    assert_eq!(target.connection.credential, "token");
    assert_eq!(target.connection.namespace.as_deref(), Some("ns"));
    assert_eq!(target.connection.server, "https://rancher:8443/k8s/clusters/c-1");

    let target = found(
        &format!("{SERVER}, tls-server-name: kubernetes, insecure-skip-tls-verify: true"),
        "username: a, password: b",
        &[],
    )
    .await
    .unwrap();
    assert_eq!(target.authorization.unwrap(), "Basic YTpi");
    assert_eq!(target.config.tls_server_name.as_deref(), Some("kubernetes"));
    assert!(target.connection.insecure_skip_tls_verify && target.config.accept_invalid_certs);

    let proxied =
        found(SERVER, "", &[("HTTPS_PROXY", "http://u:canary-5ecret@p:1"), ("NO_PROXY", "p")]).await.unwrap();
    assert_eq!(proxied.connection.proxy.as_deref(), Some("http://p:1"));
    assert_eq!(proxied.connection.proxy_reason, "HTTPS_PROXY");
    let direct =
        found(SERVER, "", &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "10.0.0.0/8,")]).await.unwrap();
    assert_eq!((direct.proxy, direct.connection.proxy_reason.as_str()), (None, "NO_PROXY"));

    let plain = found("server: 'http://localhost:8001'", "token: canary", &[]).await.unwrap();
    assert!(plain.authorization.is_none());
}

#[tokio::test]
async fn files_are_found_beside_the_kubeconfig() {
    let pki = Pki::new();
    let pair = pki.pair(&["user"]);
    let directory = Directory::new();
    directory.file("ca.pem", pki.ca_pem());
    directory.file("user.pem", &pair.pem);
    directory.file("user.key", pair.key.serialize_pem());
    directory.file("token", "from-file\n");
    let cluster = format!("{SERVER}, certificate-authority: ca.pem");
    let user = "client-certificate: user.pem, client-key: user.key, tokenFile: token, token: beside";
    let path = directory.file("config", kubeconfig(&cluster, user));
    let target = find(Some(&path), None, &environment(&[])).await.unwrap();
    assert_eq!(target.authorization.unwrap(), "Bearer from-file");
    assert_eq!(target.connection.credential, "token-file");
    assert_eq!(target.config.root_cert.unwrap().len(), 1);
    assert!(target.config.auth_info.client_certificate_data.is_some());
    // A token file that is gone leaves the token beside it.
    std::fs::remove_file(directory.0.join("token")).unwrap();
    let target = find(Some(&path), None, &environment(&[])).await.unwrap();
    assert_eq!(target.authorization.unwrap(), "Bearer beside");
}

#[tokio::test]
async fn errors_name_what_is_wrong_and_hold_no_secret() {
    let secret = STANDARD.encode("canary-5ecret");
    for (cluster, user, expected) in [
        (SERVER, "token: [canary-5ecret]", "line 6"),
        (SERVER, "token: {a: canary-5ecret", "not valid"),
        (
            SERVER,
            "client-key-data: 'canary-5ecret!'",
            "client key of user \"u\" is not usable: it is not base64",
        ),
        (SERVER, "client-certificate: /nonexistent/canary", "/nonexistent/canary"),
        (
            SERVER,
            &format!("client-key-data: {secret}"),
            "client certificate of user \"u\" is not usable: it is missing",
        ),
        (
            SERVER,
            &format!("client-key-data: {secret}, client-certificate-data: {secret}"),
            "no certificate in PEM",
        ),
        (SERVER, "tokenFile: /nonexistent/token", "token file"),
        (SERVER, "token: \"canary-5ecret\\x07\"", "token of user \"u\" is not usable"),
        (SERVER, "token: t, as: admin", "impersonates"),
        (SERVER, "auth-provider: {name: azure, config: {access-token: canary-5ecret}}", "azure"),
        (SERVER, "exec: {command: sh, args: [-c, 'echo canary-5ecret; exit 3']}", "exit status: 3"),
        (SERVER, "exec: {command: sleep, args: ['60']}", "did not finish"),
        ("server: 'canary 5ecret'", "", "not a URL"),
        ("server: 10.1.2.3", "", "no scheme"),
        ("server: ''", "", "missing"),
        ("server: 'ftp://a'", "", "no scheme"),
        ("server: 'https://a/../b'", "", "`..`"),
        (
            &format!("{SERVER}, certificate-authority-data: {secret}"),
            "",
            "certificate authority of cluster \"k\"",
        ),
        (&format!("{SERVER}, proxy-url: 'ftp://u:canary-5ecret@p'"), "", "proxy-url"),
    ] {
        let text = error(cluster, user).await;
        assert!(text.contains(expected), "{user} {cluster}: {text}");
    }
}

#[tokio::test]
async fn contexts_that_are_not_there_are_named_with_those_that_are() {
    let directory = Directory::new();
    let path = directory.file("config", kubeconfig(SERVER, ""));
    for (context, expected) in
        [("x", "no context \"x\"; it has: c, lost"), ("lost", "no cluster \"none\"; it has: k")]
    {
        let error = find(Some(&path), Some(context), &environment(&[])).await.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let path = directory.file("empty", "");
    let error = find(Some(&path), None, &environment(&[])).await.err().unwrap().to_string();
    assert!(error.contains("no current context"), "{error}");
}

#[tokio::test]
async fn a_broken_kubeconfig_is_never_passed_over() {
    let directory = Directory::new();
    let pki = Pki::new();
    directory.file("sa/token", "pod-token");
    directory.file("sa/ca.crt", pki.ca_pem());
    directory.file("sa/namespace", "monitoring");
    let mut environment = environment(&[
        ("HOME", directory.0.to_str().unwrap()),
        ("KUBERNETES_SERVICE_HOST", "fd00::1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ]);
    environment.service_account = directory.0.join("sa");
    // Without any kubeconfig, the pod's own.
    let target = find(None, None, &environment).await.unwrap();
    assert_eq!(target.connection.origin, "in-cluster");
    assert_eq!(target.connection.server, "https://[fd00::1]:443");
    assert_eq!(target.connection.namespace.as_deref(), Some("monitoring"));
    assert_eq!(target.authorization.unwrap(), "Bearer pod-token");
    // With a broken one, an error.
    let default = directory.file(".kube/config", "users: {");
    assert!(matches!(find(None, None, &environment).await, Err(ConnectError::ParseKubeconfig { .. })));
    std::fs::write(&default, kubeconfig(SERVER, "")).unwrap();
    assert_eq!(find(None, None, &environment).await.unwrap().connection.origin, "kubeconfig");
    // KUBECONFIG is a list whose missing files are passed over, but it is never passed over as a whole.
    let missing = directory.0.join("missing");
    let list = std::env::join_paths([&missing, &default]).unwrap();
    environment.variables.insert("KUBECONFIG".to_owned(), list);
    assert!(find(None, None, &environment).await.is_ok());
    environment.variables.insert("KUBECONFIG".to_owned(), missing.clone().into());
    assert!(matches!(find(None, None, &environment).await, Err(ConnectError::NoKubeconfig { .. })));
    assert!(matches!(
        find(Some(&missing), None, &environment).await,
        Err(ConnectError::ReadKubeconfig { .. })
    ));
    // A file that ends within a UTF-16 character.
    let half = directory.file("half", [0xff, 0xfe, 0x61]);
    assert!(matches!(find(Some(&half), None, &environment).await, Err(ConnectError::ReadKubeconfig { .. })));
}

#[tokio::test]
async fn a_plugin_runs_once() {
    let directory = Directory::new();
    let counter = directory.0.join("runs");
    let script = format!(
        r#"echo run >> {}; echo "{{\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"t\"}}}}""#,
        counter.display()
    );
    let user = format!("exec: {{command: sh, args: [-c, '{script}'], interactiveMode: Never}}");
    let path = directory.file("config", kubeconfig(SERVER, &user));
    let options = super::super::ConnectOptions { kubeconfig: Some(path), ..Default::default() };
    let live = super::super::Live::connect_in(options, &environment(&[])).await.unwrap();
    assert_eq!(live.connection().credential, "exec");
    assert_eq!(std::fs::read_to_string(counter).unwrap(), "run\n");
}
