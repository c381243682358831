//! Three network namespaces and the packets between them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long an answer may take; all is on one machine.
const PATIENCE: Duration = Duration::from_millis(500);
/// The ports that answer.
const TCP: [u16; 3] = [80, 443, 1500];
const UDP: [u16; 2] = [53, 4789];

const SETUP: &str = "
netns add filt-a
netns add filt-m
netns add filt-b
-n filt-a link add near type veth peer name cali7 netns filt-m
-n filt-b link add near type veth peer name eth0 netns filt-m
-n filt-a link add side type veth peer name side netns filt-b
-n filt-a addr add 10.1.0.7/24 dev near
-n filt-a addr add 10.1.0.200/24 dev near
-n filt-a addr add 10.9.0.1/30 dev side
-n filt-m addr add 10.1.0.1/24 dev cali7
-n filt-m addr add 10.2.0.1/24 dev eth0
-n filt-b addr add 10.2.0.9/24 dev near
-n filt-b addr add 10.2.0.20/24 dev near
-n filt-b addr add 10.9.0.2/30 dev side
-n filt-a link set near up
-n filt-a link set side up
-n filt-m link set lo up
-n filt-m link set cali7 up
-n filt-m link set eth0 up
-n filt-b link set near up
-n filt-b link set side up
-n filt-a route add 10.2.0.9 via 10.1.0.1 src 10.1.0.7
-n filt-a route add 10.2.0.20 via 10.1.0.1 src 10.1.0.200
-n filt-a route add 10.2.0.1 via 10.1.0.1 src 10.1.0.200
-n filt-b route add 10.1.0.0/24 via 10.9.0.1
";

