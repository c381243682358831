use checks::evidence::Why;
use proptest::prelude::*;

use super::*;

fn http(status: i64, message: &str) -> Look<Reach> {
    Look::Seen(Reach::Http { status, message: message.to_owned() })
}

fn message(kubelets: Vec<Look<Reach>>) -> Message {
    Message {
        api: http(200, ""),
        direct: Look::Seen(vec![ProbeDial { address: "10.0.0.1:6443".to_owned(), reach: Reach::Answered }]),
        service: Look::Seen(None),
        dns: Look::Unseen(Why::NotAsked("no name server".to_owned())),
        kubelets: Message::group(kubelets),
        omitted: 0,
    }
}

#[test]
fn what_fits_is_plain_and_whole() {
    let said = message(vec![http(200, ""), http(403, "Forbidden (user=x)"), http(200, ""), http(200, "")]);
    assert_eq!(said.kubelets[0], Group(http(403, "Forbidden (user=x)"), vec![(1, 1)]));
    assert_eq!(said.kubelets[1], Group(http(200, ""), vec![(0, 0), (2, 3)]));
    let text = said.clone().write();
    assert!(text.starts_with("mp1 ") && text.contains(" p {"), "{text}");
    assert_eq!(Message::read(&text), Ok(said));
}

#[test]
fn a_thousand_kubelets_that_all_differ_fit_worst_first() {
    let kubelets: Vec<_> = (0..1000)
        .map(|place| match place % 3 {
            0 => http(200, ""),
            1 => Look::Seen(Reach::Tls(format!("certificate of {place} {}", "x".repeat(place % 97)))),
            _ => Look::Seen(Reach::TimedOut),
        })
        .collect();
    let text = message(kubelets).write();
    assert!(text.len() <= LIMIT);
    let read = Message::read(&text).expect("a message");
    let told: usize = read.kubelets.iter().flat_map(|group| &group.1).map(|(from, to)| to - from + 1).sum();
    assert_eq!(told + read.omitted, 1000, "what is left out is counted");
    let timed_out = read.kubelets.iter().find(|group| group.0 == Look::Seen(Reach::TimedOut));
    assert_eq!(
        timed_out.map(|group| group.1.len()),
        Some(333),
        "no bad one was left out before the good ones"
    );
}

#[test]
fn damage_and_strangers_are_told() {
    let text = message(vec![http(401, "Unauthorized")]).write();
    assert_eq!(Message::read(&text[..text.len() - 3]), Err(Unreadable::Damaged));
    assert_eq!(Message::read(" \n"), Err(Unreadable::Empty));
    assert_eq!(Message::read("exec format error"), Err(Unreadable::Foreign("exec format error".to_owned())));
}

proptest! {
    // Texts of so many letters take long to make.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_is_ever_longer_than_a_kubelet_keeps(words in proptest::collection::vec(".{0,600}", 0..200)) {
        let kubelets = words.into_iter().map(|words| http(500, &words)).collect();
        let text = message(kubelets).write();
        prop_assert!(text.len() <= LIMIT && !text.is_empty());
        prop_assert!(Message::read(&text).is_ok());
    }
}

proptest! {
    #[test]
    fn any_text_can_be_read(text in ".{0,300}") {
        let _ = Message::read(&text);
        let _ = Message::read(&format!("mp1 {} z {text}", checksum(&text)));
    }
}
