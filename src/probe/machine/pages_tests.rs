use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn fact(value: Value) -> Outcome {
    Outcome::Fact { value }
}

/// Text that cannot be packed much: four letters of 64 for every three bytes.
fn noise(length: usize, seed: u32) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['.', '_']).collect();
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            letters[(state >> 26) as usize % letters.len()]
        })
        .collect::<String>()
        // Words, because a long one looks like a secret.
        .as_bytes()
        .chunks(7)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn said(pages: &[String]) -> Vec<&str> {
    pages.iter().map(String::as_str).collect()
}

/// Every fact that a machine tells has its place in the order: what is not known would be thrown away.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_order_has_every_fact() {
    use std::collections::BTreeSet;

    use crate::source::{Machine, MachineOptions};

    let options = MachineOptions {
        root: env!("CARGO_MANIFEST_DIR").into(),
        name: Some("one".to_owned()),
        dials: vec!["127.0.0.1:1".to_owned()],
    };
    let machine = Machine::look(&options).await.expect("it has a root");
    let told: BTreeSet<String> = machine.facts().into_keys().collect();
    let known: BTreeSet<String> =
        ORDER.iter().map(|name| (*name).to_owned()).chain(["dial 127.0.0.1:1".to_owned()]).collect();
    assert_eq!(told, known);
}

#[test]
fn what_fits_is_whole() {
    let facts: Facts = [
        ("identity".to_owned(), fact(json!({"hostname": "node1"}))),
        ("dial 10.0.0.1:443".to_owned(), fact(json!("Answered"))),
        (
            "swap".to_owned(),
            Outcome::Failed { kind: FailureKind::NotPermitted, message: "root only".to_owned() },
        ),
    ]
    .into();
    let pages = write(facts.clone());
    assert_eq!(pages.len(), 1);
    assert_eq!(read(&said(&pages), &["10.0.0.1:443".to_owned()]), Ok(facts.clone()));
    let without = read(&said(&pages), &[]).expect("it is read");
    assert_eq!(without.len(), 2, "nobody asked for that dial: {without:?}");
}

#[test]
fn what_is_larger_takes_more_pages_and_what_does_not_fit_was_not_seen() {
    for (length, pages_wanted) in [(4000, 2), (9000, 3)] {
        let facts: Facts = [("packet filter".to_owned(), fact(json!(noise(length, 1))))].into();
        let pages = write(facts.clone());
        assert_eq!(pages.len(), pages_wanted);
        assert!(pages.iter().all(|page| page.len() <= LIMIT));
        assert_eq!(read(&said(&pages), &[]), Ok(facts));
    }
    let facts: Facts = [
        ("kubelet certificates".to_owned(), fact(json!(noise(3000, 2)))),
        ("packet filter".to_owned(), fact(json!(noise(60_000, 3)))),
        ("routes".to_owned(), fact(json!(noise(3000, 4)))),
        ("identity".to_owned(), fact(json!({"hostname": "node1"}))),
    ]
    .into();
    let pages = write(facts.clone());
    let seen = read(&said(&pages), &[]).expect("it is read");
    assert_eq!(seen["identity"], facts["identity"]);
    assert_eq!(seen["kubelet certificates"], facts["kubelet certificates"]);
    assert_eq!(seen["routes"], facts["routes"]);
    assert!(
        matches!(&seen["packet filter"], Outcome::Failed { kind: FailureKind::Lacking, message } if message.contains("did not fit")),
        "{:?}",
        seen["packet filter"]
    );
}

#[test]
fn a_page_that_is_missing_or_of_somebody_else_is_no_answer() {
    let pages = write([("packet filter".to_owned(), fact(json!(noise(9000, 5))))].into());
    let all = said(&pages);
    assert_eq!(read(&[], &[]), Err(Unreadable::Empty));
    assert_eq!(read(&all[..2], &[]), Err(Unreadable::Damaged));
    assert_eq!(read(&[all[0], all[2], all[1]], &[]), Err(Unreadable::Damaged));
    assert_eq!(read(&[&all[0][..4000], all[1], all[2]], &[]), Err(Unreadable::Damaged));
    assert!(matches!(read(&["exec format error"], &[]), Err(Unreadable::Foreign(_))));
}

#[test]
fn what_a_node_says_is_swept_and_unknown_facts_are_dropped() {
    let token = format!("Bearer {}", "aB3".repeat(20));
    let facts: Facts = [
        ("identity".to_owned(), fact(json!({"hostname": token}))),
        ("passwords".to_owned(), fact(json!("hunter2"))),
        ("swap".to_owned(), Outcome::NotTls),
    ]
    .into();
    let seen = read(&said(&write(facts)), &[]).expect("it is read");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(!format!("{seen:?}").contains("aB3aB3"), "{seen:?}");
}

proptest! {
    #[test]
    fn no_message_breaks_the_reader(texts in proptest::collection::vec(".{0,200}", 0..4)) {
        let said: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assert!(read(&said, &[]).is_err());
    }
}
