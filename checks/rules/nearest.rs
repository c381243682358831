//! The known name that is most like a misspelt one.

/// The nearest of the known names; nothing when none is near.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let wanted = plain(name);
    let likeness = |candidate: &str| strsim::jaro_winkler(&wanted, &plain(candidate));
    let best = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) > 0.75).then_some(*best)
}
