//! The hosts' `journalctl -u UNIT [-n LINES]`: the supervisor's log of that unit.

use std::fs;

use anyhow::{Context, Result};

use crate::layout::{IDENTITY_FILE, Identity};

pub(crate) fn main(args: &[String]) -> Result<i32> {
    let value = |short: &str, long: &str| {
        args.iter().enumerate().find_map(|(at, arg)| {
            if arg == short || arg == long {
                args.get(at + 1).cloned()
            } else {
                arg.strip_prefix(long)
                    .and_then(|rest| rest.strip_prefix('='))
                    .or_else(|| arg.strip_prefix(short).filter(|_| !arg.starts_with("--")))
                    .filter(|rest| !rest.is_empty())
                    .map(str::to_owned)
            }
        })
    };
    let identity: Identity = serde_json::from_slice(&fs::read(IDENTITY_FILE)?)?;
    let unit = value("-u", "--unit").context("journalctl: which unit? (-u UNIT)")?;
    let unit = unit.strip_suffix(".service").unwrap_or(&unit);
    let log = identity.layout.log(&identity.host, unit);
    let text = fs::read(log).with_context(|| format!("no log of {unit} on this host"))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let count = value("-n", "--lines").and_then(|count| count.parse().ok()).unwrap_or(lines.len());
    for line in &lines[lines.len().saturating_sub(count)..] {
        println!("{line}");
    }
    Ok(0)
}
