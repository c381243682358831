//! What of a check's own file goes into the program: its page, and not the code and the tests behind it, which are six
//! times as long for all checks together.

use crate::check::Check;

/// The length of the leading comment, in bytes.
pub(crate) const fn length(source: &str) -> usize {
    let bytes = source.as_bytes();
    let mut end = 0;
    while end + 2 < bytes.len() && bytes[end] == b'/' && bytes[end + 1] == b'/' && bytes[end + 2] == b'!' {
        while end < bytes.len() && bytes[end] != b'\n' {
            end += 1;
        }
        // The line break belongs to the line.
        if end < bytes.len() {
            end += 1;
        }
    }
    end
}

/// The first bytes of a text.
pub(crate) const fn bytes<const LENGTH: usize>(source: &str) -> [u8; LENGTH] {
    let mut page = [0; LENGTH];
    let mut at = 0;
    while at < LENGTH {
        page[at] = source.as_bytes()[at];
        at += 1;
    }
    page
}

/// The check with nothing but its page for a source.
pub(crate) const fn with(check: Check, page: &'static [u8]) -> Check {
    match std::str::from_utf8(page) {
        Ok(source) => Check { source, ..check },
        Err(_) => panic!("a comment ends between two characters"),
    }
}

/// The checks, each with its page alone.
macro_rules! pages {
    ($($check:path),* $(,)?) => {
        &[$({
            const LENGTH: usize = crate::page::length($check.source);
            static PAGE: [u8; LENGTH] = crate::page::bytes($check.source);
            crate::page::with($check, &PAGE)
        }),*]
    };
}
pub(crate) use pages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leading_comment_is_the_page() {
        for (source, expected) in [
            ("//! # A\n//!\n//! b é\n\nuse x;\n//! no\n", "//! # A\n//!\n//! b é\n"),
            ("//! # A", "//! # A"),
            ("//!", "//!"),
            ("use x;\n", ""),
            ("", ""),
        ] {
            assert_eq!(&source[..length(source)], expected);
        }
        assert_eq!(bytes::<3>("//! # A"), *b"//!");
    }

    #[test]
    fn nothing_but_the_page_is_kept() {
        for check in crate::registry::CHECKS {
            assert!(check.source.lines().all(|line| line.starts_with("//!")), "{}", check.name);
            assert!(check.page().contains("## How to fix it"), "{}", check.name);
        }
    }
}
