//! What expressions come to.

use super::*;

#[test]
fn conditions_are_those_of_cel() {
    for condition in [
        "1 + 2 * 3 == 7",
        "7 / 2 == 3",
        "-7 / 2 == -3",
        "-7 % 2 == -1",
        "!(1 > 2) && 'a' < 'b'",
        "'a' + 'b' == 'ab'",
        "[1, 2].all(x, x > 0)",
        "[1, 2].exists_one(x, x == 2)",
        "[1, 2, 3].filter(x, x > 1) == [2, 3]",
        "[1, 2].map(x, x * 2) == [2, 4]",
        "[1, 2].map(x, x > 1, x * 2) == [4]",
        "[].all(x, false)",
        "![].exists(x, true)",
        "2 in [1, 2]",
        "!(3 in [1, 2])",
        "size('größe') == 5",
        "'abc'.size() == 3",
        "[[1], [2]][1][0] == 2",
        "'v1.36.2'.matches('^v1\\\\.[0-9]+')",
        "!'v1.36.2'.matches('^1')",
        "'a,b'.split(',') == ['a', 'b']",
        "['a', 'b'].join('-') == 'a-b'",
        "' A '.trim().lowerAscii() == 'a'",
        "(1 == 1 ? 'x' : 'y') == 'x'",
        "int('12') == 12 && string(12) == '12'",
        "duration('1h30m').getMinutes() == 90",
        "duration('90s') > duration('1m')",
        "timestamp('2026-11-21T12:00:00Z') == now",
        "now - duration('1h') < now",
        "now - nodes[0].created == duration('24h')",
        "quantity('1.5Gi').isGreaterThan(quantity('1536M'))",
        "quantity('100m').compareTo(quantity('0.1')) == 0",
        "isQuantity('1k') && !isQuantity('one')",
        "cidr('10.0.0.0/8').containsIP(nodes[0].dial.address)",
        "cidr('10.0.0.0/8').containsCIDR('10.2.0.0/16')",
        "ip('::1').family() == 6 && ip('::1').isLoopback()",
        "!isIP('x')",
        "semver(nodes[1].kubelet_version, true).isLessThan(semver('1.36.0'))",
        "semver('1.2.3').minor() == 2",
        "flag(['--a=b', '--c', 'd', '--e'], 'a') == 'b'",
        "flag(['--a=b', '--c', 'd'], 'c') == 'd'",
        "flag(['--e'], 'e') == 'true' && flag(['--e'], 'x') == ''",
        "'größe'.startsWith('gr') && 'x'.contains('')",
        "nodes[0].labels.pool == 'a' && nodes[0].labels['pool'] == 'a'",
        "has(nodes[0].labels.pool)",
        "'pool' in nodes[0].labels",
        "!has(nodes[1].labels.pool)",
        "'topology.kubernetes.io/zone' in nodes[0].labels",
        "size(nodes[0].labels) == 2",
        "nodes[0].handshake.kind == 'alert' && nodes[0].handshake.alert == 'internal_error'",
        "has(nodes[0].handshake.alert) && !has(nodes[0].handshake.certificates)",
        "nodes[1].handshake.kind == 'not_tls' && !has(nodes[1].handshake.alert)",
        "nodes[0].dial.port == 10250",
        "nodes.exists(n, n.ready && nodes.exists(m, m.name != n.name))",
        "nodes.map(n, n.name).join(',') == 'n1,n2'",
        "mode == 'installed' || true",
        "[true, false] != [true]",
    ] {
        assert_eq!(result("cluster", condition, &nodes()), "fail", "{condition} is not true");
        assert_eq!(result("cluster", &format!("!({condition})"), &nodes()), "pass", "{condition} is true");
    }
}

#[test]
fn a_finding_quotes_what_was_read_and_the_request() {
    let results = outcomes("nodes", "node.ready && node.configz.read_only_port != 0", &nodes());
    let Outcome::Fail(finding) = &results[0].1 else { panic!("{results:?}") };
    let cited: Vec<(Option<usize>, &str, &str)> =
        finding.citations.iter().map(|it| (it.request, it.path.as_str(), it.value.as_str())).collect();
    assert_eq!(cited, [(Some(1), "node.ready", "true"), (Some(2), "node.configz.read_only_port", "10255")]);
    assert_eq!(finding.detail, "Something is wrong");

    let results = outcomes("nodes", "!has(node.labels.owner) && !has(node.pod_cidr)", &nodes());
    let Outcome::Fail(finding) = &results[0].1 else { panic!("{results:?}") };
    let cited: Vec<(Option<usize>, &str, &str)> =
        finding.citations.iter().map(|it| (it.request, it.path.as_str(), it.value.as_str())).collect();
    assert_eq!(cited, [(Some(1), "node.labels['owner']", "absent"), (Some(1), "node.pod_cidr", "absent")]);
}

#[test]
fn a_finding_always_has_a_proof() {
    let results = outcomes("nodes", "true", &nodes());
    for (subject, outcome) in results {
        let Outcome::Fail(finding) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            (finding.citations[0].request, finding.citations[0].value.as_str()),
            (Some(1), subject.name.as_str())
        );
    }
}

#[test]
fn a_detail_has_the_facts_of_the_subject() {
    let with = |detail: &str| {
        let text =
            one("nodes", "true").replace("    fails:", &format!("    detail: \"{detail}\"\n    fails:"));
        let results = load(&text).expect("a rule").list[0].run(&View::of_json(nodes()));
        let details = results.into_iter().map(|(_, outcome)| match outcome {
            Outcome::Fail(finding) => finding.detail,
            other => panic!("{other:?}"),
        });
        details.collect::<Vec<_>>()
    };
    assert_eq!(with("'port ' + string(node.configz.read_only_port)"), ["port 10255", "Something is wrong"]);
    assert_eq!(with("''"), ["Something is wrong", "Something is wrong"]);
}

#[test]
fn a_cure_names_what_has_the_fault() {
    let text = one("nodes", "true")
        + "    remedies:\n      - title: Look\n        steps:\n          - runOn: node {name}\n            command: echo {name} \
           {namespace}\n          - runOn: workstation\n            manual: Rest.\n";
    let rules = load(&text).expect("a rule");
    let mut evidence = nodes();
    evidence["nodes"]["look"]["seen"][1]["name"] = json!("x; {namespace} $(rm)");
    let findings: Vec<_> = rules.list[0]
        .run(&View::of_json(evidence))
        .into_iter()
        .map(|(_, outcome)| match outcome {
            Outcome::Fail(finding) => *finding,
            other => panic!("{other:?}"),
        })
        .collect();
    let remedies = rules.list[0].remedies(&findings);
    let commands: Vec<&str> = remedies[0].steps.iter().map(|step| step.command.as_str()).collect();
    assert_eq!(commands, ["echo n1 ''", "echo 'x; {namespace} $(rm)' ''", ""]);
    assert_eq!(remedies[0].steps[1].run_on, "node x; {namespace} $(rm)");
}
