//! Addresses, routes and listeners, from the files of procfs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use checks::evidence::{Listener, Route};

use super::files::{Part, Unread};
use super::{Look, Place, Unseen, control_plane, kubelet};

/// The most that is read of a table. The listening sockets come first in theirs.
const TABLE: usize = 8 << 20;
/// The most entries that are kept.
const KEPT: usize = 4_000;
/// The most descriptors that are looked at to find out whose a socket is.
const DESCRIPTORS: usize = 200_000;
/// The ports of the pipeline, besides those that flags and files name.
const PORTS: [i64; 9] = [443, 2379, 4443, 6443, 8443, 10248, 10249, 10250, 10255];

impl Place {
    /// A table of the machine's network; nothing where the kernel has none, for one without IPv6.
    fn table(&self, name: &str) -> Look<Option<Part>> {
        let path = self.net(name);
        match self.root.text_part(&path, TABLE) {
            Ok(part) => Ok(Some(part)),
            Err(Unread::Absent) => Ok(None),
            Err(unread) => Err(unread.unseen(&path)),
        }
    }

    fn must_have(&self, name: &str) -> Look<String> {
        let path = self.net(name);
        match self.table(name)? {
            Some(Part { text, cut: false }) => Ok(text),
            Some(_) => Err(Unseen::other(format!("{} is larger than {TABLE} bytes", self.root.name(&path)))),
            None => Err(Unseen::lacking(format!("{} is not there", self.root.name(&path)))),
        }
    }
}

/// The addresses of the machine, without loopback and link-local ones.
pub(super) fn addresses(place: &Place) -> Look<Vec<String>> {
    let mut found: Vec<IpAddr> = local_v4(&place.must_have("fib_trie")?);
    if let Some(Part { text, .. }) = place.table("if_inet6")? {
        found.extend(text.lines().filter_map(inet6));
    }
    let is_own = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    found.retain(is_own);
    found.sort_unstable();
    found.dedup();
    found.truncate(KEPT);
    Ok(found.iter().map(ToString::to_string).collect())
}

/// The addresses of type LOCAL in `/proc/net/fib_trie`: a line with the address, below it `/32 host LOCAL`.
fn local_v4(text: &str) -> Vec<IpAddr> {
    let mut last: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(last.map(IpAddr::V4));
        }
    }
    found
}

/// A line of `/proc/net/if_inet6`: address, index, length of the prefix, scope, flags, name.
fn inet6(line: &str) -> Option<IpAddr> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    // kube-proxy puts the addresses of Services on this one.
    if fields.get(5) == Some(&"kube-ipvs0") {
        return None;
    }
    Some(IpAddr::V6(hex6(fields.first()?)?))
}

fn hex6(text: &str) -> Option<Ipv6Addr> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from)).flatten()
}

/// An IPv4 address as procfs prints it: eight digits in the byte order of the machine.
fn hex4(text: &str) -> Option<Ipv4Addr> {
    (text.len() == 8)
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()
        .map(|bits| Ipv4Addr::from(bits.to_ne_bytes()))
}

/// The routes of the main table.
pub(super) fn routes(place: &Place) -> Look<Vec<Route>> {
    let mut found: Vec<Route> = place.must_have("route")?.lines().skip(1).filter_map(route4).collect();
    if let Some(Part { text, cut }) = place.table("ipv6_route")? {
        if cut {
            return Err(Unseen::other(format!("the table of IPv6 routes is larger than {TABLE} bytes")));
        }
        found.extend(text.lines().filter_map(route6));
    }
    if found.len() > KEPT {
        return Err(Unseen::other(format!("there are {} routes, and {KEPT} are looked at", found.len())));
    }
    Ok(found)
}

/// A line of `/proc/net/route` (`fib_route_seq_show` in Linux' `net/ipv4/fib_trie.c`); a route that refuses has the
/// device `*`.
fn route4(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let mask = u32::from(hex4(fields.get(7)?)?);
    let via = hex4(fields.get(2)?)?;
    Some(Route {
        destination: format!("{}/{}", hex4(fields.get(1)?)?, mask.count_ones()),
        via: (!via.is_unspecified()).then(|| via.to_string()),
        device: device(fields.first()?),
    })
}

/// A line of `/proc/net/ipv6_route`: destination, length, source, length, next hop, metric, references, use, flags,
/// device. Routes to own addresses and to groups are left out.
fn route6(line: &str) -> Option<Route> {
    const REJECT: u32 = 0x0200;
    const LOCAL: u32 = 0x8000_0000;
    let fields: Vec<&str> = line.split_whitespace().collect();
    let destination = hex6(fields.first()?)?;
    let length = u8::from_str_radix(fields.get(1)?, 16).ok()?;
    let via = hex6(fields.get(4)?)?;
    let flags = u32::from_str_radix(fields.get(8)?, 16).ok()?;
    let device = device(fields.get(9)?);
    if flags & LOCAL != 0 || destination.is_multicast() {
        return None;
    }
    // The kernel keeps a default route that refuses at `lo` in every network; it decides nothing where it is the only one.
    let refuses = flags & REJECT != 0 || device == "lo";
    if refuses && length == 0 {
        return None;
    }
    Some(Route {
        destination: format!("{destination}/{length}"),
        via: (!via.is_unspecified()).then(|| via.to_string()),
        device: if refuses { String::new() } else { device },
    })
}

