//! A rule may come from a stranger's pull request: it must neither hang nor blow up the program.

use proptest::prelude::*;

use super::*;

/// As many nodes as the program is made for.
fn many() -> Json {
    let nodes: Vec<Json> =
        (0..5_000).map(|index| json!({"name": format!("n{index}"), "ready": true})).collect();
    json!({"nodes": nodes})
}

#[test]
fn lists_within_lists_use_up_their_steps() {
    let evidence = many();
    for condition in [
        "nodes.all(a, nodes.all(b, nodes.all(c, a.ready && b.ready && c.ready)))",
        "nodes.exists(a, nodes.exists(b, a.name == b.name + 'x'))",
        "size(nodes.map(a, nodes.map(b, nodes))) == 0",
        "nodes.map(a, nodes.map(b, b.name).join(',')).join(',') == ''",
        "nodes.all(a, nodes.map(b, b.name).join(',').matches('(x+x+)+y') == false)",
    ] {
        let results = outcomes("cluster", condition, &evidence);
        let [(subject, Outcome::Undecided(missing))] = results.as_slice() else {
            panic!("{condition}: {results:?}")
        };
        assert_eq!(*subject, Subject::cluster());
        assert!(missing.why.to_string().contains("cannot be evaluated"), "{condition}: {}", missing.why);
    }
    let results = outcomes("nodes", "nodes.exists(n, n.name == 'x')", &evidence);
    let [(subject, Outcome::Undecided(_))] = results.as_slice() else { panic!("{} results", results.len()) };
    assert_eq!(*subject, Subject::cluster(), "which nodes came first must not show");
}

#[test]
fn a_sane_rule_has_steps_enough_for_every_node() {
    let results =
        outcomes("nodes", "!(node.ready && node.name.startsWith('n') && size(node.name) < 10)", &many());
    assert_eq!(results.len(), 5_000);
    assert!(results.iter().all(|(_, outcome)| *outcome == Outcome::Pass));
}

#[test]
fn all_rules_together_have_a_limit_too() {
    let rules = sound("nodes", "node.name == 'x'");
    let view = View::of_json(many()).with_steps(40_000);
    let words: Vec<usize> = (0..3).map(|_| rules.list[0].run(&view).len()).collect();
    assert_eq!(words, [5_000, 1, 1], "the first rule leaves too little for the others");
}

#[test]
fn texts_and_lists_do_not_grow_without_end() {
    let doubling = |times: usize| {
        format!(
            "size({}) > 0",
            vec!["['aaaaaaaaaa'].join('').split('').join('bbbbbbbbbb')"; times].join(" + ")
        )
    };
    assert_eq!(result("cluster", &doubling(2), &nodes()), "fail");
    let grown = "nodes.map(n, n.name).join(\
                 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx').split('').join('yyyyyyyy') == ''";
    assert_eq!(result("cluster", grown, &many()), "undecided");
}

#[test]
fn monsters_are_refused_before_they_are_read() {
    let deep = |open: &str, close: &str, times: usize| {
        format!("{}1{} == 1", open.repeat(times), close.repeat(times))
    };
    for monster in [
        deep("(", ")", 990),
        deep("[", "]", 990),
        deep("-(", ")", 600),
        format!("{}1", "[".repeat(1_990)),
        "1 ? ".repeat(400),
        "true ? true : ".repeat(140) + "true",
        "(".repeat(1_999),
        "{".repeat(1_999),
        "x".repeat(2_001),
        " ".repeat(2_001),
    ] {
        let problem = refused(&monster);
        assert!(
            problem.message.starts_with("brackets") || problem.message.starts_with("an expression of more"),
            "{}: {}",
            &monster[..20],
            problem.message,
        );
    }
    for monster in [
        "1+".repeat(990) + "1 == 1",
        "!".repeat(1_990) + "true",
        "- ".repeat(900) + "1 == 1",
        "a.".repeat(990) + "a",
        "node".to_owned() + &".name".repeat(390),
        "true && ".repeat(240) + "1",
        "nodes".to_owned() + &"[0]".repeat(600),
        "1 < ".repeat(490) + "1",
        "f()".to_owned() + &".f()".repeat(490),
        "'a'".to_owned() + &".trim()".repeat(280),
        "[1]".to_owned() + &".map(x, x)".repeat(190),
        format!("[{}] == [1]", "1,".repeat(980) + "'x'"),
    ] {
        // Read or refused, and neither too deep nor too slow for a test.
        if let Err(problems) = load(&one("nodes", &monster)) {
            assert!(!problems[0].message.contains("reader of CEL fail"), "{}: {problems:?}", &monster[..20]);
        }
    }
    let nested = "nodes.all(a, nodes.all(b, nodes.all(c, nodes.all(d, nodes.all(e, nodes.all(f, true))))))";
    assert!(refused(nested).message.contains("nested more than 4 deep"));
}

