//! Name servers, each asked one question.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use checks::evidence::{NameServer, Reach, Resolver};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Look, Place, dial, on_files};

/// How long an answer may take; it is asked twice.
const ANSWER: Duration = Duration::from_secs(2);
/// The most servers that are asked. The resolver of libc takes three (resolv.conf(5)).
const MOST: usize = 6;
/// What systemd-resolved uses itself, where the machine's file names only its stub.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// Reads the file, and asks the servers in it.
pub(super) async fn look(place: &Arc<Place>) -> Look<Resolver> {
    place.in_network()?;
    let (servers, search) = on_files(place, |place| {
        let path = "/etc/resolv.conf";
        let text = place.root.text_if_any(path).map_err(|unread| unread.unseen(path))?;
        let (mut servers, search) = read(&text.unwrap_or_default());
        if servers.iter().all(|server| server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())) {
            let upstream = place.root.text_if_any(UPSTREAM).unwrap_or_default().unwrap_or_default();
            let known = servers.clone();
            servers.extend(read_servers(&upstream).filter(|server| !known.contains(server)));
        }
        servers.truncate(MOST);
        Ok((servers, search))
    })
    .await?;
    let asked = futures::future::join_all(servers.into_iter().map(|address| async {
        let reach = ask(&address).await;
        NameServer { address, reach }
    }));
    Ok(Resolver { path: "/etc/resolv.conf".to_owned(), servers: asked.await, search })
}

fn read_servers(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    lines.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned)
}

/// The servers and search domains of resolv.conf(5). Without a server libc asks the machine itself.
fn read(text: &str) -> (Vec<String>, Vec<String>) {
    let mut servers: Vec<String> = read_servers(text).collect();
    if servers.is_empty() {
        servers.push("127.0.0.1".to_owned());
    }
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
        assert_eq!(read("").0, ["127.0.0.1"]);
    }
}
