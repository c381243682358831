//! The pods' name server: one question, asked twice at most, by hand, so that its silence is seen as such.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use checks::evidence::{Look, ProbeDial, Reach, Why};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long an answer may take, each time.
const LIMIT: Duration = Duration::from_secs(3);
/// Kubernetes' default, where the search list names no other.
const DOMAIN: &str = "cluster.local";

/// Asks the first name server for the API server's name.
pub(super) async fn ask(resolv_conf: &Path) -> Look<Option<ProbeDial>> {
    let text = match std::fs::read_to_string(resolv_conf) {
        Ok(text) => text,
        Err(error) => return Look::Unseen(Why::Lacking(format!("{}: {error}", resolv_conf.display()))),
    };
    let (Some(server), domain) = read(&text) else { return Look::Seen(None) };
    let name = format!("kubernetes.default.svc.{domain}");
    let mut reach = exchange(server, &name).await;
    if reach == Reach::TimedOut {
        reach = exchange(server, &name).await;
    }
    Look::Seen(Some(ProbeDial { address: format!("{server} for {name}"), reach }))
}

/// The first name server, and the domain of the cluster.
fn read(text: &str) -> (Option<SocketAddr>, String) {
    let words = |keyword: &'static str| {
        text.lines().filter_map(move |line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(keyword)).then_some(words)
        })
    };
    let server = words("nameserver").find_map(|mut words| words.next()?.parse::<IpAddr>().ok());
    let search = words("search").flatten().find_map(|word| word.strip_prefix("svc."));
    let domain = search.unwrap_or(DOMAIN).trim_end_matches('.').to_owned();
    (server.map(|address| SocketAddr::new(address, 53)), domain)
}

async fn exchange(server: SocketAddr, name: &str) -> Reach {
    let failed = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Reach::Refused,
        std::io::ErrorKind::HostUnreachable
        | std::io::ErrorKind::NetworkUnreachable
        | std::io::ErrorKind::PermissionDenied => Reach::NoRoute,
        _ => Reach::Failed(error.to_string()),
    };
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = match UdpSocket::bind(local).await {
        Ok(socket) => socket,
        Err(error) => return failed(&error),
    };
    let asked = async {
        socket.connect(server).await?;
        socket.send(&question(name)).await?;
        let mut answer = [0; 512];
        loop {
            let length = socket.recv(&mut answer).await?;
            if let Some(reach) = read_answer(&answer[..length]) {
                return Ok(reach);
            }
        }
    };
    match timeout(LIMIT, asked).await {
        Ok(Ok(reach)) => reach,
        Ok(Err(error)) => failed(&error),
        Err(_) => Reach::TimedOut,
    }
}

/// The number by which an answer is known. A socket of its own takes answers of this server alone.
const ID: [u8; 2] = [0x4d, 0x50];

/// A question for the IPv4 address of a name (RFC 1035, section 4.1).
fn question(name: &str) -> Vec<u8> {
    let mut bytes = ID.to_vec();
    bytes.extend([0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        bytes.push(u8::try_from(label.len()).unwrap_or_default());
        bytes.extend_from_slice(label);
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// What an answer says; nothing where it is none to our question.
fn read_answer(answer: &[u8]) -> Option<Reach> {
    let header = answer.get(..12)?;
    if header[..2] != ID || header[2] & 0x80 == 0 {
        return None;
    }
    Some(match header[3] & 0x0f {
        0 => Reach::Answered,
        3 => Reach::NameNotResolved,
        code => Reach::Failed(format!("the name server answered with code {code}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_kubelet_writes() {
        let text = "search kube-system.svc.lab.example svc.lab.example lab.example corp.example\nnameserver 10.96.0.10\noptions ndots:5\n";
        let server = "10.96.0.10:53".parse().expect("an address");
        assert_eq!(read(text), (Some(server), "lab.example".to_owned()));
        assert_eq!(read("# nothing\n"), (None, "cluster.local".to_owned()));
    }

    #[test]
    fn a_question_is_as_rfc_1035_writes_it() {
        let bytes = question("a.bc");
        assert_eq!(bytes[12..], [1, b'a', 2, b'b', b'c', 0, 0, 1, 0, 1]);
    }

    #[test]
    fn answers_are_told_apart() {
        let answer = |flags: u8, code: u8| {
            let mut bytes = ID.to_vec();
            bytes.extend([flags, code, 0, 0, 0, 0, 0, 0, 0, 0]);
            read_answer(&bytes)
        };
        assert_eq!(answer(0x81, 0x80), Some(Reach::Answered));
        assert_eq!(answer(0x81, 0x83), Some(Reach::NameNotResolved));
        assert_eq!(
            answer(0x81, 0x82),
            Some(Reach::Failed("the name server answered with code 2".to_owned()))
        );
        assert_eq!(answer(0x01, 0x00), None, "a question is no answer");
        assert_eq!(read_answer(&[1, 2]), None);
    }
}
