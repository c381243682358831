//! The only place that writes to the terminal: colour, width, and what happens on a broken pipe.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use crate::report::clean;

/// The width where there is no terminal to ask.
const WIDTH: usize = 80;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// Standard output and standard error, with the user's wishes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ui {
    color: ColorChoice,
    verbose: bool,
}

impl Ui {
    /// Writes with this choice of colour; `verbose` tells of every request.
    pub(crate) fn new(color: ColorChoice, verbose: bool) -> Self {
        Self { color, verbose }
    }

    /// Writes to standard output. A reader who has gone away is no error.
    pub(crate) fn out(self, text: &str) -> io::Result<()> {
        let mut stream = AutoStream::new(io::stdout(), self.color).lock();
        unless_broken(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()))
    }

    /// Writes to standard output what is no text for people.
    pub(crate) fn out_bytes(bytes: &[u8]) -> io::Result<()> {
        let mut stream = io::stdout().lock();
        unless_broken(stream.write_all(bytes).and_then(|()| stream.flush()))
    }

    /// An error: what failed, in which context, and what to do about it.
    pub(crate) fn error(self, message: &str, context: &[String], hints: &[String]) {
        self.err(&format!("{ERROR}error:{ERROR:#} {}", clean(message)));
        for line in context {
            self.err(&format!("  {}", clean(line)));
        }
        for hint in hints {
            self.err(&format!("{HINT}hint:{HINT:#} {}", clean(hint)));
        }
    }

    /// A line on standard error.
    pub(crate) fn note(self, text: &str) {
        self.err(&clean(text));
    }

    /// A line on standard error that only `--verbose` shows.
    pub(crate) fn detail(self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.err(&format!("{FAINT}{}{FAINT:#}", clean(&text())));
        }
    }

    /// The width to wrap at.
    pub(crate) fn width() -> usize {
        if !io::stdout().is_terminal() {
            return WIDTH;
        }
        terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0))
    }

    /// A line on standard error that is overwritten, on a terminal alone.
    pub(crate) fn progress(self) -> Progress {
        let shown = io::stderr().is_terminal() && !self.verbose && !is_dumb();
        Progress { ui: self, shown, dirty: false }
    }

    fn err(self, line: &str) {
        let mut stream = AutoStream::new(io::stderr(), self.color).lock();
        // There is nowhere left to tell that standard error is gone.
        let _ = writeln!(stream, "{line}");
    }
}

/// A line that is overwritten; it vanishes with this value.
#[derive(Debug)]
pub(crate) struct Progress {
    ui: Ui,
    shown: bool,
    dirty: bool,
}

impl Progress {
    /// Replaces the line.
    pub(crate) fn show(&mut self, text: &str) {
        if self.shown {
            self.write(&format!("\r\u{1b}[2K{FAINT}{}{FAINT:#}", clean(text)));
            self.dirty = true;
        }
    }

    fn write(&self, text: &str) {
        // A terminal understands this, colours wanted or not; without colours the style is dropped.
        let text = if self.ui.color == ColorChoice::Never {
            text.replace(&FAINT.render().to_string(), "").replace(&FAINT.render_reset().to_string(), "")
        } else {
            text.to_owned()
        };
        let mut stream = io::stderr().lock();
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.dirty {
            self.write("\r\u{1b}[2K");
        }
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn unless_broken(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
