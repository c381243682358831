//! A defect of this program: told in one sentence, without a backtrace.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use super::failure::{Failure, Kind};

static LAST: Mutex<String> = Mutex::new(String::new());

/// Keeps panics off standard error, and remembers the last one. Symbolising a backtrace would take
/// longer than a diagnosis.
pub(super) fn be_quiet() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("a panic without a message");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = format!("{message}{place}");
    }));
}

/// Turns a panic into a failure.
pub(super) fn caught<T>(act: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| {
        let last = LAST.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(Failure::new(Kind::Bug, "this program has a defect")
            .context(last)
            .hint("Please report it, with the command that you ran and its version."))
    })
}
