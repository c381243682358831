//! A report as one file for a browser: no script, nothing from a network, light and dark, on paper as well.

mod chain;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};

use super::gate;
use super::items::{Item, Kind, headline, items, subjects, verdict};
use super::json::{Autoscaler, Document, MetricResult, Proof, Remedy, RootCause};
use super::text::{clean, excerpt};
use super::{place_name, same_cure, state_mark, state_word};

const STYLE: &str = include_str!("html/report.css");
/// How many proofs and subjects of one result are written out.
const SHOWN: usize = 50;
/// How much of a value is shown.
const VALUE: usize = 2_000;

/// The page, which ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let page = Page {
        document,
        items: &items(document),
        style: STYLE,
        // Nothing may be loaded and nothing may run; of styles this one alone.
        policy: format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"),
        wide: chain::draw(&document.chain, chain::WIDE),
        narrow: chain::draw(&document.chain, chain::NARROW),
    };
    // Writing to a string cannot fail, and nothing in the template does.
    let text = page.render().unwrap_or_default();
    format!("{}\n", text.trim_end())
}

#[derive(Template)]
#[template(path = "report.html", config = "src/report/html/askama.toml")]
struct Page<'d> {
    document: &'d Document<'d>,
    items: &'d [Item<'d>],
    style: &'static str,
    policy: String,
    wide: chain::Drawing<'d>,
    narrow: chain::Drawing<'d>,
}

impl<'d> Page<'d> {
    fn headline(&self) -> String {
        headline(self.document)
    }

    fn summary(&self) -> String {
        verdict(self.document)
    }

    fn verdict(&self) -> &'static str {
        self.document.verdict.unwrap_or("none")
    }

    /// The colour of the headline.
    fn tone(&self) -> &'static str {
        match (self.document.verdict, self.document.exit_code) {
            (Some("pass"), 0) => "pass",
            (Some("undecided"), 0 | 3) => "undecided",
            _ => "fail",
        }
    }

    fn time(&self) -> String {
        self.document
            .taken_at
            .map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }

    fn distribution(&self) -> &'static str {
        self.document.cluster.distribution.filter(|name| *name != "unknown").unwrap_or_default()
    }

    fn of_cause(&self, code: &str) -> Vec<&'d Item<'d>> {
        self.items.iter().filter(|item| item.kind == Kind::Cause && item.code == code).collect()
    }

    fn same(&self, cause: &RootCause<'_>, remedy: &Remedy<'_>) -> Option<usize> {
        let causes = &self.document.root_causes;
        same_cure(causes, causes.iter().position(|it| it.code == cause.code)?, remedy)
    }

    fn unexplained(&self) -> Vec<&'d Item<'d>> {
        self.items.iter().filter(|item| item.kind == Kind::Unexplained).collect()
    }

    fn proofs_of(&self, code: &str) -> Vec<&'d Proof<'d>> {
        let found = self.document.unexplained.iter().filter(|symptom| symptom.code == code);
        found.flat_map(|symptom| &symptom.evidence).take(SHOWN).collect()
    }

    fn lost(&self) -> Vec<&'d Item<'d>> {
        self.items.iter().filter(|item| item.kind == Kind::Lost).collect()
    }

    fn waivers(&self) -> Vec<&'d Item<'d>> {
        self.items.iter().filter(|item| item.kind == Kind::Waiver).collect()
    }

    fn open(&self, rests: bool) -> Vec<&'d Item<'d>> {
        self.items.iter().filter(|item| item.kind == Kind::Open && item.rests == rests).collect()
    }

    fn is_offline(&self) -> bool {
        self.document.gate.is_some_and(|gate| gate.offline)
    }

    fn judged(&self) -> String {
        self.document.gate.map_or_else(String::new, gate::version)
    }

    fn metrics(&self) -> Vec<(&'d Autoscaler<'d>, &'d MetricResult<'d>)> {
        gate::metrics(self.document)
    }

    fn has_chain(&self) -> bool {
        !self.document.chain.is_empty() && self.document.gate.is_none_or(|gate| gate.pipeline)
    }

    fn label(&self, hop: &str) -> &'static str {
        self.document.chain.iter().find(|link| link.hop == hop).map_or("", |link| link.label)
    }
}

fn about(cause: &RootCause<'_>) -> String {
    subjects(&cause.subjects.iter().collect::<Vec<_>>())
}

fn explains(cause: &RootCause<'_>) -> String {
    let mut names: Vec<String> =
        cause.explains.iter().map(|symptom| format!("{} ({})", symptom.name, symptom.code)).collect();
    names.dedup();
    names.join(", ")
}

fn named(item: &Item<'_>) -> String {
    subjects(&item.subjects)
}

fn few<T>(list: &[T]) -> &[T] {
    &list[..list.len().min(SHOWN)]
}

fn more<T>(list: &[T]) -> usize {
    list.len().saturating_sub(SHOWN)
}

fn place(run_on: &str) -> String {
    place_name(run_on)
}

fn value(text: &str) -> String {
    excerpt(text, VALUE)
}

fn group(subjects: &[super::json::Subject<'_>]) -> String {
    super::items::subjects(&subjects.iter().collect::<Vec<_>>())
}

/// A part of a sentence.
struct Piece<'t> {
    text: &'t str,
    /// Whether it stood in backticks.
    is_code: bool,
}

/// A sentence, and the code in its backticks; a backtick without its fellow stays what it is.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return vec![Piece { text, is_code: false }];
    }
    let pieces = parts.into_iter().enumerate();
    pieces.map(|(index, text)| Piece { text, is_code: index % 2 == 1 }).collect()
}

/// Makes text from the cluster harmless: first for the eye, then for HTML.
#[derive(Clone, Copy)]
pub(crate) struct Harmless;

impl askama::filters::Escaper for Harmless {
    fn write_escaped_str<W: std::fmt::Write>(&self, mut dest: W, text: &str) -> std::fmt::Result {
        for char in clean(text).chars() {
            match char {
                '&' => dest.write_str("&amp;")?,
                '<' => dest.write_str("&lt;")?,
                '>' => dest.write_str("&gt;")?,
                '"' => dest.write_str("&quot;")?,
                '\'' => dest.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => write!(dest, "{}", char.escape_unicode())?,
                char => dest.write_char(char)?,
            }
        }
        Ok(())
    }
}
