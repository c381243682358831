//! The clock: who sets it, and how far it is from an API server's.
//!
//! One GET of `/version` goes to the API server that the kubelet's kubeconfig names, or to the one that runs here,
//! without any credential; of the answer the `Date` is read. Its certificate is checked against the cluster's CA with
//! whatever dates it has, because a clock that is wrong is what is looked for. Where it is not proven, the time is
//! labelled so.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use checks::evidence::HostClock;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Look, Place, control_plane, kubelet, on_files, run, yaml};
use crate::source::live::prove;

/// How long the exchange may take.
const EXCHANGE: Duration = Duration::from_secs(5);
/// The programs that set clocks.
const DAEMONS: [&str; 7] =
    ["chronyd", "ntpd", "ntpsec", "openntpd", "phc2sys", "systemd-timesyncd", "timemaster"];
/// systemd-timesyncd makes this file when it has set the clock for the first time since the machine was booted.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Where kubeadm keeps the kubelet's kubeconfig.
const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";

/// Where an API server is, and what proves it.
struct ApiServer {
    host: String,
    port: u16,
    authority: Vec<String>,
}

/// Looks at the clock.
pub(super) async fn look(place: &Arc<Place>) -> Look<HostClock> {
    let (mut clock, server) = on_files(place, |place| {
        let processes = place.processes()?;
        let daemons: Vec<String> =
            DAEMONS.iter().filter(|name| processes.runs(name)).map(|name| (*name).to_owned()).collect();
        let timesyncd = daemons.iter().any(|name| name == "systemd-timesyncd");
        let synchronised = timesyncd.then(|| place.root.exists(SYNCHRONISED).ok()).flatten();
        let synchronised_by = synchronised.map(|_| "systemd-timesyncd".to_owned()).unwrap_or_default();
        let clock = HostClock { synchronised, synchronised_by, daemons, ..HostClock::default() };
        Ok((clock, api_server(place)))
    })
    .await?;
    if clock.synchronised.is_none()
        && let Some((synchronised, by)) = told(place, &clock.daemons).await
    {
        clock.synchronised = Some(synchronised);
        by.clone_into(&mut clock.synchronised_by);
    }
    // What cannot be asked leaves the offset open; the rest was seen.
    if let (Some(server), Ok(())) = (server, place.in_network())
        && let Ok(Some((offset_ms, proven))) = timeout(EXCHANGE, offset(&server)).await
    {
        clock.offset_ms = Some(offset_ms);
        clock.proven = proven;
        clock.told_by = format!("{}:{}", server.host, server.port);
    }
    Ok(clock)
}

/// Whether the clock is synchronised, as chrony says or else the kernel, and who said so. Where no daemon runs, the hypervisor
/// may keep the clock past the kernel's mark, so nobody is asked.
async fn told(place: &Place, daemons: &[String]) -> Option<(bool, &'static str)> {
    place.has_kernel().ok()?;
    let ask = async |program: &str, arguments: &[&str]| {
        run::output(place, &run::find(place, program)?, arguments).await.ok().map(|printed| printed.text)
    };
    if daemons.iter().any(|name| name == "chronyd") {
        let tracking = ask("chronyc", &["-n", "tracking"]).await?;
        return tracks(&tracking).map(|synchronised| (synchronised, "chronyd"));
    }
    if daemons.is_empty() {
        return None;
    }
    // It reads adjtimex(2); the kernel's own call takes unsafe code.
    match ask("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await?.trim() {
        "yes" => Some((true, "timedatectl")),
        // Other daemons may discipline the clock and never set the kernel's mark (ntpd with `-x`, or `disable kernel`).
        "no" if daemons.iter().all(|name| name == "systemd-timesyncd") => Some((false, "timedatectl")),
        _ => None,
    }
}

/// The line `Leap status` of `chronyc tracking` (chronyc(1)).
fn tracks(tracking: &str) -> Option<bool> {
    let line = tracking.lines().find_map(|line| line.strip_prefix("Leap status"))?;
    match line.trim_start_matches([' ', ':']).trim() {
        "Not synchronised" => Some(false),
        "Normal" | "Insert second" | "Delete second" => Some(true),
        _ => None,
    }
}

/// The API server of the kubelet, or else the one that runs here.
fn api_server(place: &Place) -> Option<ApiServer> {
    of_kubelet(place).or_else(|| {
        let component = control_plane::api_server(place).ok()??;
        (component.seen_as == "process").then_some(())?;
        let flag = |name: &str| component.flags.get(name);
        let port = flag("secure-port").and_then(|port| port.parse().ok()).unwrap_or(6443);
        let host = flag("advertise-address").cloned().unwrap_or_else(|| "127.0.0.1".to_owned());
        // With kubeadm one CA signs clients and servers.
        let authority = flag("client-ca-file").and_then(|path| place.root.text(path).ok());
        Some(ApiServer { host, port, authority: super::pem_certificates(&authority.unwrap_or_default()) })
    })
}

