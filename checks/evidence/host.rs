//! Beneath the chain: a machine, as the program saw it from within.
//!
//! What a machine knows of itself the API server cannot show: what its kernel forwards, what its packet filter drops,
//! which configuration its kubelet runs with. `host` looks there; `check --with` joins what it saw with the cluster.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::{Flags, KubeletConfig, Look, Need, Obs, Why};

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// What it calls itself; two machines of one look have two names.
    pub name: String,
    /// When it was looked at, on the API server's clock as far as the machine knew it.
    pub taken_at: Timestamp,
    /// The name of the Node that it is, found by its addresses; nothing where it is none or no cluster was asked.
    pub node: Option<String>,
    /// Who it is and who looked.
    pub identity: Obs<HostIdentity>,
    /// The kernel's settings that the pod network rests on, now and after the next boot.
    pub settings: Obs<Vec<Setting>>,
    /// The rules of the packet filter that forwarded and incoming packets meet.
    pub filters: Obs<Filters>,
    /// What will load rules of the packet filter at the next boot.
    pub filter_loaders: Obs<Vec<FilterLoader>>,
    /// What has been programmed for Services.
    pub service_rules: Obs<ServiceRules>,
    /// The kubelet that runs; nothing where none does.
    pub kubelet: Obs<Option<Process>>,
    /// The kubelet's unit; nothing where systemd has none.
    pub kubelet_unit: Obs<Option<Unit>>,
    /// The configuration file that the kubelet was told to read; nothing where it was told of none.
    pub kubelet_file: Obs<Option<KubeletFile>>,
    /// The kubelet's certificates on disk.
    pub kubelet_certificates: Obs<Vec<DiskCertificate>>,
    /// kube-proxy; nothing where none runs.
    pub kube_proxy: Obs<Option<Process>>,
    /// kube-apiserver: as it runs, or as a manifest or unit wants it; nothing where there is none.
    pub api_server: Obs<Option<Component>>,
    /// kube-controller-manager, likewise.
    pub controller_manager: Obs<Option<Component>>,
    /// How the components that are here are started: kubelet, kube-proxy and the control plane.
    pub commands: Obs<Vec<Command>>,
    /// The certificates that kube-apiserver's flags name for the front proxy.
    pub front_proxy: Obs<FrontProxyFiles>,
    /// The container runtime; nothing where none runs.
    pub runtime: Obs<Option<Runtime>>,
    /// The clock.
    pub clock: Obs<HostClock>,
    /// How names are resolved.
    pub resolver: Obs<Resolver>,
    /// Swap in use, in bytes of size.
    pub swap_bytes: Obs<i64>,
    /// What turns swap on when the machine boots.
    pub swap_at_boot: Obs<SwapAtBoot>,
    /// `enforcing`, `permissive`, `disabled`, or nothing where the kernel has no SELinux.
    pub selinux: Obs<Option<String>>,
    /// Proxies in the environment of the components and of the machine.
    pub proxies: Obs<Vec<HostProxy>>,
    /// Who listens at the ports of the pipeline.
    pub listeners: Obs<Vec<Listener>>,
    /// Where packets to the networks of nodes and pods are sent.
    pub routes: Obs<Vec<Route>>,
    /// What addresses answered to this machine.
    pub dials: Vec<Dial>,
}

impl Host {
    /// Why nothing of it counts: it was seen too long ago, or could not be looked at; nothing where it counts.
    #[must_use]
    pub fn left_out(&self) -> Option<&Why> {
        match &self.identity.look {
            Look::Seen(_) => None,
            Look::Unseen(why) => Some(why),
        }
    }

    /// A machine of which nothing was seen, for one and the same reason.
    #[must_use]
    pub fn unseen(name: &str, taken_at: Timestamp, why: &Why) -> Self {
        let (name, node, dials) = (name.to_owned(), None, Vec::new());
        macro_rules! blank {
            ($($field:ident: $need:ident,)+) => {
                Self { name, taken_at, node, $($field: Obs::unseen(Need::$need, [], why.clone()),)+ dials }
            };
        }
        blank! {
            identity: HostIdentity,
            settings: HostSettings,
            filters: HostFilters,
            filter_loaders: HostFilters,
            service_rules: HostServiceRules,
            kubelet: HostKubelet,
            kubelet_unit: HostKubelet,
            kubelet_file: HostKubelet,
            kubelet_certificates: HostKubelet,
            kube_proxy: HostKubeProxy,
            api_server: HostControlPlane,
            controller_manager: HostControlPlane,
            commands: HostCommands,
            front_proxy: HostControlPlane,
            runtime: HostRuntime,
            clock: HostClock,
            resolver: HostResolver,
            swap_bytes: HostSystem,
            swap_at_boot: HostSystem,
            selinux: HostSystem,
            proxies: HostSystem,
            listeners: HostListeners,
            routes: HostRoutes,
        }
    }
}

