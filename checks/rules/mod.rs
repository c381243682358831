//! Checks that users write: YAML with conditions in CEL over the evidence.
//!
//! The grammar of CEL is read by the `cel` crate; names, types and evaluation are our own, because three things are
//! needed that no evaluator of CEL gives: a value that was not seen makes the result undecided, a misspelt field is found when the
//! rule is loaded, and what a stranger's rule may cost is counted in steps. A rule reads the evidence and nothing else:
//! it names no file, no address and no environment, and changes nothing of what is asked of the cluster.

mod cases;
mod certificate;
mod compile;
mod eval;
mod expr;
mod file;
mod functions;
mod nearest;
mod page;
mod problem;
pub mod reference;
mod rule;
mod run;
mod schema;
mod semver;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod view;
pub mod yaml;

use std::collections::BTreeMap;

pub use cases::{Case, Given};
pub use file::{API_VERSION, Word};
pub use problem::Problem;
pub use rule::Rule;
pub use run::View;
pub use value::NOT_KEPT;

/// The largest file of rules, in bytes.
pub const LARGEST_FILE: usize = 512 * 1024;
/// How many rules there may be.
pub const MOST_RULES: usize = 200;
/// How many bytes all expressions together may have: reading them is what takes time.
pub const MOST_CEL: usize = 128 * 1024;
/// How many cases there may be.
pub const MOST_CASES: usize = 1_000;
/// How many problems are told of.
const MOST_PROBLEMS: usize = 20;
/// The parser of CEL goes deep: in a debug build 20 brackets take more than the 2 MiB that a thread usually has. Only what is
/// touched of it is taken.
const STACK: usize = 128 * 1024 * 1024;

/// A file of rules.
#[derive(Clone, Debug)]
pub struct Text {
    /// Its name, for messages.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Rules that are ready to look, and their cases.
#[derive(Debug, Default)]
pub struct Rules {
    /// The rules, in the order of the files and of each file.
    pub list: Vec<Rule>,
    /// The cases, in the same order.
    pub cases: Vec<Case>,
}

impl Rules {
    /// Reads files of rules. A rule may stand in one file and its cases in another.
    ///
    /// # Errors
    ///
    /// When anything in them cannot be used: everything that is wrong, up to a limit.
    pub fn load(files: &[Text]) -> Result<Self, Vec<Problem>> {
        let loaded = std::thread::scope(|scope| {
            let spawned = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || load(files));
            match spawned {
                Ok(thread) => thread.join().map_err(|_| "a rule made the reader of CEL fail"),
                Err(_) => Err("no thread could be started to read the rules"),
            }
        });
        loaded.unwrap_or_else(|message| Err(vec![Problem::of_file("rules", message)]))
    }

    /// The rule of this code.
    #[must_use]
    pub fn get(&self, code: &str) -> Option<&Rule> {
        self.list.iter().find(|rule| rule.check().code == code)
    }
}

fn load(files: &[Text]) -> Result<Rules, Vec<Problem>> {
    let mut rules = Rules::default();
    let mut problems = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut written = Vec::new();
    let mut cel = 0;
    for text in files {
        if text.text.len() > LARGEST_FILE {
            problems.push(Problem::of_file(&text.name, format!("it has more than {LARGEST_FILE} bytes")));
            continue;
        }
        let file = match yaml::read::<file::File>(&text.name, &text.text) {
            Ok(file) => file,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let mut reader = rule::Reader { name: &text.name, text: &text.text, problems: Vec::new() };
        if file.api_version.value != API_VERSION {
            reader.complain(&file.api_version, format!("this version reads `apiVersion: {API_VERSION}`"));
        }
        for written in &file.rules {
            let many = rules.list.len() + problems.len() + reader.problems.len();
            if many >= MOST_RULES {
                reader.complain(&written.code, format!("there are more than {MOST_RULES} rules"));
                break;
            }
            cel += written.length();
            if cel > MOST_CEL {
                reader.complain(
                    &written.code,
                    format!("the expressions of all rules have more than {MOST_CEL} bytes"),
                );
                break;
            }
            if many > rules.list.len() + MOST_PROBLEMS {
                break;
            }
            for value in [&written.code, &written.name] {
                if let Some(other) = known.insert(value.value.clone(), text.name.clone()) {
                    reader.complain(value, format!("`{}` is taken by another rule in {other}", value.value));
                }
            }
            let rule = reader.rule(written);
            rules.list.extend(rule);
        }
        problems.append(&mut reader.problems);
        written.push((text, file.tests));
    }
    for (text, cases) in written {
        let mut reader = rule::Reader { name: &text.name, text: &text.text, problems: Vec::new() };
        for case in cases {
            if rules.cases.len() >= MOST_CASES {
                reader.complain(&case.name, format!("there are more than {MOST_CASES} cases"));
                break;
            }
            let read = cases::read(&mut reader, case, &known);
            rules.cases.extend(read);
        }
        problems.append(&mut reader.problems);
    }
    problems.truncate(MOST_PROBLEMS);
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}
