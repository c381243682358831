//! Where a subcommand's observations come from: the cluster of a kubeconfig, or a recording.

use std::path::Path;

use super::Global;
use super::failure::{Failure, Kind};
use crate::collect::filter_log;
use crate::source::{
    Body, ConnectOptions, Connection, FailureKind, Header, Live, Observation, Outcome, Recording, Request,
    Source, Watcher,
};
use crate::ui::Ui;

/// The cluster that the global options name.
pub(super) fn options(global: &Global) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        timeout: global.timeout,
        ..ConnectOptions::default()
    }
}

/// Connects to the cluster that the global options name, and tells of every request with `--verbose`.
pub(super) async fn live(global: &Global, ui: Ui) -> Result<Source, Failure> {
    let options = ConnectOptions {
        log_filter: filter_log,
        watcher: Watcher::new(move |seen| tell(seen, ui)),
        ..options(global)
    };
    match Live::connect(options).await {
        Ok(live) => Ok(live.into()),
        Err(error) => Err(Failure::from_sentence(Kind::Configuration, &error.to_string())),
    }
}

/// Tells of a request, with `--verbose`.
pub(super) fn tell(seen: &Observation, ui: Ui) {
    ui.detail(|| {
        let answer = match &seen.outcome {
            Outcome::Response { status, .. } => status.to_string(),
            Outcome::Certificates { chain_der_base64, .. } => {
                format!("certificates: {}", chain_der_base64.len())
            }
            Outcome::TlsAlert { alert, .. } => format!("TLS alert {alert}"),
            Outcome::NotTls => "no TLS".to_owned(),
            Outcome::Fact { .. } => "seen".to_owned(),
            Outcome::Failed { message, .. } => message.clone(),
            Outcome::NotRecorded => "not in the recording".to_owned(),
        };
        format!("{} -> {answer}", seen.request)
    });
}

/// Opens a recording; `-` is standard input.
pub(super) fn recording(path: &Path) -> Result<(Source, Header), Failure> {
    let read = if path == Path::new("-") {
        Recording::from_reader(std::io::stdin().lock())
    } else {
        Recording::read(path)
    };
    match read {
        Ok(recording) => {
            let header = recording.header.clone();
            Ok((recording.into(), header))
        }
        Err(error) => Err(Failure::from_sentence(Kind::Input, &error.to_string())
            .context(format!("the recording is {}", path.display()))),
    }
}

/// Asks for the version, which every API server tells everybody; an answer of any kind will do.
pub(super) async fn reach(source: &Source) -> Result<(), Failure> {
    let answer = source.ask(Request::get("/version")).await;
    let Outcome::Failed { kind, message } = &answer.outcome else { return is_an_api(source, &answer) };
    let failure =
        Failure::new(Kind::Unreachable, format!("the API server cannot be reached: {}", word(*kind)))
            .context(message.clone());
    Err(with_advice(with_connection(failure, source.connection()), *kind, source.connection()))
}

/// Something answered; a page of a proxy or of a login is not an API server.
fn is_an_api(source: &Source, answer: &Observation) -> Result<(), Failure> {
    let Some((status, body)) = answer.response() else { return Ok(()) };
    let other = matches!(body, Body::Text(text) if text.trim_start().starts_with('<'));
    if status == 407 || (other && status != 401 && status != 403) {
        let failure = Failure::new(
            Kind::Unreachable,
            format!("what answers is not an API server (status {status}, a page for a browser)"),
        )
        .hint(
            "Something between here and the cluster answers in its place: check the proxy and the address.",
        );
        return Err(with_connection(failure, source.connection()));
    }
    Ok(())
}

fn word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refused => "the connection was refused",
        FailureKind::TimedOut => "no answer came in time",
        FailureKind::Unreachable => "there is no route to it",
        FailureKind::Dns => "its name cannot be resolved",
        FailureKind::Tls => "TLS failed",
        FailureKind::Reset => "the connection broke off",
        FailureKind::Blocked => "its address is never dialled",
        FailureKind::NotPermitted => "it is not permitted",
        FailureKind::Lacking => "what it takes is not there",
        FailureKind::Other => "the request failed",
    }
}

fn with_connection(failure: Failure, connection: &Connection) -> Failure {
    let context = connection.context.as_ref().map(|name| format!(", context {name}")).unwrap_or_default();
    let failure =
        failure.context(format!("server {} (from {}{context})", connection.server, connection.origin));
    match &connection.proxy {
        Some(proxy) => {
            failure.context(format!("through the proxy {proxy} (from {})", connection.proxy_reason))
        }
        None => failure,
    }
}

fn with_advice(failure: Failure, kind: FailureKind, connection: &Connection) -> Failure {
    let failure = match kind {
        FailureKind::Refused => failure.hint("Is the cluster running, and is this still its address and port?"),
        FailureKind::TimedOut => failure
            .hint("A firewall or a missing VPN drops such connections silently; a slow one needs `--timeout 30s`."),
        FailureKind::Unreachable => failure.hint("Is the VPN up, and does this host reach that network?"),
        FailureKind::Dns => failure.hint("Is the name spelled right, and does this host's resolver know it?"),
        FailureKind::Tls => failure.hint(
            "The kubeconfig's certificate authority must be that of this cluster; a new cluster at an old address \
             has another. Fetch its kubeconfig again.",
        ),
        FailureKind::Reset => {
            failure.hint("Does this port speak TLS, and is there a load balancer without a server behind it?")
        }
        FailureKind::Blocked | FailureKind::NotPermitted | FailureKind::Lacking | FailureKind::Other => failure,
    };
    match &connection.proxy {
        Some(_) => failure.hint("The proxy may be in the way: NO_PROXY can exempt the server's address."),
        None => failure,
    }
}
