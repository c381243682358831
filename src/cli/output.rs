//! `-o FORMAT[=FILE]`: in which formats a result is wanted, and where each of them goes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, Error, ValueEnum};

use super::failure::{Failure, Kind, no_output};
use super::files;
use crate::exit::Exit;
use crate::report::json::{self, Document};
use crate::report::{Report, github, gitlab, html, junit, markdown, sarif, short, terminal, yaml};
use crate::ui::Ui;

/// The width of a table in a file, which has no terminal to ask.
pub(super) const WIDTH: usize = 100;

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The whole report, for people
    Table,
    /// A line for each finding, for `grep`
    Short,
    /// One JSON document, see `docs/report.schema.json`
    Json,
    /// The same document as YAML
    Yaml,
    /// JUnit XML, as CI systems show tests
    Junit,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions, which become annotations
    Github,
    /// A Code Quality report of GitLab
    Gitlab,
    /// A report for a pull request or a job summary
    Markdown,
    /// A report as one file for a browser
    Html,
}

/// A format, and the file that it goes to; none for standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) file: Option<PathBuf>,
}

impl Output {
    /// Reads `FORMAT` or `FORMAT=FILE`; `-` and `/dev/stdout` are standard output.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (format, file) = match text.split_once('=') {
            Some((format, file)) => (format, Some(file)),
            None => (text, None),
        };
        let format = Format::from_str(format, false).map_err(|_| "there is no such format")?;
        match file {
            Some("") => Err("the name of the file is missing"),
            // By its path it would be a file like any other where it has been redirected to one, and be replaced.
            None | Some("-" | "/dev/stdout") => Ok(Self { format, file: None }),
            Some(file) => Ok(Self { format, file: Some(PathBuf::from(file)) }),
        }
    }
}

/// The values of an option among arguments, in every way in which they may be written.
pub(crate) fn values<'a>(
    args: &'a [String],
    long: &'static str,
    short: Option<&'static str>,
) -> impl Iterator<Item = &'a str> {
    let args = args.iter().take_while(|arg| *arg != "--").map(String::as_str).collect::<Vec<_>>();
    let found = (0..args.len()).filter_map(move |index| {
        let arg = args[index];
        if arg == long || Some(arg) == short {
            return args.get(index + 1).copied();
        }
        let joined = arg.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
        let close = || Some(arg.strip_prefix(short?)?).map(|rest| rest.strip_prefix('=').unwrap_or(rest));
        joined.or_else(close)
    });
    found.collect::<Vec<_>>().into_iter()
}

/// The command line's reader of outputs.
#[derive(Clone, Debug)]
pub(crate) struct OutputParser;

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Output, Error> {
        let Some(text) = value.to_str() else {
            return Err(Error::new(ErrorKind::InvalidUtf8).with_cmd(command));
        };
        let format = text.split_once('=').map_or(text, |(format, _)| format);
        EnumValueParser::<Format>::new().parse_ref(command, arg, OsStr::new(format))?;
        Output::parse(text).map_err(|what| {
            let message = format!("invalid value '{text}' for '-o': {what}\n");
            Error::raw(ErrorKind::InvalidValue, message).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Format::value_variants().iter().filter_map(Format::to_possible_value)))
    }
}

/// What `host` writes: a report, or a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostOutput {
    /// A format, as for every command.
    Report(Output),
    /// The recording that `check --with` takes.
    Recording(PathBuf),
}

/// The command line's reader of what `host` writes: a file by its ending, and formats.
#[derive(Clone, Debug)]
pub(crate) struct HostOutputParser;

impl TypedValueParser for HostOutputParser {
    type Value = HostOutput;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<HostOutput, Error> {
        let path = Path::new(value);
        let is_recording = path.to_str().is_some_and(|text| {
            let name = text.strip_suffix(".gz").unwrap_or(text);
            Path::new(name).extension().is_some_and(|ending| ending == "jsonl")
                && Output::parse(text).is_err()
        });
        if is_recording {
            return Ok(HostOutput::Recording(path.to_path_buf()));
        }
        OutputParser.parse_ref(command, arg, value).map(HostOutput::Report)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        None
    }
}

/// A path that an option names, and the option.
pub(crate) type Named<'a> = (&'static str, Option<&'a Path>);

/// Everything that is wanted of one run.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    wanted: Vec<Output>,
    /// Paths that are in use otherwise.
    others: Vec<(&'static str, PathBuf)>,
}

