//! The program inside the pod: looks at the machine whose root is mounted, and says what it saw page by page.
//!
//! The container that looks says the first page itself. The others lie in a directory that the containers share, and are
//! said by those, which can do nothing else. [`DONE`] comes last.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Facts, pages};
use crate::source::{Machine, MachineOptions};

/// Comes into being when every page lies there.
const DONE: &str = "done";
/// How long a page is waited for; a look ends within 30 seconds.
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause between two looks for it.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks, puts the pages after the first where the other containers find them, and gives the first.
///
/// # Errors
/// When the root cannot be opened or the pages cannot be written.
pub async fn look(options: &MachineOptions, directory: &Path) -> Result<String, String> {
    let machine = Machine::look(options).await.map_err(|error| error.to_string())?;
    let facts: Facts = machine.facts();
    let mut pages = pages::write(facts).into_iter();
    let first = pages.next().unwrap_or_default();
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    for (place, page) in pages.enumerate() {
        write(&(place + 2).to_string(), &page)?;
    }
    write(DONE, "")?;
    Ok(first)
}

/// Waits for a page; nothing where there is none of this number.
#[must_use]
pub fn page(directory: &Path, number: usize) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    while !directory.join(DONE).exists() {
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
    std::fs::read_to_string(directory.join(number.to_string())).ok()
}