/// Runs a program with text on its input; its output.
pub fn run(program: &[&str], input: &str) -> Result<String> {
    let (name, arguments) = program.split_first().context("no program")?;
    let mut child = Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{name} is needed"))?;
    child.stdin.take().context("its input is a pipe")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("{}: {}\n{input}", program.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a program in a namespace.
pub fn run_in(namespace: &str, program: &[&str], input: &str) -> Result<String> {
    run(&[&["ip", "netns", "exec", namespace], program].concat(), input)
}

/// The namespaces, with programs in them that answer; all of them end with it.
pub struct Net {
    answering: Vec<Child>,
}

impl Net {
    /// Makes the namespaces.
    pub fn new() -> Result<Self> {
        let mut net = Self { answering: Vec::new() };
        for line in SETUP.lines().filter(|line| !line.is_empty()) {
            let words: Vec<&str> = std::iter::once("ip").chain(line.split(' ')).collect();
            run(&words, "")?;
        }
        for (namespace, addresses) in [
            ("filt-a", ["10.1.0.7", "10.1.0.200"]),
            ("filt-m", ["10.1.0.1", "10.2.0.1"]),
            ("filt-b", ["10.2.0.9", "10.2.0.20"]),
        ] {
            let settings = ["ipv4.ip_forward=1", "ipv4.icmp_ratelimit=0", "ipv4.conf.all.rp_filter=0"];
            for setting in settings {
                run_in(namespace, &["sysctl", "-qw", &format!("net.{setting}")], "")?;
            }
            for device in ["near", "side", "cali7", "eth0"] {
                // Each namespace has two of them.
                let _ =
                    run_in(namespace, &["sysctl", "-qw", &format!("net.ipv4.conf.{device}.rp_filter=0")], "");
            }
            let own = std::env::current_exe()?;
            let child = Command::new("ip")
                .args(["netns", "exec", namespace])
                .arg(own)
                .arg("answer")
                .args(addresses)
                .stdout(Stdio::piped())
                .spawn()?;
            net.answering.push(child);
        }
        for child in &mut net.answering {
            let mut ready = [0];
            child.stdout.take().context("its output is a pipe")?.read_exact(&mut ready)?;
        }
        Ok(net)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for child in &mut self.answering {
            let _ = child.kill();
            let _ = child.wait();
        }
        for namespace in ["filt-a", "filt-m", "filt-b"] {
            let _ = run(&["ip", "netns", "del", namespace], "");
        }
    }
}

/// Answers on all ports of these addresses until it is killed.
pub fn answer(addresses: &[String]) -> Result<()> {
    let addresses: Vec<Ipv4Addr> =
        addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
    let on = |ports: &[u16]| {
        let ports = ports.to_vec();
        addresses.clone().into_iter().flat_map(move |address| {
            ports.clone().into_iter().map(move |port| SocketAddr::from((address, port)))
        })
    };
    for place in on(&TCP) {
        let listener = TcpListener::bind(place)?;
        std::thread::spawn(move || listener.incoming().for_each(drop));
    }
    // A socket for all addresses would answer from that of its route.
    for place in on(&UDP) {
        let socket = UdpSocket::bind(place)?;
        std::thread::spawn(move || {
            let mut bytes = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&bytes[..length], from);
            }
        });
    }
    print!("!");
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

/// A packet that is sent: the namespace of its sender, and the addresses and interfaces that the rules see.
pub struct Way {
    /// Where it is sent.
    pub from: &'static str,
    /// Its source.
    pub source: &'static str,
    /// Its destination.
    pub destination: &'static str,
    /// The interface by which it comes to `filt-m`; empty where it starts there.
    pub input: &'static str,
    /// The interface by which it leaves `filt-m`; empty where it ends there.
    pub output: &'static str,
}

/// The ways of packets that meet a hook in `filt-m`.
pub fn ways(hook: &str) -> [Way; 2] {
    let way = |from, source, destination, input, output| Way { from, source, destination, input, output };
    match hook {
        "forward" => [
            way("filt-a", "10.1.0.7", "10.2.0.9", "cali7", "eth0"),
            way("filt-a", "10.1.0.200", "10.2.0.20", "cali7", "eth0"),
        ],
        "input" => [
            way("filt-a", "10.1.0.7", "10.1.0.1", "cali7", ""),
            way("filt-a", "10.1.0.200", "10.2.0.1", "cali7", ""),
        ],
        _ => [
            way("filt-m", "10.2.0.1", "10.2.0.9", "", "eth0"),
            way("filt-m", "10.1.0.1", "10.1.0.7", "", "cali7"),
        ],
    }
}

/// The packets that go each way, as `PROTOCOL PORT`.
pub fn packets() -> impl Iterator<Item = (&'static str, u16)> {
    TCP.into_iter().map(|port| ("tcp", port)).chain(UDP.into_iter().map(|port| ("udp", port)))
}

/// Sends packets, given as `PROTOCOL/ADDRESS:PORT`; a line for each of what became of it.
pub fn dial(targets: &[String]) -> Result<()> {
    let threads: Vec<_> = targets
        .iter()
        .map(|target| {
            let target = target.clone();
            std::thread::spawn(move || outcome(&target))
        })
        .collect();
    for thread in threads {
        let outcome = thread.join().map_err(|_| anyhow::anyhow!("a thread ended early"))??;
        println!("{outcome}");
    }
    Ok(())
}

fn outcome(target: &str) -> Result<String> {
    let (protocol, address) = target.split_once('/').context("PROTOCOL/ADDRESS:PORT")?;
    let address: SocketAddr = address.parse()?;
    let result = if protocol == "tcp" {
        TcpStream::connect_timeout(&address, PATIENCE).map(drop)
    } else {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // What is dropped on its way out is not permitted, and the answer below does not come.
        let _ = socket.send(b"?");
        socket.recv(&mut [0; 8]).map(drop)
    };
    Ok(match result.map_err(|error| error.kind()) {
        Ok(()) => "accept".to_owned(),
        Err(ErrorKind::TimedOut | ErrorKind::WouldBlock) => "drop".to_owned(),
        Err(ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
            "reject".to_owned()
        }
        Err(other) => bail!("{target}: {other}"),
    })
}
