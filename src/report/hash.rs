//! Fingerprints: the same for the same finding in every run, and made by no other.

use std::fmt::Write as _;

use ring::digest::{Context, SHA256};

use super::items::{Item, Kind};

/// The fingerprint of an entry. Neither the number of subjects nor a line in a file changes it: what has the same
/// cause today and tomorrow is one finding.
pub(super) fn fingerprint(item: &Item<'_>) -> String {
    let kind = match item.kind {
        Kind::Run => "run",
        Kind::Cause => "cause",
        Kind::Unexplained => "unexplained",
        Kind::Lost => "lost",
        Kind::Open => "open",
        Kind::Waiver => "waiver",
    };
    let mut parts = vec![kind, item.code, item.name];
    if let Some(place) = item.place {
        parts.push(&place.file);
        for subject in &item.subjects {
            parts.extend([subject.kind, subject.namespace.unwrap_or_default(), subject.name]);
        }
    }
    if item.kind == Kind::Waiver {
        parts.extend(item.details.iter().map(String::as_str));
    }
    let mut context = Context::new(&SHA256);
    for part in parts {
        // The length before the text: no two lists of parts run into one text.
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut text = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