/// Who a machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostIdentity {
    /// The kernel's name for it.
    pub hostname: String,
    /// `PRETTY_NAME` of os-release.
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// The addresses of its interfaces, without loopback and link-local ones.
    pub addresses: Vec<String>,
    /// Whether root looked.
    pub as_root: bool,
    /// The root file system that was read; empty for the machine's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
}

/// A setting of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Such as `net.ipv4.ip_forward`; a module as `module br_netfilter`, with the values `loaded`, at boot also `perhaps`
    /// where something loads it that need not, and nothing.
    pub name: String,
    /// What it is now; nothing where the kernel has no such setting.
    pub now: Option<String>,
    /// What it will be set to at boot; nothing where no file sets it.
    pub boot: Option<BootValue>,
}

/// What a file sets at boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootValue {
    /// The value.
    pub value: String,
    /// The file that has the last word (sysctl.d(5): by name, `/etc` before `/run` before `/usr/lib`).
    pub file: String,
}

/// What turns swap on when the machine boots, and off again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapAtBoot {
    /// What turns it on.
    pub sources: Vec<SwapSource>,
    /// The file by which something turns it off at boot, such as a drop-in of the kubelet's unit with `swapoff -a`; nothing
    /// where none was found.
    pub turned_off_by: Option<String>,
}

/// Something that turns swap on when the machine boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapSource {
    /// `fstab`, `unit`, `partition table`, `zram-generator` or `service`.
    pub kind: String,
    /// The device as the file names it, or the unit.
    pub name: String,
    /// The file that says so.
    pub file: String,
    /// Why it may bring none; empty where nothing stands against it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doubt: String,
}

/// Something that loads rules of the packet filter when the machine boots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterLoader {
    /// `docker`, `firewalld`, `ufw`, `nftables`, `netfilter-persistent`, or the unit's name.
    pub name: String,
    /// The file that says so.
    pub file: String,
    /// The policy of FORWARD that it sets; nothing where that cannot be told.
    pub forward_policy: Option<String>,
}

/// A running process of a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i64,
    /// Its catalogued flags.
    pub flags: Flags,
    /// When it started; nothing where that could not be read.
    pub started: Option<Timestamp>,
}

/// A systemd unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its file.
    pub file: String,
    /// Its drop-ins, in the order in which they apply.
    pub drop_ins: Vec<String>,
    /// Whether it is started at boot.
    pub enabled: bool,
    /// The catalogued flags of the command line that it starts.
    pub flags: Flags,
}

/// The kubelet's configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletFile {
    /// Its path, as the running kubelet's `--config` says, or else the unit's.
    pub path: String,
    /// Who named the path: `process` or `unit`.
    pub named_by: String,
    /// Whether it is there.
    pub exists: bool,
    /// Why it cannot be used, such as a syntax error at a line; empty where it can.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// When it was last changed.
    pub changed: Option<Timestamp>,
    /// What the pipeline depends on, with the kubelet's defaults where the file is silent.
    pub config: Option<KubeletConfig>,
    /// `cgroupDriver`, `cgroupfs` by default (`pkg/kubelet/apis/config/v1beta1/defaults.go`).
    pub cgroup_driver: String,
    /// The feature gate `KubeletCgroupDriverFromCRI`; nothing where it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_driver_from_cri: Option<bool>,
    /// `failSwapOn`, true by default.
    pub fail_swap_on: bool,
    /// `address`.
    pub address: String,
    /// `clusterDNS`.
    pub cluster_dns: Vec<String>,
    /// Another file at `/var/lib/kubelet/config.yaml`, which this kubelet does not read, and which says something
    /// else: the fields that differ.
    pub decoy: Option<Vec<String>>,
}

/// A certificate in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskCertificate {
    /// The file.
    pub path: String,
    /// What it is for: `kubelet serving`, `kubelet client`, `front-proxy client`, `front-proxy CA`.
    pub role: String,
    /// The certificates in it, leaf first, as base64 of DER; nothing where the file is not there.
    pub chain: Option<Vec<String>>,
}

/// A component of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// `process`, `manifest` or `unit`: the best that there is, in this order.
    pub seen_as: String,
    /// The manifest or unit; empty where there is neither.
    pub path: String,
    /// Its catalogued flags.
    pub flags: Flags,
    /// The catalogued flags in the manifest or unit at `path`; nothing where there is neither.
    pub declared: Option<Flags>,
    /// When the process started.
    pub started: Option<Timestamp>,
}

/// What kube-apiserver's flags name for the aggregation layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontProxyFiles {
    /// `--proxy-client-cert-file`; nothing where the flag is not set.
    pub client: Option<DiskCertificate>,
    /// `--requestheader-client-ca-file`; nothing where the flag is not set.
    pub ca: Option<DiskCertificate>,
}

