//! What the kernel's packet filter holds, as the machine's own programs print it.
//!
//! Looking must not change anything, and a program that lists rules can make the kernel load the modules that hold
//! them. So `iptables-legacy-save` is asked only where `/proc/net/ip_tables_names` exists and names a table, and
//! nftables only where its module is loaded, or built in. Where neither is there, there are no rules.

use std::sync::Arc;

use checks::evidence::{Filters, ServiceRules};
use checks::filter::{
    Backend, Family, ProxyMode, ProxyRules, Ruleset, Unread as UnreadRules, UnreadRules as UnreadServices,
    iptables, nft, services_of_iptables, services_of_ipvs, services_of_nft,
};

use super::files::Unread;
use super::run::{self, Printed};
use super::{Look, Place, Unseen, on_files};

/// What there is to ask.
struct Kernel {
    /// Tables of `iptables-legacy`, for IPv4 and IPv6.
    legacy: [bool; 2],
    nftables: bool,
    /// `/proc/net/ip_vs`, where there is one.
    ipvs: Option<String>,
}

/// What was read.
#[derive(Default)]
struct Read {
    sets: Vec<Ruleset>,
    unread: Vec<UnreadRules>,
    services: ServiceRules,
}

/// Reads the rules, and what they do for Services.
pub(super) async fn look(place: &Arc<Place>) -> (Look<Filters>, Look<ServiceRules>) {
    match whole(place).await {
        Ok(read) => (Ok(Filters::new(read.sets, read.unread)), Ok(read.services)),
        Err(unseen) => (Err(unseen.clone()), Err(unseen)),
    }
}

async fn whole(place: &Arc<Place>) -> Look<Read> {
    place.has_kernel()?;
    place.in_network()?;
    if !place.is_root {
        return Err(Unseen {
            message: "the packet filter is read by root only".to_owned(),
            ..Unseen::denied("")
        });
    }
    let kernel = on_files(place, kernel).await?;
    let mut read = Read::default();
    if kernel.legacy == [false, false] && !kernel.nftables {
        read.services.listings.push(services_of_iptables([], &[]));
    }
    legacy(place, &kernel, &mut read).await;
    if kernel.nftables {
        // The programs of iptables know their own tables best; nft shows all others.
        iptables_nft(place, &mut read).await;
        nftables(place, &mut read).await;
    } else {
        read.sets.extend([Family::Ipv4, Family::Ipv6].map(|family| iptables(Backend::Nftables, family, [])));
        read.services.listings.push(services_of_nft("{\"nftables\": []}", &[]));
    }
    // Without the file the kernel has no virtual servers.
    if let Some(ipvs) = &kernel.ipvs {
        read.services.listings.push(services_of_ipvs(ipvs.lines(), &[]));
    }
    let nothing = read.sets.is_empty() && !read.unread.is_empty();
    if nothing {
        let whys: Vec<String> =
            read.unread.iter().map(|unread| format!("{}: {}", unread.backend, unread.why)).collect();
        return Err(Unseen::lacking(format!("no rules could be read ({})", whys.join("; "))));
    }
    Ok(read)
}

fn kernel(place: &Place) -> Look<Kernel> {
    let root = &place.root;
    let tables = |file: &str| -> Look<bool> {
        match root.text(&place.net(file)) {
            Ok(text) => Ok(text.lines().any(|line| !line.trim().is_empty())),
            Err(Unread::Absent) => Ok(false),
            Err(unread) => Err(unread.into()),
        }
    };
    let ipvs = match root.text_part(&place.net("ip_vs"), 4 << 20) {
        Ok(part) => Some(part.text),
        Err(Unread::Absent) => None,
        Err(unread) => return Err(unread.into()),
    };
    Ok(Kernel {
        legacy: [tables("ip_tables_names")?, tables("ip6_tables_names")?],
        nftables: has_nftables(place)?,
        ipvs,
    })
}

/// Whether the kernel has nftables now, so that asking loads nothing.
fn has_nftables(place: &Place) -> Look<bool> {
    let root = &place.root;
    if root.exists("/sys/module/nf_tables")? {
        return Ok(true);
    }
    match root.text("/proc/modules") {
        Ok(modules) if modules.lines().any(|line| line.starts_with("nf_tables ")) => return Ok(true),
        Ok(_) => {}
        // A kernel that loads no modules loads none for us.
        Err(Unread::Absent) => return Ok(true),
        Err(unread) => return Err(unread.into()),
    }
    let release = root.line("/proc/sys/kernel/osrelease")?;
    let is_built_in = |text: &str| text.lines().any(|line| line.ends_with("/nf_tables.ko"));
    for path in [
        format!("/lib/modules/{release}/modules.builtin"),
        format!("/usr/lib/modules/{release}/modules.builtin"),
    ] {
        if let Some(text) = root.text_if_any(&path)? {
            return Ok(is_built_in(&text));
        }
    }
    // There are no modules that could be loaded.
    Ok(true)
}

