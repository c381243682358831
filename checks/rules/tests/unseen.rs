//! Not seen is undecided, whatever the rule says.

use super::*;

#[test]
fn what_was_not_seen_is_undecided_for_the_subject_alone() {
    let results = outcomes("nodes", "node.configz.anonymous", &nodes());
    assert_eq!(results.len(), 2);
    assert_eq!((results[0].0.to_string().as_str(), word(&results[0].1)), ("Node n1", "fail"));
    let Outcome::Undecided(missing) = &results[1].1 else { panic!("{results:?}") };
    assert_eq!(missing.why, Why::Forbidden { verb: "get".to_owned(), resource: "nodes/proxy".to_owned() });
}

#[test]
fn has_is_no_way_round_it() {
    for condition in [
        "has(node.configz)",
        "!has(node.configz)",
        "has(node.configz.port)",
        "has(node.configz.port) == false",
        "!(has(node.configz) && node.configz.anonymous)",
        "size([node.configz.anonymous]) == 0",
        "[1].exists(x, node.configz.port == x)",
        "[1].all(x, node.configz.port == x)",
        "size([1].filter(x, node.configz.port == x)) == 0",
        "[1].exists_one(x, node.configz.port == x)",
        "size([1].map(x, node.configz.port)) == 1",
        "(node.configz.anonymous ? 1 : 1) == 2",
        "node.configz.port in [1]",
        "string(node.configz.port).startsWith('x')",
        "node.configz.anonymous && true",
        "node.configz.anonymous || false",
        "true && node.configz.anonymous",
        "false || node.configz.anonymous",
    ] {
        let results = outcomes("nodes", condition, &nodes());
        assert_eq!(word(&results[1].1), "undecided", "{condition}");
    }
}

#[test]
fn what_decides_without_it_decides() {
    for (condition, expected) in [
        ("node.configz.anonymous && false", "pass"),
        ("false && node.configz.anonymous", "pass"),
        ("node.configz.anonymous || true", "fail"),
        ("true || node.configz.anonymous", "fail"),
        ("[false, true].exists(x, x || node.configz.anonymous)", "fail"),
        ("[false, true].all(x, x && node.configz.anonymous)", "pass"),
        ("false ? node.configz.anonymous : true", "fail"),
    ] {
        let results = outcomes("nodes", condition, &nodes());
        assert_eq!(word(&results[1].1), expected, "{condition}");
    }
}

#[test]
fn a_list_that_was_not_seen_leaves_one_result() {
    let evidence = json!({"nodes": {"need": "nodes", "look": {"unseen": "unauthorized"}}});
    let results = outcomes("nodes", "node.ready", &evidence);
    let [(subject, Outcome::Undecided(missing))] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!((subject.to_string().as_str(), &missing.why), ("cluster", &Why::Unauthorized));
    assert_eq!(result("cluster", "nodes.exists(n, n.ready)", &evidence), "undecided");
    assert_eq!(result("cluster", "size(nodes) == 0", &evidence), "undecided");
}

#[test]
fn a_word_that_says_unknown_was_not_seen() {
    let unknown = json!({"cluster": {"distribution": "unknown"}});
    assert_eq!(result("cluster", "cluster.distribution == 'eks'", &unknown), "undecided");
    assert_eq!(result("cluster", "has(cluster.distribution)", &unknown), "undecided");
    assert_eq!(result("cluster", "cluster.distribution == 'eks'", &nodes()), "pass");
}

#[test]
fn what_was_not_kept_was_not_seen() {
    let evidence = json!({
        "backend": {"args": ["--secret=<redacted>", "--metric-resolution=15s", "a <masked>"]},
        "front_proxy": {"apiserver_flags": {"profiling": "false"}},
    });
    for condition in [
        "flag(backend.args, 'secret') == ''",
        "flag(backend.args, 'secret') != ''",
        "backend.args.join(' ') == ''",
        "backend.args.exists(a, a == '--x')",
        "'--x' in backend.args",
        "backend.args[0] == '--secret'",
        "'audit-log-path' in front_proxy.apiserver_flags",
        "size(front_proxy.apiserver_flags) == 1",
        "has(front_proxy.apiserver_flags.audit)",
        "front_proxy.apiserver_flags['audit-log-path'] == ''",
    ] {
        assert_eq!(result("cluster", condition, &evidence), "undecided", "{condition}");
    }
    for condition in [
        "flag(backend.args, 'metric-resolution') == '15s'",
        "backend.args.exists(a, a == '--metric-resolution=15s')",
        "front_proxy.apiserver_flags.profiling == 'false'",
        "size(backend.args) == 3",
    ] {
        assert_eq!(result("cluster", condition, &evidence), "fail", "{condition}");
    }
}

#[test]
fn what_stands_at_the_top_can_be_asked_for_too() {
    assert_eq!(result("cluster", "has(registration)", &json!({"registration": null})), "pass");
    assert_eq!(
        result("cluster", "has(registration)", &json!({"registration": {"has_ca_bundle": true}})),
        "fail"
    );
    assert_eq!(result("cluster", "has(registration)", &json!({})), "undecided");
    assert_eq!(result("cluster", "registration.has_ca_bundle", &json!({"registration": null})), "undecided");
}

#[test]
fn what_is_absent_has_to_be_asked_for() {
    let results = outcomes("nodes", "node.pod_cidr.startsWith('10.')", &nodes());
    let Outcome::Undecided(missing) = &results[0].1 else { panic!("{results:?}") };
    assert!(missing.why.to_string().contains("ask `has(node.pod_cidr)` first"), "{}", missing.why);
    assert_eq!(word(&results[1].1), "fail");
    let results = outcomes("nodes", "has(node.pod_cidr) && node.pod_cidr.startsWith('10.')", &nodes());
    assert_eq!(word(&results[0].1), "pass");
}

#[test]
fn what_cannot_be_computed_is_undecided() {
    for condition in [
        "1 / (size(nodes) - 2) == 0",
        "1 % 0 == 0",
        "9223372036854775807 + 1 > 0",
        "[1][1] == 1",
        "[1][-1] == 1",
        "int('x') == 1",
        "timestamp('x' + 'y') > now",
        "node.labels.nothing == 'x'",
        "node.labels['nothing'] == 'x'",
        "-(-9223372036854775807 - 1) > 0",
        "now + duration('9999999999h') > now",
    ] {
        let results = outcomes("nodes", condition, &nodes());
        assert_eq!(word(&results[0].1), "undecided", "{condition}");
        assert_eq!(word(&results[1].1), "undecided", "{condition}");
    }
}

#[test]
fn a_condition_for_applying_is_undecided_too() {
    let text = one("nodes", "true").replace("    fails:", "    when: node.configz.anonymous\n    fails:");
    let results = load(&text).expect("a rule").list[0].run(&View::of_json(nodes()));
    assert_eq!((word(&results[0].1), word(&results[1].1)), ("fail", "undecided"));
    let text = one("nodes", "true").replace("    fails:", "    when: node.name == 'n2'\n    fails:");
    let results = load(&text).expect("a rule").list[0].run(&View::of_json(nodes()));
    assert_eq!((word(&results[0].1), word(&results[1].1)), ("not applicable", "fail"));
}
