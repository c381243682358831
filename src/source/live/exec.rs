//! Credential plugins of a kubeconfig (`users[].user.exec`).
//!
//! The plugin runs once, with a time limit, and only because the user's own kubeconfig names it. Its standard error
//! goes to the terminal, as kubectl does it; its standard output is the credential, so no error ever quotes it. The
//! protocol is that of <https://kubernetes.io/docs/reference/config-api/client-authentication.v1/>.

use std::io::IsTerminal as _;
use std::process::Stdio;
use std::time::Duration;

use kube::config::{Cluster, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::error::ConnectError;

/// How long a plugin may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How much a plugin may print.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// What a plugin gives.
#[derive(Default)]
pub(super) struct Credential {
    pub(super) token: Option<SecretString>,
    /// PEM.
    pub(super) certificate: Option<String>,
    /// PEM.
    pub(super) key: Option<SecretString>,
}

#[derive(Deserialize)]
struct Answer {
    kind: Option<String>,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Runs the plugin once.
pub(super) async fn run(
    exec: &ExecConfig,
    cluster: &Cluster,
    limit: Duration,
) -> Result<Credential, ConnectError> {
    let name = exec.command.clone().unwrap_or_default();
    let failed = |reason: String| ConnectError::Exec { command: name.clone(), reason };
    if name.is_empty() {
        return Err(failed("is not named (`command` is missing)".to_owned()));
    }
    let on_terminal = std::io::stdin().is_terminal();
    let interactive = match exec.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !on_terminal => {
            return Err(failed("wants to ask on a terminal, and there is none".to_owned()));
        }
        _ => on_terminal,
    };
    let version = exec.api_version.clone().unwrap_or_else(|| "client.authentication.k8s.io/v1".to_owned());
    let mut spec = json!({"interactive": interactive});
    if exec.provide_cluster_info {
        let info = ExecAuthCluster::try_from(cluster)
            .ok()
            .and_then(|info| serde_json::to_value(info).ok())
            .ok_or_else(|| {
            failed("needs the cluster's certificate authority, which cannot be read".to_owned())
        })?;
        spec["cluster"] = info;
    }
    let info = json!({"apiVersion": version, "kind": "ExecCredential", "spec": spec});

    let mut command = tokio::process::Command::new(&name);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    command.env("KUBERNETES_EXEC_INFO", info.to_string());
    command.stdin(if interactive { Stdio::inherit() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| {
        let hint = exec.install_hint.as_deref().map(|hint| format!(" ({})", hint.trim())).unwrap_or_default();
        failed(format!("cannot be started: {error}{hint}"))
    })?;

    let output = tokio::time::timeout(limit, async {
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut output).await?;
        }
        // A plugin that prints without end is not waited for: it blocks once the pipe is full.
        let status = if output.len() as u64 > OUTPUT_LIMIT { None } else { Some(child.wait().await?) };
        std::io::Result::Ok((status, output))
    });
    let (status, output) = output
        .await
        .map_err(|_| failed(format!("did not finish within {} seconds", limit.as_secs_f32())))?
        .map_err(|error| failed(format!("cannot be read: {error}")))?;
    let status = status.ok_or_else(|| failed(format!("printed more than {OUTPUT_LIMIT} bytes")))?;
    if !status.success() {
        return Err(failed(format!("failed with {status}")));
    }
    // Neither the output nor serde's words about it: both may quote the token.
    let answer: Answer = serde_json::from_slice(&output).map_err(|error| {
        failed(format!("printed no ExecCredential (line {}, column {})", error.line(), error.column()))
    })?;
    let status = answer
        .status
        .filter(|_| answer.kind.as_deref() == Some("ExecCredential"))
        .ok_or_else(|| failed("printed no ExecCredential with a status".to_owned()))?;
    let credential = Credential {
        token: status.token.filter(|token| !token.is_empty()).map(SecretString::from),
        certificate: status.client_certificate_data.filter(|pem| !pem.is_empty()),
        key: status.client_key_data.filter(|pem| !pem.is_empty()).map(SecretString::from),
    };
    if credential.token.is_none() && (credential.certificate.is_none() || credential.key.is_none()) {
        return Err(failed("gave neither a token nor a certificate with its key".to_owned()));
    }
    Ok(credential)
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use std::time::Instant;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn shell(script: &str) -> ExecConfig {
        ExecConfig {
            command: Some("sh".to_owned()),
            args: Some(vec!["-c".to_owned(), script.to_owned()]),
            interactive_mode: Some(ExecInteractiveMode::Never),
            ..ExecConfig::default()
        }
    }

    async fn answer(script: &str) -> Result<Credential, ConnectError> {
        run(&shell(script), &Cluster::default(), Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_token_or_a_certificate_is_taken() {
        let credential =
            answer(r#"echo '{"kind":"ExecCredential","status":{"token":"t0k"}}'"#).await.unwrap();
        assert_eq!(credential.token.unwrap().expose_secret(), "t0k");
        let pair =
            r#"echo '{"kind":"ExecCredential","status":{"clientCertificateData":"c","clientKeyData":"k"}}'"#;
        assert_eq!(answer(pair).await.unwrap().certificate.unwrap(), "c");
    }

    #[tokio::test]
    async fn the_plugin_is_told_what_it_is_asked() {
        let mut exec = shell(
            r#"case "$KUBERNETES_EXEC_INFO" in *'"server":"https://x"'*) ;; *) exit 3;; esac
            test "$EXTRA" = 1 && echo '{"kind":"ExecCredential","status":{"token":"t"}}'"#,
        );
        exec.provide_cluster_info = true;
        exec.env = Some(vec![
            [("name".to_owned(), "EXTRA".to_owned()), ("value".to_owned(), "1".to_owned())].into(),
        ]);
        let cluster = Cluster { server: Some("https://x".to_owned()), ..Cluster::default() };
        assert!(run(&exec, &cluster, TIME_LIMIT).await.is_ok());
    }

    #[tokio::test]
    async fn errors_say_what_happened_and_never_quote_the_output() {
        for (script, expected) in [
            ("echo canary-5ecret; exit 7", "exit status: 7"),
            ("echo canary-5ecret", "no ExecCredential"),
            (r#"echo '{"kind":"ExecCredential","status":"canary-5ecret"}'"#, "no ExecCredential"),
            (r#"echo '{"kind":"ExecCredential","status":{"token":["canary-5ecret"]}}'"#, "no ExecCredential"),
            (r#"echo '{"kind":"Other","status":{"token":"canary-5ecret"}}'"#, "no ExecCredential"),
            (r#"echo '{"kind":"ExecCredential","status":{}}'"#, "neither a token"),
            (
                r#"echo '{"kind":"ExecCredential","status":{"clientKeyData":"canary-5ecret"}}'"#,
                "neither a token",
            ),
            ("yes canary-5ecret", "more than"),
        ] {
            let error = answer(script).await.err().unwrap().to_string();
            assert!(error.contains(expected) && !error.contains("5ecret"), "{script}: {error}");
        }
        let missing = ExecConfig {
            command: Some("/nonexistent/plugin".to_owned()),
            install_hint: Some("install it".to_owned()),
            ..ExecConfig::default()
        };
        let error = run(&missing, &Cluster::default(), TIME_LIMIT).await.err().unwrap().to_string();
        assert!(error.contains("/nonexistent/plugin") && error.contains("install it"), "{error}");
        assert!(run(&ExecConfig::default(), &Cluster::default(), TIME_LIMIT).await.is_err());
    }

    #[tokio::test]
    async fn the_time_limit_holds_even_for_grandchildren() {
        for script in ["sleep 60", "sleep 60 & exit 0"] {
            let start = Instant::now();
            let error =
                run(&shell(script), &Cluster::default(), Duration::from_millis(300)).await.err().unwrap();
            assert!(error.to_string().contains("did not finish"), "{error}");
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }
}
