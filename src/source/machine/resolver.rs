//! Name servers, each asked one question, and the one name without which a kubelet is lost: the API server's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use checks::evidence::{NameServer, Named, Reach, Resolver};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Look, Place, clock, dial, on_files};

/// How long an answer may take; it is asked twice.
const ANSWER: Duration = Duration::from_secs(2);
/// The most servers that are asked. The resolver of libc takes three (resolv.conf(5)).
const MOST: usize = 6;
/// How long resolving a name may take.
const RESOLVED: Duration = Duration::from_secs(12);
/// Names that need no server.
const HOSTS: &str = "/etc/hosts";
/// What systemd-resolved uses itself, where the machine's file names only its stub.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// Reads the file, and asks the servers in it.
pub(super) async fn look(place: &Arc<Place>) -> Look<Resolver> {
    place.in_network()?;
    let (servers, search, named) = on_files(place, |place| {
        let path = "/etc/resolv.conf";
        let text = place.root.text_if_any(path).map_err(|unread| unread.unseen(path))?;
        let (mut servers, search) = read(&text.unwrap_or_default());
        let named = clock::named(place).map(|name| {
            let hosts = place.root.text_if_any(HOSTS).unwrap_or_default().unwrap_or_default();
            let known = is_listed(&hosts, &name);
            (name, known)
        });
        if !servers.is_empty()
            && servers
                .iter()
                .all(|server| server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
        {
            let upstream = place.root.text_if_any(UPSTREAM).unwrap_or_default().unwrap_or_default();
            let known = servers.clone();
            servers.extend(read_servers(&upstream).filter(|server| !known.contains(server)));
        }
        servers.truncate(MOST);
        Ok((servers, search, named))
    })
    .await?;
    let asked = futures::future::join_all(servers.into_iter().map(|address| async {
        let reach = ask(&address).await;
        NameServer { address, reach }
    }));
    let name = async {
        let (name, known) = named?;
        let reach = if known { Some(Reach::Answered) } else { resolve(place, &name).await };
        Some(Named { name, reach })
    };
    let (servers, api_server) = tokio::join!(asked, name);
    Ok(Resolver { path: "/etc/resolv.conf".to_owned(), servers, search, api_server })
}

/// Resolves a name as programs of this machine do. In another root that would be this program's own container; there
/// nothing is said.
async fn resolve(place: &Place, name: &str) -> Option<Reach> {
    if !place.root.is_own() {
        return None;
    }
    // Three servers, twice five seconds each, is what libc may take (resolv.conf(5)).
    match timeout(RESOLVED, tokio::net::lookup_host((name, 443))).await {
        Err(_) => Some(Reach::TimedOut),
        Ok(Ok(mut addresses)) => Some(addresses.next().map_or(Reach::NameNotResolved, |_| Reach::Answered)),
        Ok(Err(_)) => Some(Reach::NameNotResolved),
    }
}

/// Whether hosts(5) lists a name.
fn is_listed(hosts: &str, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    hosts.lines().any(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        words.next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
            && words.any(|word| word.eq_ignore_ascii_case(name))
    })
}

fn read_servers(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned)
}

/// The servers and search domains of resolv.conf(5). A file without a server is how a machine looks that needs none.
fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let servers: Vec<String> = read_servers(text).collect();
    // The last line counts.
    let lines = text.lines().map(str::trim);
    let search = lines
        .filter_map(|line| line.strip_prefix("search").or_else(|| line.strip_prefix("domain")))
        .next_back();
    let search =
        search.unwrap_or_default().split_whitespace().take(32).map(|name| name.chars().take(253).collect());
    (servers, search.collect())
}

/// Asks for the root zone's SOA, which every server has something to say about, be it that it refuses (RFC 1035, 4.1).
async fn ask(server: &str) -> Reach {
    // A scope may follow an IPv6 address.
    let Ok(address) = server.split('%').next().unwrap_or_default().parse::<IpAddr>() else {
        return Reach::Failed("not an address".to_owned());
    };
    let local: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let mut last = Reach::TimedOut;
    for attempt in 0..2_u16 {
        match timeout(ANSWER, one(local, address, 0x6d70 + attempt)).await {
            Err(_) => last = Reach::TimedOut,
            Ok(Ok(())) => return Reach::Answered,
            Ok(Err(error)) => last = dial::of_error(&error),
        }
    }
    last
}

async fn one(local: SocketAddr, address: IpAddr, id: u16) -> std::io::Result<()> {
    let socket = UdpSocket::bind(local).await?;
    socket.connect((address, 53)).await?;
    let [high, low] = id.to_be_bytes();
    // One question, recursion desired: name ".", type SOA (6), class IN (1).
    let question = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
    socket.send(&question).await?;
    let mut answer = [0_u8; 512];
    loop {
        let length = socket.recv(&mut answer).await?;
        // An answer to this question, whatever it says.
        if length >= 12 && answer[..2] == [high, low] && answer[2] & 0x80 != 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_servers_and_domains() {
        let text = "# x\nnameserver 10.0.0.10\nnameserver\t10.0.0.11 # second\ndomain a\nsearch b.example c.example\n";
        let (servers, search) = read(text);
        assert_eq!(servers, ["10.0.0.10", "10.0.0.11"]);
        assert_eq!(search, ["b.example", "c.example"]);
        assert!(read("").0.is_empty());
    }

    #[test]
    fn a_listed_name_needs_no_server() {
        let hosts = "127.0.0.1 localhost\n10.0.0.1\tapi.example api # x\n#10.0.0.2 other\n";
        assert!(
            is_listed(hosts, "API.example") && is_listed(hosts, "api") && is_listed(hosts, "api.example.")
        );
        assert!(!is_listed(hosts, "other") && !is_listed(hosts, "x") && !is_listed(hosts, "10.0.0.1"));
    }
}
