//! A real Kubernetes cluster on one Linux machine, for scenarios: a control plane and nodes, each in a
//! network and a mount namespace of its own, with kubeadm's paths.
//!
//! A program that starts clusters calls [`hook`] first thing in `main`: the cluster's supervisor is that
//! same program, started once more.

mod adapter;
mod cgroup;
mod cluster;
mod components;
mod control;
mod dns;
mod fault;
mod files;
mod hook;
mod host;
mod image;
mod import;
mod init;
mod journalctl;
mod kubeconfig;
mod kubectl;
mod layout;
mod manifest;
mod metrics_server;
mod net;
mod options;
mod pki;
mod pod_network;
mod policy;
mod process;
mod programs;
mod run;
mod supervisor;
mod systemctl;
mod unit;
mod unit_file;

pub use cluster::{Cluster, down, list};
pub use fault::{Firewall, NetworkPolicy, Refusal};
pub use hook::hook;
pub use image::PROGRAM_IMAGE;
pub use manifest::{remove_flag, set_flag};
pub use options::{
    Adapter, Component, Dns, IptablesBackend, MetricsServer, Options, ProxyMode, Serving, User, Vantage,
};
pub use pki::{Ca, Certificate, Pair};
pub use programs::{ADAPTER_VERSION, KUBERNETES_VERSION, METRICS_SERVER_VERSION, install, static_program};
pub use run::Output;