/// The tables of `iptables-legacy`.
async fn legacy(place: &Place, kernel: &Kernel, read: &mut Read) {
    for (family, is_there) in [Family::Ipv4, Family::Ipv6].into_iter().zip(kernel.legacy) {
        let backend = Backend::IptablesLegacy;
        if !is_there {
            read.sets.push(iptables(backend, family, []));
            continue;
        }
        let program = match family {
            Family::Ipv4 => "iptables-legacy-save",
            Family::Ipv6 => "ip6tables-legacy-save",
        };
        save(place, backend, family, program, read).await;
    }
}

/// The tables that `iptables-nft` has made.
async fn iptables_nft(place: &Place, read: &mut Read) {
    for (family, program) in [(Family::Ipv4, "iptables-nft-save"), (Family::Ipv6, "ip6tables-nft-save")] {
        save(place, Backend::IptablesNft, family, program, read).await;
    }
}

/// Asks one of the programs that print rules as `iptables-save` does.
async fn save(place: &Place, backend: Backend, family: Family, program: &str, read: &mut Read) {
    let printed = match found(place, program, backend).await {
        Some(path) => run::output(place, &path, &[]).await,
        // nft shows these tables as well, if with less; whether that will do is for whoever walks them to say.
        None if backend == Backend::IptablesNft => {
            // Of Services nft shows the rules of these tables in a form that is not read.
            let why = format!("{program} is not there");
            read.services.unread.push(UnreadServices { mode: ProxyMode::Iptables, why });
            return;
        }
        None => Err(Unseen::lacking(format!("{program} is not there"))),
    };
    match printed {
        Ok(Printed { text, cut }) => {
            let program = program.to_owned();
            let parsed = parsed(move || {
                let mut set = iptables(backend, family, text.lines());
                if cut {
                    set.cut_short(&format!("{program} printed more than {} bytes", run::OUTPUT));
                }
                (vec![set], services_of_iptables(text.lines(), &[]))
            });
            keep(parsed.await, backend, ProxyMode::Iptables, read);
        }
        Err(unseen) => keep(Err(unseen), backend, ProxyMode::Iptables, read),
    }
}

/// A program of a back end; `iptables-save` alone is either of them, and its version says which (`v1.8.7 (nf_tables)`;
/// before 1.8 there was only one).
async fn found(place: &Place, program: &str, backend: Backend) -> Option<String> {
    if let Some(path) = run::find(place, program) {
        return Some(path);
    }
    let plain = program.replace("-legacy", "").replace("-nft", "");
    let path = run::find(place, &plain)?;
    let version = run::output(place, &path, &["--version"]).await.ok()?.text;
    let is_nft = version.contains("nf_tables");
    (is_nft == (backend == Backend::IptablesNft)).then_some(path)
}

/// What a listing comes to.
type Parsed = (Vec<Ruleset>, ProxyRules);

/// Reads a listing apart from the looks at the network, because tens of thousands of rules take seconds.
async fn parsed(read: impl FnOnce() -> Parsed + Send + 'static) -> Look<Parsed> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|error| Unseen::other(format!("a defect of this program: {error}")))
}

fn keep(parsed: Look<Parsed>, backend: Backend, mode: ProxyMode, read: &mut Read) {
    match parsed {
        Ok((sets, services)) => {
            read.sets.extend(sets);
            read.services.listings.push(services);
        }
        Err(unseen) => {
            let why = unseen.words();
            read.services.unread.push(UnreadServices { mode, why: why.clone() });
            read.unread.push(UnreadRules { backend, why });
        }
    }
}

/// All tables of nftables.
async fn nftables(place: &Place, read: &mut Read) {
    let printed = match run::find(place, "nft") {
        Some(path) => run::output(place, &path, &["-j", "list", "ruleset"]).await,
        None => Err(Unseen::lacking("nft is not there")),
    };
    match printed {
        Ok(Printed { text, cut }) => {
            let parsed = parsed(move || {
                let mut sets = nft(&text).to_vec();
                if cut {
                    for set in &mut sets {
                        set.cut_short(&format!("nft printed more than {} bytes", run::OUTPUT));
                    }
                }
                (sets, services_of_nft(&text, &[]))
            });
            keep(parsed.await, Backend::Nftables, ProxyMode::Nftables, read);
        }
        Err(unseen) => keep(Err(unseen), Backend::Nftables, ProxyMode::Nftables, read),
    }
}
