//! Which proxy lies on the way to the API server.
//!
//! The kubeconfig's `proxy-url` wins and is used whatever `NO_PROXY` says, as client-go does. Without it the
//! environment decides, by the rules of Go's `golang.org/x/net/http/httpproxy`, because kubectl follows them: the
//! variable of the server's scheme, upper case first, less `NO_PROXY`, and never for the loopback. (kube 5 compares
//! `NO_PROXY` with the proxy's address instead of the server's.)

use std::net::IpAddr;

use http::Uri;

use super::error::ConnectError;

/// The proxy that was chosen, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The proxy's URL, with user information where it has some.
    pub(super) proxy: Option<Uri>,
    /// What decided.
    pub(super) reason: &'static str,
}

/// Decides for this server.
pub(super) fn decide(
    server: &Uri,
    proxy_url: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Decision, ConnectError> {
    let variable = |names: [&'static str; 2]| {
        names
            .into_iter()
            .find_map(|name| Some((name, variable(name).filter(|value| !value.trim().is_empty())?)))
    };
    if let Some(url) = proxy_url.filter(|url| !url.is_empty()) {
        return Ok(Decision { proxy: Some(parse(url, "proxy-url")?), reason: "proxy-url" });
    }
    let names = match server.scheme_str() {
        Some("http") => ["HTTP_PROXY", "http_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy"],
    };
    let Some((origin, url)) = variable(names) else { return Ok(Decision { proxy: None, reason: "none" }) };
    let host = bare_host(server);
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    if host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return Ok(Decision { proxy: None, reason: "loopback" });
    }
    if let Some((_, list)) = variable(["NO_PROXY", "no_proxy"])
        && exempt(&list, &host, port)
    {
        return Ok(Decision { proxy: None, reason: "NO_PROXY" });
    }
    Ok(Decision { proxy: Some(parse(url.trim(), origin)?), reason: origin })
}

/// The host of a URL, lower case, an IPv6 address without its brackets.
fn bare_host(url: &Uri) -> String {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn parse(url: &str, origin: &'static str) -> Result<Uri, ConnectError> {
    let error = |reason: &str| ConnectError::Proxy { origin, reason: reason.to_owned() };
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    // The reasons of http::Uri name no part of the text, which may hold a password.
    let uri: Uri =
        full.parse().map_err(|reason: http::uri::InvalidUri| error(&format!("it is no URL ({reason})")))?;
    if uri.host().is_none_or(str::is_empty) {
        return Err(error("it names no host"));
    }
    match uri.scheme_str() {
        Some("http" | "https" | "socks5" | "socks5h") => Ok(uri),
        _ => Err(error("its scheme is none of http, https, socks5 and socks5h")),
    }
}

/// Whether `NO_PROXY` exempts this host.
fn exempt(list: &str, host: &str, port: u16) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            if entry == "*" {
                return true;
            }
            if let Some((network, length)) = entry.split_once('/')
                && let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>())
            {
                return address.is_some_and(|address| contains(network, length, address));
            }
            let (name, only_port) = split_port(&entry);
            if only_port.is_some_and(|only| only != port) {
                return false;
            }
            if let Ok(exempt) = name.parse::<IpAddr>() {
                return address == Some(exempt);
            }
            let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
            match name.strip_prefix('.') {
                Some(domain) => {
                    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                }
                None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
            }
        },
    )
}

/// `host:port`, `[v6]:port`, or either without a port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|entry| entry.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

