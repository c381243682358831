//! What is refused when rules are loaded, with its place.

use super::*;

#[test]
fn a_misspelt_field_is_refused_with_its_place() {
    let text = "apiVersion: metrics-preflight/v1alpha1\nrules:\n  - code: X-1\n    name: my-rule\n    title: Wrong\n    severity: \
                error\n    forEach: nodes\n    fails: node.ready && node.handshak.kind == 'alert'\n";
    let problems = load(text).map(|_| ()).expect_err("a typo");
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!(problem.place, "a.yaml:8:31");
    assert_eq!(problem.message, "Node has no field `handshak`");
    assert_eq!(problem.hint.as_deref(), Some("did you mean `handshake`?"));
    let snippet = problem.snippet.as_deref().expect("a snippet");
    assert_eq!(
        snippet,
        "|     fails: node.ready && node.handshak.kind == 'alert'\n|                               ^^^^^^^^"
    );
}

#[test]
fn the_place_in_a_block_is_that_of_its_line() {
    let text = "apiVersion: metrics-preflight/v1alpha1\nrules:\n  - code: X-1\n    name: my-rule\n    title: Wrong\n    severity: \
                error\n    forEach: nodes\n    fails: |\n      node.ready &&\n      node.lables.pool == 'ü' && node.osx == 'x'\n";
    let problems = load(text).map(|_| ()).expect_err("a typo");
    assert_eq!(problems[0].place, "a.yaml:10:12");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean `labels`?"));
    let text = text.replace("lables", "labels");
    assert_eq!(load(&text).map(|_| ()).expect_err("a typo")[0].place, "a.yaml:10:39");
}

#[test]
fn names_and_types_are_checked() {
    for (condition, message) in [
        ("nod.ready", "there is no `nod`"),
        ("node.kubeletVersion == 'x'", "Node has no field `kubeletVersion`"),
        ("has(node.redy)", "Node has no field `redy`"),
        ("nodes.exists(n, n.redy)", "Node has no field `redy`"),
        ("nodes.filter(n, n.ready).exists(m, m.configz.prt == 1)", "KubeletConfig has no field `prt`"),
        ("nodes.map(n, n.configz).all(c, c.prt == 1)", "KubeletConfig has no field `prt`"),
        ("nodes.ready", "list(Node) has no fields, so no `ready`"),
        ("node.name.size", "string has no fields, so no `size`"),
        ("node.name", "this is of the type string, and bool is wanted"),
        ("node.name == 1", "string and int cannot be compared so"),
        ("node.ready < true", "bool and bool cannot be compared so"),
        ("node == node", "Node and Node cannot be compared so"),
        ("node.name + 1 == 'x'", "string and int cannot be combined so"),
        ("!node.name", "this is of the type string, and bool is wanted"),
        ("node.ready && 1", "this is of the type int, and bool is wanted"),
        ("node.ready ? 1 : 'x'", "this is of the type string, and the other branch of int"),
        ("node.name.startWith('x')", "there is no function `startWith`"),
        ("node.name.startsWith(1)", "`startsWith` cannot be called so"),
        ("startsWith(node.name, 'x')", "`startsWith` cannot be called so"),
        (
            "node.name.matches(node.os)",
            "the pattern has to be a literal, so that it is checked when it is loaded",
        ),
        ("node.name == null", "there is no null here"),
        ("node.kubelet_port == 1u", "whole numbers are written without `u`"),
        ("node.kubelet_port > 1.5", "numbers are whole numbers; for amounts there is `quantity()`"),
        ("size(node.ready) == 0", "bool has no size"),
        ("has(node)", "`has()` asks for a field: `has(x.field)`"),
        ("'x' in node.name", "there is no `in` of string and string"),
        ("1 in node.labels", "there is no `in` of int and map(string, string)"),
        ("[1, 'x'] == [1]", "a list of int and of string"),
        ("{'a': 1}.a == 1", "maps and messages cannot be written here"),
        ("nodes.exists(node, node.ready)", "`node` has a meaning already; take another name"),
        ("nodes.exists(1, true)", "the first argument is the name of a variable"),
        ("nodes.exists(n)", "`exists` takes a variable and a condition"),
        ("node.name.exists(x, true)", "`exists` is for lists, and this is string"),
        ("now - duration('1 day') < now", "`1 day` is no duration such as `1h30m`"),
        ("now < timestamp('yesterday')", "`yesterday` is no timestamp of RFC 3339"),
        ("cidr('10.0.0.0').containsIP('10.0.0.1')", "`10.0.0.0` is no network"),
        ("node.?x == 'a'", "this operator cannot be used here"),
        ("env('HOME') == ''", "there is no function `env`"),
        ("", "the expression is empty"),
    ] {
        assert_eq!(refused(condition).message, message, "{condition}");
    }
    for condition in
        ["node.", "node.ready &&", "(", "node.ready == ", "'", "a b", "\u{0}", "node.`x`", "@result"]
    {
        assert!(
            refused(condition).message.starts_with("this is no CEL"),
            "{condition}: {:?}",
            refused(condition)
        );
    }
    assert!(refused("node.name.matches('(')").message.starts_with("this pattern cannot be used"));
}