/// A container runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// `containerd`, `crio` or `docker`.
    pub name: String,
    /// The file that says which cgroup driver it uses.
    pub path: String,
    /// `systemd` or `cgroupfs`; nothing where that cannot be told.
    pub cgroup_driver: Option<String>,
    /// The version that its program on disk prints; nothing where it was not asked or does not say.
    #[serde(default)]
    pub version: Option<String>,
    /// The version that the kubelet's program on disk prints, likewise: it decides who settles the cgroup driver.
    #[serde(default)]
    pub kubelet_version: Option<String>,
    /// When the newest of the files that say the driver was changed.
    #[serde(default)]
    pub changed: Option<Timestamp>,
    /// When the runtime was started; nothing where it does not run or that could not be read.
    #[serde(default)]
    pub started: Option<Timestamp>,
}

/// A machine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostClock {
    /// Whether it has been synchronised, as the daemon that sets it says, or else the kernel (`adjtimex(2)`); nothing where no
    /// daemon runs, or nobody says.
    pub synchronised: Option<bool>,
    /// Who says that: `systemd-timesyncd`, `chronyd`, or `timedatectl` for the kernel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub synchronised_by: String,
    /// The programs that set it and run: `chronyd`, `systemd-timesyncd`, `ntpd`, …
    pub daemons: Vec<String>,
    /// The API server's clock less this one, in milliseconds, to about half a second; nothing where no API server told
    /// its time.
    pub offset_ms: Option<i64>,
    /// The API server that told it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub told_by: String,
    /// Whether its certificate was proven by the cluster's CA, whatever its dates are; else anybody may have told the
    /// time.
    #[serde(default)]
    pub proven: bool,
}

/// How a machine resolves names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// The file that was read.
    pub path: String,
    /// Its name servers, and what each answered to one question.
    pub servers: Vec<NameServer>,
    /// Its search domains.
    pub search: Vec<String>,
    /// The API server's name in the kubelet's kubeconfig; nothing where that has an address, or there is none.
    #[serde(default)]
    pub api_server: Option<Named>,
}

/// A name that a machine needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// What came of resolving it as programs of the machine do; nothing where that cannot be told.
    pub reach: Option<Reach>,
}

/// A name server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// Its address.
    pub address: String,
    /// What became of one question to it.
    pub reach: Reach,
}

/// A proxy in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProxy {
    /// Whose: `kube-apiserver`, `kube-controller-manager`, `kubelet`, or the file.
    pub of: String,
    /// `HTTPS_PROXY`, `NO_PROXY`, … in capitals.
    pub name: String,
    /// Its value, without user information.
    pub value: String,
}

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address; `0.0.0.0` or `::` for all.
    pub address: String,
    /// The port.
    pub port: i64,
    /// The program's name; nothing where only root may see it.
    pub process: Option<String>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to, as a range; `0.0.0.0/0` or `::/0` for the default.
    pub destination: String,
    /// The next hop; nothing where the destination is on the link.
    pub via: Option<String>,
    /// The interface; empty for a route that refuses (`blackhole`, `unreachable`).
    pub device: String,
}

/// What an address answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dial {
    /// The address, or a name.
    pub address: String,
    /// The port.
    pub port: i64,
    /// What came of it.
    pub reach: Obs<Reach>,
}

/// What came of trying to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// It took the connection, or answered the question.
    Answered,
    /// It answered over HTTP.
    Http {
        /// The status.
        status: i64,
        /// The beginning of the body, swept.
        message: String,
    },
    /// It took the connection and TLS failed; the words of the failure.
    Tls(String),
    /// It refused the connection.
    Refused,
    /// Nothing came in time.
    TimedOut,
    /// There is no route, or a firewall says so.
    NoRoute,
    /// The name was not resolved.
    NameNotResolved,
    /// Something else; its words.
    Failed(String),
}

impl Reach {
    /// Whether the network let it through: somebody answered, whatever was said.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Answered | Self::Http { .. } | Self::Tls(_))
    }

    /// What happened, for a person.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Answered => "it answered".to_owned(),
            Self::Http { status, message } if message.is_empty() => format!("status {status}"),
            Self::Http { status, message } => format!("status {status}: {message}"),
            Self::Tls(words) => format!("TLS: {words}"),
            Self::Refused => "connection refused".to_owned(),
            Self::TimedOut => "no answer in time".to_owned(),
            Self::NoRoute => "no route to host".to_owned(),
            Self::NameNotResolved => "the name is not resolved".to_owned(),
            Self::Failed(words) => words.clone(),
        }
    }
}

/// What the packet filter holds. See [`crate::filter`].
pub type Filters = crate::filter::Filters;
/// What has been programmed for Services. See [`crate::filter`].
pub type ServiceRules = crate::filter::ServiceRules;
