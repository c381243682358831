//! Starts, enters and removes Kubernetes clusters made of namespaces on this machine.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use cluster::{
    Adapter, Cluster, Dns, IptablesBackend, MetricsServer, Options, PROGRAM_IMAGE, ProxyMode, Serving, User,
    Vantage,
};

/// Kubernetes clusters made of namespaces on this machine
#[derive(Parser)]
#[command(name = "cluster")]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start a cluster and wait until its nodes are Ready
    Up {
        /// Its name
        #[arg(long)]
        name: String,
        /// How many nodes
        #[arg(long, default_value_t = 2)]
        nodes: usize,
        /// How many kube-apiservers, each on a host of its own (`cp`, `cp2`, …)
        #[arg(long, default_value_t = 1)]
        apiservers: usize,
        /// Where the kubelets' serving certificates come from
        #[arg(long, value_enum, default_value_t)]
        serving: ServingMode,
        /// Install metrics-server and wait until it serves
        #[arg(long)]
        metrics_server: bool,
        /// Install metrics-server with --kubelet-insecure-tls
        #[arg(long)]
        insecure_tls: bool,
        /// Install the adapter for custom and external metrics and wait until it serves
        #[arg(long)]
        adapter: bool,
        /// Install a DNS server for the cluster, as Service kube-dns; there is none otherwise
        #[arg(long)]
        dns: bool,
        /// What kube-proxy writes its rules with
        #[arg(long, value_enum, default_value_t)]
        proxy_mode: Proxy,
        /// What `iptables` is on every host; the machine's own when not given
        #[arg(long, value_enum)]
        iptables: Option<Backend>,
        /// Put an image of this statically linked metrics-preflight on every node
        #[arg(long, value_name = "PROGRAM")]
        program: Option<PathBuf>,
        /// End a running cluster of the same name first
        #[arg(long)]
        replace: bool,
    },
    /// Remove every trace of a cluster
    Down {
        /// Its name
        #[arg(long)]
        name: String,
    },
    /// List the clusters
    List,
    /// Run a command on a host of a cluster (`cp`, `node1`, …), or on this machine as seen from `workstation` (the
    /// nodes' network), `apionly` or `noroute` (which reach the API server only)
    Exec {
        /// The cluster's name
        #[arg(long)]
        name: String,
        /// The host
        host: String,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Install what the distribution lacks and compile Kubernetes
    Install,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum ServingMode {
    /// Each kubelet signs its own, as is the default
    #[default]
    SelfSigned,
    /// serverTLSBootstrap, requests approved
    Bootstrapped,
    /// serverTLSBootstrap, requests left pending
    Pending,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Proxy {
    #[default]
    Iptables,
    Nftables,
}

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    Nft,
    Legacy,
}

fn main() -> ExitCode {
    cluster::hook();
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Up {
            name,
            nodes,
            apiservers,
            serving,
            metrics_server,
            insecure_tls,
            adapter,
            dns,
            proxy_mode,
            iptables,
            program,
            replace,
        } => {
            let serving = match serving {
                ServingMode::SelfSigned => Serving::SelfSigned,
                ServingMode::Bootstrapped => Serving::Bootstrapped,
                ServingMode::Pending => Serving::BootstrapPending,
            };
            let mut options = Options::new(name).nodes(nodes).serving(&serving).keep(true).replace(replace);
            options = options.apiservers(apiservers).proxy_mode(match proxy_mode {
                Proxy::Iptables => ProxyMode::Iptables,
                Proxy::Nftables => ProxyMode::Nftables,
            });
            if let Some(backend) = iptables {
                options = options.iptables(match backend {
                    Backend::Nft => IptablesBackend::Nft,
                    Backend::Legacy => IptablesBackend::Legacy,
                });
            }
            let cluster = Cluster::up(&options)?;
            if dns {
                cluster.install_dns(Dns::default())?;
                cluster.wait_dns(Duration::from_mins(1))?;
            }
            if let Some(program) = program {
                cluster.load_program_image(&program, PROGRAM_IMAGE)?;
            }
            if metrics_server || insecure_tls {
                let options = MetricsServer { insecure_tls, ..MetricsServer::default() };
                cluster.install_metrics_server(&options)?;
                cluster.wait_metrics_available(Duration::from_mins(2))?;
            }
            if adapter {
                let options = Adapter::default();
                cluster.install_adapter(&options)?;
                cluster.wait_adapter_available(&options, Duration::from_mins(2))?;
            }
            let path = cluster.kubeconfig(&User::Admin)?;
            eprintln!(
                "The cluster has a network of its own; `cluster exec --name {0} cp -- kubectl get nodes` or",
                cluster.name()
            );
            eprintln!("`cluster exec --name {0} workstation -- COMMAND` run in it.", cluster.name());
            println!("{}", path.display());
            println!("export KUBECONFIG={}", path.display());
        }
        Task::Down { name } => cluster::down(&name)?,
        Task::List => {
            for name in cluster::list() {
                println!("{name}");
            }
        }
        Task::Exec { name, host, command } => {
            let cluster = Cluster::open(&name)?;
            let vantage = match host.as_str() {
                "workstation" => Some(Vantage::Nodes),
                "apionly" => Some(Vantage::ApiOnly),
                "noroute" => Some(Vantage::ApiOnlyNoRoute),
                _ => None,
            };
            let mut wrapped = if let Some(vantage) = vantage {
                let mut plain = Command::new(&command[0]);
                plain.args(&command[1..]).env("KUBECONFIG", cluster.kubeconfig(&User::Admin)?);
                cluster.in_namespace(&vantage, &plain)?
            } else {
                let argv: Vec<&str> = command.iter().map(String::as_str).collect();
                cluster.host_command(&host, &argv)?
            };
            let Some(code) = wrapped.status()?.code() else {
                bail!("{} was ended by a signal", command.join(" "));
            };
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        Task::Install => println!("{}", cluster::install()?.display()),
    }
    Ok(ExitCode::SUCCESS)
}