fn device(name: &str) -> String {
    if name == "*" { String::new() } else { name.chars().take(32).collect() }
}

/// Who listens at the ports of the pipeline.
pub(super) fn listeners(place: &Place) -> Look<Vec<Listener>> {
    let mut ports = PORTS.to_vec();
    ports.extend(kubelet::port(place));
    let secure = control_plane::api_server(place).ok().flatten();
    ports.extend(secure.and_then(|component| component.flags.get("secure-port")?.parse::<i64>().ok()));
    let mut sockets = Vec::new();
    let Some(first) = place.table("tcp")? else {
        return Err(Unseen::lacking(format!("{} is not there", place.root.name(&place.net("tcp")))));
    };
    for Part { text, cut } in [Some(first), place.table("tcp6")?].into_iter().flatten() {
        let lines = text.lines().skip(1);
        let mut all = false;
        for socket in lines.map_while(Socket::read) {
            if !socket.listens {
                all = true;
                break;
            }
            sockets.push(socket);
        }
        if cut && !all {
            return Err(Unseen::other(format!("more sockets listen than fit into {TABLE} bytes")));
        }
    }
    sockets.retain(|socket| ports.contains(&socket.port));
    let owners = owners(place, &sockets);
    let mut found: Vec<Listener> = sockets
        .into_iter()
        .map(|socket| Listener {
            address: socket.address.to_string(),
            port: socket.port,
            process: owners.get(&socket.inode).cloned(),
        })
        .collect();
    found.sort_by(|one, other| (one.port, &one.address).cmp(&(other.port, &other.address)));
    found.dedup();
    found.truncate(KEPT);
    Ok(found)
}

/// A line of `/proc/net/tcp` or `tcp6`.
struct Socket {
    address: IpAddr,
    port: i64,
    inode: u64,
    listens: bool,
}

impl Socket {
    fn read(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let address = match address.len() {
            8 => IpAddr::V4(hex4(address)?),
            // Four words, each in the byte order of the machine.
            32 => {
                let mut bytes = [0_u8; 16];
                for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                    part.copy_from_slice(&hex4(address.get(index * 8..index * 8 + 8)?)?.octets());
                }
                IpAddr::V6(Ipv6Addr::from(bytes))
            }
            _ => return None,
        };
        Some(Self {
            address,
            port: i64::from(u16::from_str_radix(port, 16).ok()?),
            inode: fields.get(9)?.parse().ok()?,
            // TCP_LISTEN of include/net/tcp_states.h.
            listens: fields.get(3) == Some(&"0A"),
        })
    }
}

/// The names of the programs that hold sockets, by the sockets' numbers, as far as the caller may see them.
fn owners(place: &Place, sockets: &[Socket]) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    let Ok(processes) = place.processes() else { return found };
    let mut left = DESCRIPTORS;
    for running in processes.all() {
        let folder = format!("/proc/{}/fd", running.pid);
        for name in place.root.names(&folder).unwrap_or_default() {
            if left == 0 || found.len() == sockets.len() {
                return found;
            }
            left -= 1;
            let Ok(link) = place.root.link(&format!("{folder}/{name}")) else { continue };
            let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            let Some(inode) = inode.and_then(|inode| inode.parse::<u64>().ok()) else { continue };
            if sockets.iter().any(|socket| socket.inode == inode) {
                // PID 1 holds the sockets of systemd's socket units, before the process that they are for.
                found.insert(inode, running.name().chars().take(64).collect());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), ["10.0.0.5".parse::<IpAddr>().expect("an address")]);
        let line = "20010db8000000000000000000000007 02 40 00 80     eth0";
        assert_eq!(inet6(line), "2001:db8::7".parse().ok());
        assert_eq!(inet6(&line.replace("eth0", "kube-ipvs0")), None);
        assert_eq!(inet6("garbage"), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn numbers_are_in_the_order_of_the_machine() {
        let route = route4("eth0\t0000F40A\t0100000A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0").expect("a route");
        assert_eq!((route.destination.as_str(), route.via.as_deref()), ("10.244.0.0/16", Some("10.0.0.1")));
        let refused = route4("*\t0000F40A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0").expect("a route");
        assert_eq!(refused.device, "");
        let line = "   0: 0100007F:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0";
        let socket = Socket::read(line).expect("a socket");
        assert_eq!(
            (socket.address.to_string().as_str(), socket.port, socket.inode),
            ("127.0.0.1", 10250, 4711)
        );
        assert!(socket.listens);
        let any = line.replace("0100007F", "00000000000000000000000000000000");
        assert_eq!(Socket::read(&any).expect("a socket").address.to_string(), "::");
        assert!(Socket::read("0: :280A").is_none());
    }

    #[test]
    fn a_default_route_that_refuses_is_none() {
        let refuse = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo";
        assert!(route6(refuse).is_none());
        let on_link = "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0";
        assert_eq!(route6(on_link).map(|route| route.destination), Some("2001:db8::/64".to_owned()));
    }
}
