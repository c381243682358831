//! What the next boot undoes.

use super::*;
use crate::check::Certainty;
use crate::evidence::{KubeletFile, SwapSource};

#[test]
fn what_a_boot_will_undo_is_a_hazard() {
    let check = &setting_lost_at_boot::CHECK;
    let boot = |boot: Option<BootValue>| {
        let mut host = machine();
        let mut settings = host.settings.peek().expect("settings").clone();
        settings[0].boot = boot;
        host.settings = seen(Need::HostSettings, settings);
        host
    };
    let zero = BootValue { value: "0".to_owned(), file: "/etc/sysctl.d/99-hardening.conf".to_owned() };
    fails(&judge(check, healthy(), boot(Some(zero))), "/etc/sysctl.d/99-hardening.conf sets it to 0 at boot");
    is_open(&judge(check, healthy(), boot(None)), "no file sets");
    let loader = crate::evidence::FilterLoader {
        name: "ufw".to_owned(),
        file: "/etc/default/ufw".to_owned(),
        forward_policy: Some("DROP".to_owned()),
    };
    let loaders = seen(Need::HostFilters, vec![loader]);
    let bare = Host { filters: rules("ACCEPT", KUBE), filter_loaders: loaders.clone(), ..machine() };
    fails(&judge(check, healthy(), bare), "ufw loads DROP at boot");
    let any = "-A FORWARD -j ACCEPT\n";
    let kept = Host { filters: rules("ACCEPT", any), filter_loaders: loaders, ..machine() };
    assert_eq!(judge(check, healthy(), kept), Outcome::Pass);
    let mut disabled = machine();
    let mut unit = disabled.kubelet_unit.peek().expect("a unit").clone().expect("one");
    unit.enabled = false;
    disabled.kubelet_unit = seen(Need::HostKubelet, Some(unit));
    fails(&judge(check, healthy(), disabled), "systemd does not start it at boot");
}

#[test]
fn what_a_boot_will_undo_of_bridges_and_reverse_paths_is_a_hazard_where_routes_need_it() {
    let check = &setting_lost_at_boot::CHECK;
    let at_boot = |name: &str, value: &str| {
        let mut host = machine();
        let mut settings = host.settings.peek().expect("settings").clone();
        let one = settings.iter_mut().find(|setting| setting.name == name).expect(name);
        one.boot = Some(BootValue { value: value.to_owned(), file: "/etc/sysctl.d/99-x.conf".to_owned() });
        host.settings = seen(Need::HostSettings, settings);
        host
    };
    let bridge = at_boot("net.bridge.bridge-nf-call-iptables", "0");
    fails(&judge(check, healthy(), bridge.clone()), "99-x.conf sets it to 0 at boot");
    let routes = bridge.routes.peek().expect("routes")[..1].to_vec();
    let elsewhere = Host { routes: seen(Need::HostRoutes, routes.clone()), ..bridge };
    assert_eq!(judge(check, healthy(), elsewhere), Outcome::Pass);
    let mut strict = at_boot("net.ipv4.conf.all.rp_filter", "1");
    assert_eq!(judge(check, healthy(), strict.clone()), Outcome::Pass);
    let second = Route { device: "eth1".to_owned(), ..routes[0].clone() };
    strict.routes = seen(Need::HostRoutes, [routes, vec![second]].concat());
    fails(&judge(check, healthy(), strict), "`net.ipv4.conf.all.rp_filter` is 0");
}

/// A line of fstab that brings swap back.
pub(super) fn source(doubt: &str) -> SwapSource {
    SwapSource {
        kind: "fstab".to_owned(),
        name: "UUID=1234".to_owned(),
        file: "/etc/fstab".to_owned(),
        doubt: doubt.to_owned(),
    }
}

/// A machine that a boot brings swap.
pub(super) fn swapping(source: SwapSource, now: i64) -> Host {
    let boot = SwapAtBoot { sources: vec![source], turned_off_by: None };
    Host {
        swap_bytes: seen(Need::HostSystem, now),
        swap_at_boot: seen(Need::HostSystem, boot),
        kubelet_file: seen(Need::HostKubelet, Some(super::super::testing::file())),
        ..machine()
    }
}

#[test]
fn swap_that_a_boot_brings_back_is_a_hazard_to_a_kubelet_that_does_not_bear_it() {
    let check = &setting_lost_at_boot::CHECK;
    fails(&judge(check, healthy(), swapping(source(""), 0)), "swap is off, /etc/fstab turns it on at boot");
    fails(&judge(check, healthy(), swapping(source(""), 1 << 30)), "after the kubelet's start");
    is_open(&judge(check, healthy(), swapping(source("it is not there now"), 0)), "it is not there now");
    // A kubelet that does not run and swap that is on are `swap-stops-kubelet`'s.
    let down = Host { kubelet: seen(Need::HostKubelet, None), ..swapping(source(""), 1 << 30) };
    assert_eq!(judge(check, healthy(), down), Outcome::Pass);
    let bears_it = KubeletFile { fail_swap_on: false, ..super::super::testing::file() };
    let bearing = Host { kubelet_file: seen(Need::HostKubelet, Some(bears_it)), ..swapping(source(""), 0) };
    assert_eq!(judge(check, healthy(), bearing), Outcome::Pass);
    let boot = SwapAtBoot { sources: vec![source("")], turned_off_by: Some("/etc/rc.local".to_owned()) };
    let turned_off = Host { swap_at_boot: seen(Need::HostSystem, boot), ..swapping(source(""), 0) };
    assert_eq!(judge(check, healthy(), turned_off), Outcome::Pass);
}

#[test]
fn a_module_that_nothing_loads_at_boot_is_likely_a_hazard_to_pods_on_a_bridge() {
    let check = &setting_lost_at_boot::CHECK;
    let module = |boot: Option<(&str, &str)>| {
        let mut host = machine();
        let mut settings = host.settings.peek().expect("settings").clone();
        let one =
            settings.iter_mut().find(|setting| setting.name == "module br_netfilter").expect("it is there");
        one.boot = boot.map(|(value, file)| BootValue { value: value.to_owned(), file: file.to_owned() });
        host.settings = seen(Need::HostSettings, settings);
        host
    };
    let outcome = judge(check, healthy(), module(None));
    fails(&outcome, "pods are on the bridge cni0, `net.bridge.bridge-nf-call-iptables` is 1 because");
    let Outcome::Fail(finding) = outcome else { panic!("it fails") };
    assert_eq!(finding.certainty, Certainty::Likely);
    let by_file = module(Some(("loaded", "/etc/modules-load.d/k8s.conf")));
    assert_eq!(judge(check, healthy(), by_file), Outcome::Pass);
    is_open(&judge(check, healthy(), module(Some(("perhaps", "docker.service")))), "docker.service may");
    // kube-router and Weave Net load it, and without a bridge nobody misses it.
    let on = |device: &str| {
        let mut host = module(None);
        let mut routes = host.routes.peek().expect("routes").clone();
        device.clone_into(&mut routes[1].device);
        host.routes = seen(Need::HostRoutes, routes);
        host
    };
    assert_eq!(judge(check, healthy(), on("kube-bridge")), Outcome::Pass);
    assert_eq!(judge(check, healthy(), on("cali1234")), Outcome::Pass);
    // Built into the kernel, it is no module.
    let mut built_in = module(None);
    let mut settings = built_in.settings.peek().expect("settings").clone();
    settings.last_mut().expect("the module").now = None;
    built_in.settings = seen(Need::HostSettings, settings);
    assert_eq!(judge(check, healthy(), built_in), Outcome::Pass);
}
