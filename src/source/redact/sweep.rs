//! The sweep behind the allow-list: patterns of secrets in text that was declared harmless.
//!
//! A match is masked and counted, never an error: a diagnosis must not end because somebody put a token into the
//! message of an event. Each count is a place where the allow-list keeps too much.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};
use serde_json::Value;

/// What stands where the sweep found a secret.
pub const MASKED: &str = "<masked>";

/// Fields that hold long base64 by their nature: certificates, those of a file too, signing requests, and a list's next
/// page.
const BASE64_FIELDS: &[&str] = &["caBundle", "request", "certificate", "chain", "continue"];

/// Each alternative is a named group; the name says what is done with it.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = concat!(
        r"(?P<always>eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?", // JSON Web Token, RFC 7519
        r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)", // RFC 7468
        r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", // an AWS access key
        r"|\bgh[pousr]_[A-Za-z0-9]{36,}",  // a GitHub token
        r")",
        r"|(?P<keep>(?i:\b(?:bearer|basic)\s+))(?P<token>[A-Za-z0-9._~+/=-]{8,})", // RFC 6750, RFC 7617
        r"|(?P<slashes>://)(?P<user>[^\s/@]{1,256}@)", // user information in a URL
        r"|(?P<long>[A-Za-z0-9+/_-]{100,}={0,2})",     // base64 of 75 bytes and more
    );
    #[expect(
        clippy::expect_used,
        reason = "the pattern is a constant that every test of this module compiles"
    )]
    Regex::new(pattern).expect("a constant pattern")
});

/// Masks what looks like a secret in every string of a document.
#[must_use]
pub fn value(document: Value, masked: &mut u64) -> Value {
    walk(document, false, masked)
}

fn walk(document: Value, base64_expected: bool, masked: &mut u64) -> Value {
    match document {
        Value::String(text) => Value::String(mask(text, base64_expected, masked)),
        Value::Array(items) => items.into_iter().map(|item| walk(item, base64_expected, masked)).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let expected = BASE64_FIELDS.contains(&key.as_str());
                let value = walk(value, expected, masked);
                (mask(key, false, masked), value)
            })
            .collect(),
        other => other,
    }
}

/// Masks what looks like a secret in a text.
#[must_use]
pub fn text(text: &str, masked: &mut u64) -> String {
    mask(text.to_owned(), false, masked)
}

fn mask(text: String, base64_expected: bool, masked: &mut u64) -> String {
    // The shortest thing that any pattern matches is `://u@`.
    if text.len() < 5 {
        return text;
    }
    if base64_expected && hides_a_key(&text) {
        *masked += 1;
        return MASKED.to_owned();
    }
    let mut count = 0;
    let swept = SECRETS.replace_all(&text, |found: &Captures<'_>| {
        let group = |name: &str| found.name(name).map(|group| group.as_str());
        let mut masked = |before: &str| {
            count += 1;
            format!("{before}{MASKED}")
        };
        if let Some(token) = group("token") {
            // "bearer authentication" is a word, not a token.
            let is_word = token.len() < 20 && token.bytes().all(|byte| byte.is_ascii_alphabetic());
            return if is_word { found[0].to_owned() } else { masked(group("keep").unwrap_or_default()) };
        }
        if let Some(before) = group("slashes") {
            return masked(before) + "@";
        }
        if let Some(long) = group("long") {
            let has = |class: fn(&u8) -> bool| long.as_bytes().iter().any(class);
            let random =
                has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
            return if base64_expected || !random { long.to_owned() } else { masked("") };
        }
        masked("")
    });
    let swept = swept.into_owned();
    *masked += count;
    swept
}

/// Whether base64 that should be a certificate is a private key.
fn hides_a_key(text: &str) -> bool {
    STANDARD.decode(text.trim()).is_ok_and(|bytes| bytes.windows(11).any(|window| window == b"PRIVATE KEY"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn swept(input: &str) -> (String, u64) {
        let mut masked = 0;
        (text(input, &mut masked), masked)
    }

    #[test]
    fn secrets_are_masked() {
        for (input, expected) in [
            ("token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2ln here", "token <masked> here"),
            ("Authorization: Bearer s3cr3t-token-value", "Authorization: Bearer <masked>"),
            ("authorization: bearer abcdefghijklmnopqrstuvwx", "authorization: bearer <masked>"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest", "<masked>\nrest"),
            ("-----BEGIN PRIVATE KEY-----\ncut off", "<masked>"),
            (
                "proxyconnect http://user:pa55@proxy:3128 refused",
                "proxyconnect http://<masked>@proxy:3128 refused",
            ),
            ("AKIAABCDEFGHIJKLMNOP", "<masked>"),
        ] {
            assert_eq!(swept(input), (expected.to_owned(), 1), "{input}");
        }
        let long = "aB3".repeat(40);
        assert_eq!(swept(&format!("x={long}")), ("x=<masked>".to_owned(), 1));
    }

    #[test]
    fn words_are_left_alone() {
        for input in [
            "unable to use bearer authentication: no token",
            "x509: certificate signed by unknown authority",
            "https://10.0.0.1:10250/metrics/resource",
            "/var/lib/kubelet/pods/0a1b2c/volumes/kubernetes.io~projected/kube-api-access/with/a/long/way/to/go/on/and/on/and/on",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ] {
            assert_eq!(swept(input), (input.to_owned(), 0));
        }
    }

    #[test]
    fn certificates_stay_and_keys_in_their_place_do_not() {
        let certificate = STANDARD.encode(format!("-----BEGIN CERTIFICATE-----\n{}", "aB3".repeat(60)));
        let key = STANDARD.encode("-----BEGIN EC PRIVATE KEY-----\nsecret");
        let mut masked = 0;
        let out = value(
            serde_json::json!({"caBundle": certificate, "request": key, "other": certificate, "continue": certificate}),
            &mut masked,
        );
        assert_eq!(out["caBundle"], certificate);
        assert_eq!(out["continue"], certificate);
        assert_eq!(out["request"], MASKED);
        assert_eq!(out["other"], MASKED);
        assert_eq!(masked, 2);
    }

    proptest! {
        #[test]
        fn sweeping_twice_changes_nothing(input in ".{0,400}") {
            let once = swept(&input).0;
            prop_assert_eq!(swept(&once).0, once.clone());
        }
    }
}
