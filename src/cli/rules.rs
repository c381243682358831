//! Rules that users write: the option that loads them, and `rules test`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use checks::check::Check;
use checks::evidence::Mode;
use checks::rules::{Case, Given, Rules, View, Word};
use clap::{Args, Subcommand};

use super::check::runtime;
use super::failure::{Failure, Kind, no_output};
use super::{bug, catalogue, look, open, rule_files};
use crate::collect::collect;
use crate::exit::Exit;
use crate::report::clean;
use crate::ui::Ui;

/// Checks of one's own.
#[derive(Debug, Default, Args)]
pub(super) struct RuleArgs {
    /// Also run the rules of this file, or of the *.yaml files in this directory; may be given several times
    #[arg(long = "rules", value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
}

impl RuleArgs {
    /// The rules, ready to look.
    pub(super) fn load(&self) -> Result<Rules, Failure> {
        load(&self.paths)
    }

    /// The rules, and behind them those of these files and directories.
    pub(super) fn load_with(&self, more: &[PathBuf]) -> Result<Rules, Failure> {
        load(&[&self.paths, more].concat())
    }

    /// The checks of the program and behind them the rules.
    pub(super) fn checks(&self) -> Result<Vec<Check>, Failure> {
        let rules = self.load()?;
        Ok(catalogue().iter().copied().chain(rules.list.iter().map(|rule| *rule.check().0)).collect())
    }
}

fn load(paths: &[PathBuf]) -> Result<Rules, Failure> {
    let files = rule_files::read(paths)?;
    Rules::load(&files).map_err(|problems| {
        let mut failure = Failure::new(Kind::Input, "the rules cannot be used");
        for problem in problems {
            failure = problem.to_string().lines().fold(failure, Failure::context);
        }
        failure.hint("docs/src/rules.md shows what a rule may say.")
    })
}

/// Work with rules of one's own, which `check --rules` and `gate --rules` run
#[derive(Debug, Args)]
pub(super) struct RulesArgs {
    #[command(subcommand)]
    command: RulesCommand,
}

#[derive(Debug, Subcommand)]
enum RulesCommand {
    Test(TestArgs),
}

/// Run the cases of rules
///
/// Exits with 0 when every case holds and every rule has a case in which it fails and one in which it passes, with 1
/// when not, with 2 when the rules cannot be read.
#[derive(Debug, Args)]
struct TestArgs {
    /// Files of rules and cases, or directories of them
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Where the recordings lie that cases name; beside the file of the case if this is not given
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
}

pub(super) fn run(args: &RulesArgs, ui: Ui) -> Exit {
    let RulesCommand::Test(args) = &args.command;
    bug::caught(|| test(args, ui)).unwrap_or_else(|failure| failure.tell(ui))
}

fn test(args: &TestArgs, ui: Ui) -> Result<Exit, Failure> {
    let rules = load(&args.paths)?;
    let mut lines = String::new();
    let mut say = |line: &str| {
        lines.push_str(line);
        lines.push('\n');
    };
    let mut shown: BTreeSet<(&str, Word)> = BTreeSet::new();
    let mut holding = 0;
    for case in &rules.cases {
        let result = case.run(&rules, &view(case, args)?);
        shown.extend(&result.results);
        let holds = result.wrong.is_empty();
        holding += usize::from(holds);
        say(&format!("{} {}: {}", if holds { "ok  " } else { "FAIL" }, case.file, case.name));
        for wrong in &result.wrong {
            say(&format!("       {wrong}"));
        }
    }
    let mut unproven = 0;
    for rule in &rules.list {
        let check = rule.check();
        let lacks: Vec<&str> = [(Word::Fail, "fails"), (Word::Pass, "passes")]
            .into_iter()
            .filter(|(word, _)| !shown.contains(&(check.code, *word)))
            .map(|(_, word)| word)
            .collect();
        if !lacks.is_empty() {
            unproven += 1;
            say(&format!(
                "FAIL {} {}: no case shows that it {}",
                check.code,
                check.name,
                lacks.join(" and that it ")
            ));
        }
    }
    say(&format!(
        "{holding} of {} cases hold; {unproven} of {} rules lack a case.",
        rules.cases.len(),
        rules.list.len()
    ));
    ui.out(&clean(&lines)).map_err(|error| no_output(&error))?;
    Ok(if holding == rules.cases.len() && unproven == 0 { Exit::Clean } else { Exit::Findings })
}

/// The evidence of a case.
fn view(case: &Case, args: &TestArgs) -> Result<View, Failure> {
    let Given::Recording(name) = &case.given else {
        return case.view().ok_or_else(|| Failure::new(Kind::Bug, "a case has no evidence"));
    };
    let beside = Path::new(&case.file).parent().map(Path::to_path_buf).unwrap_or_default();
    let folder = args.recordings.clone().unwrap_or(beside);
    let path = rule_files::recording(&folder, name).map_err(|failure| {
        failure.context(format!("the case \"{}\" of {} names it", case.name, case.file))
    })?;
    let (source, header) = open::recording(&path)?;
    let options = look::recorded(&header)?;
    if options.mode == Mode::Gate {
        return Err(Failure::new(
            Kind::Input,
            format!("{name} was made by `gate`, and needs its manifests too"),
        )
        .hint("Write the evidence of the case as an excerpt."));
    }
    Ok(View::new(&runtime()?.block_on(collect(&source, &options))))
}