#[test]
fn patterns_are_bounded() {
    for pattern in
        ["a{1000}{1000}", "(a{100}){100}{100}", "\\\\w{500}", "((((((((((((((((((((((a))))))))))))))))))))))"]
    {
        let problem = refused(&format!("node.name.matches('{pattern}')"));
        assert!(!problem.message.is_empty());
    }
    // Linear, whatever the pattern.
    let name = "x".repeat(20_000);
    let evidence = json!({"nodes": [{"name": name}]});
    assert_eq!(result("nodes", "node.name.matches('^(x+x+)+y$')", &evidence), "pass");
}

#[test]
fn yaml_is_bounded() {
    let bomb = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: [*b,*b,*b,*b]\n";
    for text in [
        bomb.to_owned(),
        "apiVersion: metrics-preflight/v1alpha1\nrules: ".to_owned() + &"[".repeat(10_000),
        "apiVersion: metrics-preflight/v1alpha1\nrules: ".to_owned() + &"{a: ".repeat(10_000),
        "- ".repeat(50_000),
        "x".repeat(600 * 1024),
        "? ".repeat(10_000),
        "a: b\n---\na: b\n".to_owned(),
        "apiVersion: metrics-preflight/v1alpha1\nrules: !!binary x\n".to_owned(),
        String::new(),
        "\u{feff}".to_owned(),
    ] {
        assert!(load(&text).is_err(), "{}", text.chars().take(40).collect::<String>());
    }
}

#[test]
fn there_are_not_more_rules_than_the_limit() {
    let rule = |index: usize| {
        let rule = one("nodes", "node.ready").lines().skip(2).collect::<Vec<_>>().join("\n");
        rule.replace("X-1", &format!("X-{index}")).replace("my-rule", &format!("my-rule-{index}")) + "\n"
    };
    let text = |count: usize| {
        "apiVersion: metrics-preflight/v1alpha1\nrules:\n".to_owned()
            + &(0..count).map(rule).collect::<String>()
    };
    assert_eq!(
        load(&text(super::super::MOST_RULES)).expect("as many as may be").list.len(),
        super::super::MOST_RULES
    );
    let long = format!("node.name == '{}'", "x".repeat(1_900));
    let long = text(80).replace("node.ready", &long);
    assert!(
        load(&long).map(|_| ()).expect_err("too long")[0].message.contains("the expressions of all rules")
    );
    assert!(
        load(&text(super::super::MOST_RULES + 1)).map(|_| ()).expect_err("too many")[0]
            .message
            .contains("more than")
    );
}

/// Words that expressions are made of, so that chance finds more than errors of the grammar.
const WORDS: &[&str] = &[
    "node",
    "nodes",
    ".",
    "ready",
    "name",
    "labels",
    "configz",
    "handshake",
    "(",
    ")",
    "[",
    "]",
    "'x'",
    "1",
    "-",
    "!",
    "&&",
    "||",
    "==",
    "<",
    "+",
    "?",
    ":",
    ",",
    "in",
    "has",
    "size",
    "exists",
    "all",
    "map",
    "n",
    "true",
    "now",
    "duration('1h')",
    "{",
    "}",
    "\"",
    "matches",
    "\\",
    "é",
    "\n",
    "0x",
    "1u",
    "b''",
    "r'",
    "null",
    "//",
    "`",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,300}") {
        let _ = load(&text);
        for condition in [text.as_str(), &text.replace(' ', "\n")] {
            if let Err(problems) = load(&one("nodes", condition)) {
                prop_assert!(problems.iter().all(|problem| !problem.message.contains("reader of CEL fail")), "{:?}", problems);
            }
        }
    }

    #[test]
    fn no_words_make_it_panic(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        match load(&one("nodes", &words.join(""))) {
            Ok(rules) => {
                let _ = rules.list[0].run(&View::of_json(nodes()));
            }
            Err(problems) => {
                prop_assert!(problems.iter().all(|problem| !problem.message.contains("reader of CEL fail")), "{:?}", problems);
            }
        }
    }

    #[test]
    fn no_yaml_makes_it_panic(at in 0_usize..250, text in "[ -~\\n]{0,20}") {
        let mut file = one("nodes", "node.ready && node.name == 'x'");
        let at = at.min(file.len());
        file.insert_str(at, &text);
        let _ = load(&file);
    }
}