/// Whether the network of this prefix length contains the address.
fn contains(network: IpAddr, length: u32, address: IpAddr) -> bool {
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    match width - length.min(width) {
        _ if length > width => false,
        128 => true,
        shift => network >> shift == address >> shift,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may")]

    use super::*;
    use proptest::prelude::*;

    fn decided(
        server: &str,
        proxy_url: Option<&str>,
        variables: &[(&str, &str)],
    ) -> (Option<String>, &'static str) {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let decision = decide(&server.parse().unwrap(), proxy_url, variable).unwrap();
        (decision.proxy.map(|proxy| proxy.to_string()), decision.reason)
    }

    #[test]
    fn the_kubeconfig_wins_and_the_environment_follows() {
        let proxy = ("HTTPS_PROXY", "http://proxy.corp:3128");
        let server = "https://10.1.2.3:6443";
        let chosen = Some("http://proxy.corp:3128/".to_owned());
        assert_eq!(decided(server, None, &[]), (None, "none"));
        assert_eq!(decided(server, None, &[proxy]), (chosen.clone(), "HTTPS_PROXY"));
        assert_eq!(
            decided(server, None, &[("https_proxy", "proxy.corp:3128")]),
            (chosen.clone(), "https_proxy")
        );
        assert_eq!(decided(server, None, &[("HTTP_PROXY", "http://proxy.corp:3128")]), (None, "none"));
        assert_eq!(decided(server, Some(""), &[proxy]), (chosen, "HTTPS_PROXY"));
        let other = Some("socks5://other:1080/".to_owned());
        let no_proxy = ("NO_PROXY", "*");
        assert_eq!(decided(server, Some("socks5://other:1080"), &[proxy, no_proxy]), (other, "proxy-url"));
        assert_eq!(decided("https://127.0.0.1:6443", None, &[proxy]), (None, "loopback"));
        assert_eq!(decided("https://localhost:6443", None, &[proxy]), (None, "loopback"));
        assert_eq!(decided("https://[::1]:6443", None, &[proxy]), (None, "loopback"));
    }

    #[test]
    fn no_proxy_is_about_the_server() {
        for (server, list, exempted) in [
            ("https://10.1.2.3:6443", "10.1.2.3", true),
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://10.1.2.3:6443", "10.1.2.3:6443", true),
            ("https://10.1.2.3:6443", "10.1.2.3:443", false),
            ("https://10.1.2.3:6443", "11.0.0.0/8", false),
            ("https://10.1.2.3:6443", "0.0.0.0/0", true),
            ("https://10.1.2.3:6443", "::/0", false),
            ("https://10.1.2.3:6443", "10.0.0.0/99", false),
            ("https://[fd00::5]:6443", "fd00::/8", true),
            ("https://[fd00::5]:6443", "::/0", true),
            ("https://[fd00::5]:6443", "fd00::5", true),
            ("https://[fd00::5]:6443", "[fd00::5]:6443", true),
            ("https://api.corp.example:6443", "corp.example", true),
            ("https://api.corp.example:6443", ".corp.example", true),
            ("https://api.corp.example:6443", "*.corp.example", true),
            ("https://API.corp.example:6443", " foo , Corp.Example ,", true),
            ("https://corp.example", ".corp.example", false),
            ("https://xcorp.example", "corp.example", false),
            ("https://api.corp.example", "example:443", true),
            ("https://api.corp.example", "api.corp.example:6443", false),
            ("https://proxy-is-not-asked", "proxy.corp", false),
            ("https://10.1.2.3:6443", "*", true),
            ("https://10.1.2.3:6443", ",,", false),
        ] {
            let variables = [("HTTPS_PROXY", "http://proxy.corp:3128"), ("NO_PROXY", list)];
            let expected = if exempted { "NO_PROXY" } else { "HTTPS_PROXY" };
            assert_eq!(decided(server, None, &variables).1, expected, "{server} with {list}");
        }
    }

    #[test]
    fn a_bad_proxy_is_an_error_without_its_password() {
        let server: Uri = "https://10.1.2.3".parse().unwrap();
        for url in ["ftp://u:canary-5ecret@p", "http://u:canary-5ecret@", "http://u:canary 5ecret@p:1"] {
            let error = decide(&server, Some(url), |_| None).unwrap_err().to_string();
            assert!(error.contains("proxy-url") && !error.contains("5ecret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(list in ".{0,60}", host in ".{0,30}", port: u16) {
            let _ = exempt(&list, &host, port);
            let _ = parse(&list, "proxy-url");
        }

        #[test]
        fn an_address_is_in_its_own_networks(bits: u32, length in 0u32..=32) {
            let address = IpAddr::from(bits.to_be_bytes());
            prop_assert!(contains(address, length, address));
        }
    }
}
