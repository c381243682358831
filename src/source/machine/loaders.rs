//! What loads rules of the packet filter when the machine boots.

use checks::evidence::FilterLoader;

use super::{Look, Place, units};

/// Looks for what is known to load rules and will be started at boot.
pub(super) fn look(place: &Place) -> Look<Vec<FilterLoader>> {
    let root = &place.root;
    let text = |path: &str| root.text_if_any(path).map_err(|unread| unread.unseen(path));
    let mut found = Vec::new();
    let mut add = |name: &str, file: &str, policy: Option<&str>| {
        found.push(FilterLoader {
            name: name.to_owned(),
            file: file.to_owned(),
            forward_policy: policy.map(str::to_owned),
        });
    };
    // Docker drops what is forwarded only where it turned forwarding on itself (moby,
    // libnetwork/drivers/bridge/setup_ip_forwarding.go), so its policy cannot be told in advance.
    if units::is_enabled(root, "docker.service")? || units::is_enabled(root, "docker.socket")? {
        let daemon = text("/etc/docker/daemon.json")?.unwrap_or_default();
        let daemon: serde_json::Value = serde_json::from_str(&daemon).unwrap_or_default();
        if daemon["iptables"] != false {
            add("docker", "/etc/docker/daemon.json", None);
        }
    }
    if units::is_enabled(root, "firewalld.service")? {
        add("firewalld", "/etc/firewalld/firewalld.conf", None);
    }
    if let Some(ufw) = text("/etc/ufw/ufw.conf")? {
        let is_on = units::variables(&ufw).any(|(name, value)| name == "ENABLED" && value == "yes");
        if is_on {
            let defaults = text("/etc/default/ufw")?.unwrap_or_default();
            let policy =
                units::variables(&defaults).filter(|(name, _)| name == "DEFAULT_FORWARD_POLICY").last();
            add("ufw", "/etc/default/ufw", policy.as_ref().map(|(_, policy)| policy.as_str()));
        }
    }
    if units::is_enabled(root, "nftables.service")? {
        // Debian and Arch, and Fedora with its relatives.
        for path in ["/etc/nftables.conf", "/etc/sysconfig/nftables.conf"] {
            if let Some(rules) = text(path)? {
                add("nftables", path, nft_policy(&rules));
            }
        }
    }
    for (unit, path) in [
        ("netfilter-persistent.service", "/etc/iptables/rules.v4"),
        ("iptables.service", "/etc/sysconfig/iptables"),
        ("iptables.service", "/etc/iptables/iptables.rules"),
    ] {
        if units::is_enabled(root, unit)?
            && let Some(rules) = text(path)?
        {
            add(unit.trim_end_matches(".service"), path, saved_policy(&rules));
        }
    }
    Ok(found)
}

/// The policy of `FORWARD` in the table `filter` of a file that `iptables-save` wrote.
fn saved_policy(rules: &str) -> Option<&str> {
    let filter = rules.lines().map(str::trim).skip_while(|line| *line != "*filter");
    let policy =
        filter.take_while(|line| *line != "COMMIT").find_map(|line| line.strip_prefix(":FORWARD "))?;
    policy.split_whitespace().next()
}

/// The policy of the one chain at hook forward in a file of nftables. Where files are included, or there are several,
/// it cannot be told.
fn nft_policy(rules: &str) -> Option<&'static str> {
    let lines: Vec<&str> = rules.lines().map(|line| line.split('#').next().unwrap_or_default()).collect();
    let hooks: Vec<&&str> = lines.iter().filter(|line| line.contains("hook forward")).collect();
    if hooks.len() != 1 || lines.iter().any(|line| line.trim_start().starts_with("include")) {
        return None;
    }
    let words: Vec<&str> = hooks[0].split([' ', '\t', ';']).filter(|word| !word.is_empty()).collect();
    let policy = words.iter().position(|word| *word == "policy").and_then(|at| words.get(at + 1));
    match policy {
        Some(&"drop") => Some("DROP"),
        Some(&"accept") => Some("ACCEPT"),
        Some(_) => None,
        // nft(8): accept is the default. A policy may stand on a line of its own, though.
        None if lines.iter().any(|line| line.trim_start().starts_with("policy")) => None,
        None => Some("ACCEPT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_rules_tells_its_policy() {
        let saved = "*nat\n:FORWARD ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [1:2]\nCOMMIT\n";
        assert_eq!(saved_policy(saved), Some("DROP"));
        assert_eq!(saved_policy("*nat\n:FORWARD DROP [0:0]\nCOMMIT\n"), None);
        let chain = |line: &str| format!("table inet filter {{\n chain forward {{\n  {line}\n }}\n}}\n");
        assert_eq!(nft_policy(&chain("type filter hook forward priority 0; policy drop;")), Some("DROP"));
        assert_eq!(nft_policy(&chain("type filter hook forward priority filter;")), Some("ACCEPT"));
        assert_eq!(nft_policy(&chain("# type filter hook forward priority 0; policy drop;")), None);
        assert_eq!(nft_policy("include \"/etc/nftables.d/*\"\n"), None);
    }
}