/// A sound rule with one line replaced.
fn with(line: &str, other: &str) -> Vec<Problem> {
    let text = one("nodes", "node.ready");
    let changed = text.replace(line, other);
    assert_ne!(text, changed, "{line} is not there");
    load(&changed).map(|_| ()).expect_err(other)
}

#[test]
fn metadata_are_checked() {
    for code in
        ["MP101", "MP-101", "X", "x-1", "X-", "-1", "1-1", "X-1-1", "X_1", "ABCDEFGHIJKLMNOPQ-1", "''"]
    {
        assert!(with("code: X-1", &format!("code: {code}"))[0].message.starts_with("a code is"), "{code}");
    }
    for name in ["My-rule", "my_rule", "my--rule", "-my", "''", "1-x"] {
        assert!(
            with("name: my-rule", &format!("name: {name}"))[0].message.starts_with("a name is"),
            "{name}"
        );
    }
    let taken = with("name: my-rule", "name: kubelet-csr-pending");
    assert_eq!(taken[0].message, "`kubelet-csr-pending` is the name of a check of the program");
    assert_eq!(taken[0].place, "a.yaml:4:11");
    assert!(with("severity: error", "severity: fatal")[0].message.contains("fatal"));
    assert!(with("forEach: nodes", "forEach: secrets")[0].message.contains("secrets"));
    assert!(with("    fails:", "    failz:")[0].message.contains("failz"));
    assert!(
        with("    fails:", "    pass: node.ready\n    fails:")[0]
            .message
            .contains("either `fails` or `pass`")
    );
    assert!(with("v1alpha1", "v2")[0].message.contains("apiVersion: metrics-preflight/v1alpha1"));
    assert!(with("    title: Something is wrong\n", "")[0].message.contains("title"));
}

#[test]
fn codes_and_names_are_unique_over_all_files() {
    let file = |name: &str, text: String| Text { name: name.to_owned(), text };
    let (one_file, other) =
        (one("nodes", "node.ready"), one("nodes", "node.ready").replace("my-rule", "other-rule"));
    let problems = Rules::load(&[file("a.yaml", one_file), file("b.yaml", other)])
        .map(|_| ())
        .expect_err("the same code");
    assert_eq!(
        problems[0].to_string().lines().next(),
        Some("b.yaml:3:11: `X-1` is taken by another rule in a.yaml")
    );
}

#[test]
fn a_page_says_what_the_rule_is() {
    let rules = sound("nodes", "node.configz.anonymous");
    let page = rules.list[0].check().page();
    assert!(page.starts_with("# Something is wrong\n"), "{page}");
    assert!(page.contains("    node.configz.anonymous"), "{page}");
    let needs = rules.list[0].check().needs;
    assert_eq!(needs, [crate::evidence::Need::Nodes, crate::evidence::Need::Configz]);
}

#[test]
fn cases_are_checked() {
    let with = |case: &str| {
        let text = one("nodes", "node.ready") + "tests:\n" + case;
        load(&text).map(|_| ()).expect_err(case)[0].message.clone()
    };
    let expect = "    expect: {X-1: {Node n1: pass}}\n";
    assert_eq!(with(&format!("  - name: a\n{expect}")), "a case has either `evidence` or `recording`");
    for path in ["../a", "/etc/passwd", ".a", "a/b", "a..b", "-a", "''"] {
        let message = with(&format!("  - name: a\n    recording: {path}\n{expect}"));
        assert!(message.starts_with("a recording is named without a path"), "{path}: {message}");
    }
    let message =
        with(&format!("  - name: a\n    evidence: {{nodes: [{{name: n1, redy: true}}]}}\n{expect}"));
    assert_eq!(message, "`evidence.nodes[0]` has no field `redy`; did you mean `ready`?");
    let message = with(&format!("  - name: a\n    evidence: {{nodes: [{{name: n1, ready: 1}}]}}\n{expect}"));
    assert_eq!(message, "`evidence.nodes[0].ready` is true or false");
    let message = with("  - name: a\n    evidence: {}\n    expect: {my-rul: {Node n1: pass}}\n");
    assert_eq!(message, "there is no rule `my-rul`; did you mean `my-rule`?");
}
