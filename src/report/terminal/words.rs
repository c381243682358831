//! Lists and numbers in words.

use checks::check::Subject;

/// How many subjects, proofs and details are written out.
pub(super) const SHOWN: usize = 5;

/// `1 root cause`, `2 root causes`.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The first few subjects and how many there are besides; the kind is said once when it is common.
pub(super) fn subjects<'s>(subjects: impl IntoIterator<Item = &'s Subject>) -> String {
    let mut seen = std::collections::HashSet::new();
    let all: Vec<&Subject> = subjects.into_iter().filter(|subject| seen.insert(*subject)).collect();
    let alike = all.windows(2).all(|pair| pair[0].kind == pair[1].kind);
    let names: Vec<String> = all
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(index, subject)| {
            let whole = match subject.kind.as_str() {
                "Cluster" => "the cluster".to_owned(),
                _ => subject.to_string(),
            };
            let short = whole.strip_prefix(&format!("{} ", subject.kind)).map(str::to_owned);
            if alike && index > 0 { short.unwrap_or(whole) } else { whole }
        })
        .collect();
    let rest = all.len().saturating_sub(SHOWN);
    if rest > 0 { format!("{} and {rest} more", names.join(", ")) } else { names.join(", ") }
}

/// The first few and how many there are besides.
pub(super) fn list(all: &[String]) -> String {
    let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

/// The first few names of subjects, without their kinds.
pub(super) fn names<'s>(subjects: impl IntoIterator<Item = &'s Subject>) -> String {
    let all: Vec<String> = subjects
        .into_iter()
        .map(|subject| match subject.namespace.as_str() {
            "" => subject.name.clone(),
            namespace => format!("{namespace}/{}", subject.name),
        })
        .collect();
    list(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_said_once() {
        let nodes: Vec<Subject> = (1..=7).map(|n| Subject::node(format!("n{n}"))).collect();
        assert_eq!(super::subjects(&nodes), "Node n1, n2, n3, n4, n5 and 2 more");
        let mixed = [Subject::cluster(), Subject::node("n1")];
        assert_eq!(super::subjects(&mixed), "the cluster, Node n1");
    }
}
