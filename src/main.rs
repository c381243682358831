//! Diagnoses the Kubernetes metrics pipeline, from the kubelet to the `HorizontalPodAutoscaler`.

mod cli;
mod collect;
mod config;
mod config_map;
mod exit;
#[cfg(test)]
mod laws;
mod manifest;
mod probe;
mod rbac;
mod report;
mod source;
mod ui;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(ended) = source::machine::run::inside() {
        return ended;
    }
    // Fails only when a provider is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::main().into()
}