/// The API server's name in the kubelet's kubeconfig; nothing where that has an address, or there is none.
pub(super) fn named(place: &Place) -> Option<String> {
    let host = of_kubelet(place)?.host;
    (host.parse::<std::net::IpAddr>().is_err() && host.len() <= 253).then_some(host)
}

/// `server` and the CA of the kubelet's kubeconfig; nothing else of it is looked at.
fn of_kubelet(place: &Place) -> Option<ApiServer> {
    let flags = kubelet::flags(place).ok().flatten().map(|(flags, _)| flags).unwrap_or_default();
    let path = flags.get("kubeconfig").cloned().unwrap_or_else(|| KUBECONFIG.to_owned());
    let whole: Value = yaml::read(&place.root.text(&path).ok()?).ok()?;
    let cluster = &whole["clusters"][0]["cluster"];
    let server: http::Uri = cluster["server"].as_str()?.parse().ok()?;
    (server.scheme_str() == Some("https")).then_some(())?;
    let data = cluster["certificate-authority-data"].as_str().and_then(|data| STANDARD.decode(data).ok());
    let file = || {
        let path = cluster["certificate-authority"].as_str()?;
        place.root.read(path).ok()
    };
    let authority = data.or_else(file).unwrap_or_default();
    Some(ApiServer {
        host: server.host()?.trim_matches(['[', ']']).to_owned(),
        port: server.port_u16().unwrap_or(443),
        authority: super::pem_certificates(&String::from_utf8_lossy(&authority)),
    })
}

/// The API server's clock less ours, in milliseconds, and whether it proved who it is.
async fn offset(server: &ApiServer) -> Option<(i64, bool)> {
    let tcp = TcpStream::connect((server.host.as_str(), server.port)).await.ok()?;
    let (mut stream, proven) = prove(tcp, &server.host, &server.authority).await?;
    let before = Timestamp::now();
    let request = format!(
        "GET /version HTTP/1.1\r\nHost: {}\r\nUser-Agent: metrics-preflight\r\nConnection: close\r\n\r\n",
        server.host
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    // Headers take a few hundred bytes.
    while head.len() < 16 << 10 && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            break;
        }
    }
    let after = Timestamp::now();
    let date = date(&String::from_utf8_lossy(&head))?;
    let here = i64::midpoint(before.as_millisecond(), after.as_millisecond());
    // A Date is cut to the second; in the middle it was half a second later than it says.
    Some((date.as_millisecond() + 500 - here, proven))
}

/// The `Date` of an answer in HTTP.
fn date(head: &str) -> Option<Timestamp> {
    let mut lines = head.lines();
    lines.next().filter(|status| status.starts_with("HTTP/1."))?;
    let line = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim().to_owned())
    })?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(line).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    #[test]
    fn a_date_is_a_header_of_an_answer() {
        let answer = "HTTP/1.1 401 Unauthorized\r\ndate: Sat, 21 Nov 2026 11:43:39 GMT\r\n\r\nDate: no\r\n";
        assert_eq!(date(answer), "2026-11-21T11:43:39Z".parse().ok());
        assert_eq!(date("HTTP/1.1 200 OK\r\n\r\nDate: Sat, 21 Nov 2026 11:43:39 GMT\r\n"), None);
        assert_eq!(date("SSH-2.0-x\r\nDate: Sat, 21 Nov 2026 11:43:39 GMT\r\n"), None);
    }

    #[test]
    fn chrony_says_whether_it_tracks() {
        // What chronyc 4.3 prints without a server, and with one.
        let none = "Reference ID    : 00000000 ()\nStratum         : 0\nRef time (UTC)  : Thu Jan 01 00:00:00 1970\nLeap status     : Not synchronised\n";
        assert_eq!(tracks(none), Some(false));
        assert_eq!(tracks(&none.replace("Not synchronised", "Normal")), Some(true));
        assert_eq!(tracks("506 Cannot talk to daemon\n"), None);
    }

    #[test]
    fn the_kubelets_kubeconfig_names_the_server() {
        let tree = Tree::new("kubeconfig");
        tree.init();
        let ca = STANDARD.encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        tree.write(
            KUBECONFIG,
            format!("clusters:\n- name: x\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: {ca}\n"),
        );
        let server = api_server(&tree.place()).expect("it is named");
        assert_eq!((server.host.as_str(), server.port), ("10.0.0.1", 6443));
        assert_eq!(server.authority, ["AAAA"]);
        assert_eq!(named(&tree.place()), None, "an address needs no name server");
        tree.write(KUBECONFIG, "clusters:\n- name: x\n  cluster:\n    server: https://api.example:6443\n");
        assert_eq!(named(&tree.place()).as_deref(), Some("api.example"));
    }
}