impl Outputs {
    /// What `-o` asks for; the table goes to standard output when nothing else does. `others` are the paths of
    /// other options, which no format may overwrite.
    pub(crate) fn new(wanted: &[Output], others: &[Named<'_>]) -> Self {
        let mut wanted = wanted.to_vec();
        if wanted.iter().all(|output| output.file.is_some()) {
            wanted.insert(0, Output { format: Format::Table, file: None });
        }
        let others = others.iter().filter_map(|(name, path)| Some((*name, path.as_ref()?.to_path_buf())));
        Self { wanted, others: others.collect() }
    }

    /// Refuses what cannot be done, before a long look at a cluster.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        for (index, output) in self.wanted.iter().enumerate() {
            let Some(path) = &output.file else {
                if self.wanted[..index].iter().any(|earlier| earlier.file.is_none()) {
                    return Err(Failure::new(
                        Kind::Usage,
                        "two formats cannot go to standard output together",
                    )
                    .hint("Give all but one of them a file, such as `-o junit=report.xml`."));
                }
                continue;
            };
            let again = self.wanted[..index].iter().any(|earlier| goes_to(earlier, path));
            if again {
                let text = format!("two formats cannot go to the same file, {}", path.display());
                return Err(Failure::new(Kind::Usage, text).hint("Name another file for one of them."));
            }
            if let Some((name, _)) = self.others.iter().find(|(_, other)| files::are_same(other, path)) {
                let text = format!("-o and {name} cannot name the same file, {}", path.display());
                return Err(Failure::new(Kind::Usage, text).hint("Name another file for one of them."));
            }
        }
        self.wanted.iter().filter_map(|output| output.file.as_deref()).try_for_each(files::can_be_written)
    }

    /// Writes the report in every format: the files first, all of them or none.
    pub(crate) fn write(&self, ui: Ui, report: &Report, error: Option<&json::Error>) -> Result<(), Failure> {
        let document = json::document(report, error);
        let table = || anstream::adapter::strip_str(&terminal::render(report, WIDTH)).to_string();
        let texts = self.wanted.iter().filter_map(|output| {
            let path = output.file.as_deref()?;
            Some((path, text(output.format, &document).unwrap_or_else(table)))
        });
        files::write_reports(&texts.collect::<Vec<_>>())?;
        let Some(output) = self.wanted.iter().find(|output| output.file.is_none()) else { return Ok(()) };
        let written = match text(output.format, &document) {
            Some(text) => Ui::out_bytes(text.as_bytes()),
            None => ui.out(&terminal::render(report, Ui::width())),
        };
        written.map_err(|error| no_output(&error))
    }

    /// Tells of a failure on standard error, and in every format but the table, which is for people who have
    /// just read it there.
    pub(crate) fn fail(&self, ui: Ui, mode: &'static str, failure: &Failure) -> Exit {
        failure.tell(ui);
        self.say(mode, failure);
        failure.exit()
    }

    /// The same for whoever has been told on standard error.
    pub(crate) fn say(&self, mode: &'static str, failure: &Failure) {
        let exit = failure.exit();
        let error = failure.as_json();
        let document = json::without_evidence(mode, exit, &error);
        for (index, output) in self.wanted.iter().enumerate() {
            let text = text(output.format, &document);
            // Standard error has said it; there is nothing left to do when a place cannot be written to.
            match &output.file {
                None if self.wanted.iter().filter(|other| other.file.is_none()).count() > 1 => {}
                None => drop(text.map(|text| Ui::out_bytes(text.as_bytes()))),
                Some(path) if self.is_taken(index, path) => {}
                Some(path) => {
                    let text = text.unwrap_or_else(|| terminal::without_evidence(&error));
                    drop(files::write_reports(&[(path, text)]));
                }
            }
        }
    }

    fn is_taken(&self, index: usize, path: &Path) -> bool {
        let elsewhere = self.others.iter().any(|(_, other)| files::are_same(other, path));
        let mut others = self.wanted.iter().enumerate().filter(|(other, _)| *other != index);
        elsewhere || others.any(|(_, other)| goes_to(other, path))
    }
}

fn goes_to(output: &Output, path: &Path) -> bool {
    output.file.as_deref().is_some_and(|file| files::are_same(file, path))
}

/// The text of a format that is made from the document; nothing for the table, which is made from more.
fn text(format: Format, document: &Document<'_>) -> Option<String> {
    Some(match format {
        Format::Table => return None,
        Format::Short => short::render(document),
        Format::Json => json::render(document),
        Format::Yaml => yaml::render(document),
        Format::Junit => junit::render(document),
        Format::Sarif => sarif::render(document),
        Format::Github => github::render(document),
        Format::Gitlab => gitlab::render(document),
        Format::Markdown => markdown::render(document),
        Format::Html => html::render(document),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_any_name() {
        let parse = |text| Output::parse(text).map(|output| (output.format, output.file));
        assert_eq!(parse("json"), Ok((Format::Json, None)));
        assert_eq!(parse("json=-"), Ok((Format::Json, None)));
        assert_eq!(parse("json=/dev/stdout"), Ok((Format::Json, None)));
        assert_eq!(parse("sarif=a=b"), Ok((Format::Sarif, Some(PathBuf::from("a=b")))));
        assert!(parse("json=").is_err() && parse("xml").is_err() && parse("").is_err());
    }

    #[test]
    fn an_option_is_found_however_it_is_written() {
        let args =
            ["check", "-o", "a", "-ob", "-o=c", "--output", "d", "--output=e", "--other", "--", "-o", "f"];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(values(&args, "--output", Some("-o")).collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
        assert_eq!(values(&args, "--replay", None).next(), None);
    }

    #[test]
    fn every_place_is_written_to_once() {
        let output = |text: &str| Output::parse(text).expect("an output");
        let check = |wanted: &[&str], others: &[Named<'_>]| {
            let wanted: Vec<Output> = wanted.iter().map(|text| output(text)).collect();
            Outputs::new(&wanted, others).check().is_ok()
        };
        let here = std::env::temp_dir();
        let file = |name: &str| format!("json={}", here.join(name).display());
        assert!(check(&[], &[]) && check(&["json"], &[]));
        assert!(check(&["table", &file("mp-a"), &file("mp-b")], &[("--record", None)]));
        assert!(!check(&["table", "json"], &[]) && !check(&["json", "json=-"], &[]));
        assert!(!check(&[&file("mp-a"), &file("./mp-a")], &[]));
        assert!(!check(&[&file("mp-a")], &[("--record", Some(&here.join("mp-a")))]));
        assert_eq!(Outputs::new(&[output(&file("mp-a"))], &[]).wanted[0].format, Format::Table);
    }
}
