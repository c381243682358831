//! What an address answers: a TCP connection, and a TLS handshake in which nothing is sent but what a handshake takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use checks::evidence::Reach;
use futures::StreamExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Look, Place};
use crate::source::live::recorded_handshake;
use crate::source::observation::{FailureKind, Outcome};
use crate::source::request::{Host, dial_target};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long all of one dial may take: a name may have several addresses.
const WHOLE: Duration = Duration::from_secs(10);
/// How many are dialled at a time.
const AT_A_TIME: usize = 32;

/// Dials every target, `ADDRESS:PORT`.
pub(super) async fn all(place: &Arc<Place>, targets: &[String]) -> Vec<(String, Look<Reach>)> {
    if let Err(unseen) = place.in_network() {
        return targets.iter().map(|target| (target.clone(), Err(unseen.clone()))).collect();
    }
    let dials = targets.iter().map(|target| async {
        (target.clone(), Ok(timeout(WHOLE, reach(target)).await.unwrap_or(Reach::TimedOut)))
    });
    futures::stream::iter(dials).buffer_unordered(AT_A_TIME).collect().await
}

async fn reach(text: &str) -> Reach {
    let Some((host, port)) = dial_target(text) else {
        return Reach::Failed("not of the form ADDRESS:PORT".to_owned());
    };
    let addresses: Vec<SocketAddr> = match &host {
        Host::Ip(address) => vec![SocketAddr::new(*address, port)],
        Host::Name(name) => match timeout(CONNECT, tokio::net::lookup_host((name.as_str(), port))).await {
            Ok(Ok(found)) => found.take(8).collect(),
            Ok(Err(_)) | Err(_) => return Reach::NameNotResolved,
        },
    };
    let mut last = Reach::NameNotResolved;
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Err(_) => last = Reach::TimedOut,
            Ok(Err(error)) => last = of_error(&error),
            Ok(Ok(stream)) => return of_handshake(recorded_handshake(stream, &host, port).await),
        }
    }
    last
}

/// What an error of the network says.
pub(super) fn of_error(error: &std::io::Error) -> Reach {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => Reach::Refused,
        std::io::ErrorKind::TimedOut => Reach::TimedOut,
        // A firewall that says so, as REJECT does by default with another ICMP message than a missing route.
        std::io::ErrorKind::HostUnreachable
        | std::io::ErrorKind::NetworkUnreachable
        | std::io::ErrorKind::PermissionDenied => Reach::NoRoute,
        _ => Reach::Failed(error.to_string()),
    }
}

/// The connection stood by then, so whatever comes is an answer.
fn of_handshake(outcome: Outcome) -> Reach {
    match outcome {
        Outcome::Certificates { .. } => Reach::Answered,
        Outcome::TlsAlert { alert, .. } => Reach::Tls(format!("alert {alert}")),
        Outcome::NotTls => Reach::Tls("it does not speak TLS".to_owned()),
        Outcome::Failed { kind: FailureKind::TimedOut, .. } => {
            Reach::Tls("no answer to the handshake".to_owned())
        }
        Outcome::Failed { message, .. } => Reach::Tls(message),
        _ => Reach::Tls("no handshake".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_speaks_no_tls_is_connected_all_the_same() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-x\r\n").await;
            }
        });
        let reached = reach(&address).await;
        assert!(reached.is_connected() && matches!(reached, Reach::Tls(_)), "{reached:?}");
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = closed.local_addr().expect("its address").to_string();
        drop(closed);
        assert_eq!(reach(&address).await, Reach::Refused);
    }
}
