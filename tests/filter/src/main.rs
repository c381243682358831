//! Loads rules, sends packets, and writes what became of each.

mod dice;
mod iptables;
mod net;
mod nft;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use dice::Dice;
use net::{Net, run_in};

/// How many sets of rules are made at random for each back end and hook.
const ROUNDS: u64 = 6;

/// Who holds the rules; `all` has some in each.
const BACKENDS: [&str; 4] = ["legacy", "iptables-nft", "nft", "all"];

struct Case {
    name: String,
    hook: &'static str,
    legacy: String,
    iptables_nft: String,
    nft: String,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "answer" => return net::answer(rest),
        Some((first, rest)) if first == "dial" => return net::dial(rest),
        _ => {}
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let _net = Net::new()?;
    let mut lines = String::new();
    for case in &programs(&root.join("programs"))? {
        eprintln!("{}", case.name);
        writeln!(lines, "{}", try_out(case)?)?;
    }
    for hook in ["forward", "input", "output"] {
        for round in 0..ROUNDS {
            for number in 0..BACKENDS.len() {
                writeln!(lines, "{}", draw(hook, round, number)?)?;
            }
        }
    }
    let file = root.join("cases.jsonl");
    std::fs::write(&file, lines).with_context(|| format!("{} is written", file.display()))
}

/// Draws rules for one of [`BACKENDS`] until the kernel takes them: not everything goes with everything.
fn draw(hook: &'static str, round: u64, number: usize) -> Result<serde_json::Value> {
    let place = round * 1000 + u64::try_from(number * 100 + hook.len())?;
    let mut refused = None;
    for attempt in 0..60 {
        let case = at_random(hook, BACKENDS[number], &mut Dice::new(place * 100 + attempt), round);
        match try_out(&case) {
            Ok(line) => {
                eprintln!("{} after {attempt} others", case.name);
                return Ok(line);
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.context("no attempt was made")?)
}

fn at_random(hook: &'static str, backend: &str, dice: &mut Dice, round: u64) -> Case {
    let chain = hook.to_ascii_uppercase();
    let mut iptables = |backends: &[&str]| {
        if !backends.contains(&backend) {
            return String::new();
        }
        let mut text = iptables::table(dice, "filter", &chain);
        if dice.roll(2) == 0 {
            text.push_str(&iptables::table(dice, "mangle", &chain));
        }
        text
    };
    let (legacy, iptables_nft) = (iptables(&["legacy", "all"]), iptables(&["iptables-nft", "all"]));
    let own = matches!(backend, "nft" | "all");
    let nft = if own { nft::table(dice, hook) } else { String::new() };
    Case { name: format!("{backend} {hook} {round}"), hook, legacy, iptables_nft, nft }
}

/// Rules as programs write them: `NAME.HOOK.iptables` and `NAME.HOOK.nft`.
fn programs(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        let name = file.file_name().into_string().map_err(|_| anyhow::anyhow!("a name is no text"))?;
        let text = std::fs::read_to_string(file.path())?;
        let hook = if name.contains(".input.") { "input" } else { "forward" };
        let blank = |name: String| Case {
            name,
            hook,
            legacy: String::new(),
            iptables_nft: String::new(),
            nft: String::new(),
        };
        if file.path().extension().is_some_and(|end| end == "nft") {
            cases.push(Case { nft: text, ..blank(name) });
        } else {
            cases.push(Case { legacy: text.clone(), ..blank(format!("{name} legacy")) });
            cases.push(Case { iptables_nft: text, ..blank(format!("{name} nft")) });
        }
    }
    Ok(cases)
}

/// What the tables are like without rules; a table that was never touched is not there at all.
const EMPTY: &str = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n*mangle\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n";

fn try_out(case: &Case) -> Result<serde_json::Value> {
    let middle = |program: &[&str], input: &str| run_in("filt-m", program, input);
    middle(&["nft", "flush", "ruleset"], "")?;
    middle(&["iptables-legacy-restore"], EMPTY)?;
    for (program, text) in [
        (&["iptables-legacy-restore"][..], &case.legacy),
        (&["iptables-nft-restore"], &case.iptables_nft),
        (&["nft", "-f", "-"], &case.nft),
    ] {
        if !text.is_empty() {
            middle(program, text)?;
        }
    }
    let mut packets = Vec::new();
    for way in net::ways(case.hook) {
        let targets: Vec<String> =
            net::packets().map(|(protocol, port)| format!("{protocol}/{}:{port}", way.destination)).collect();
        let own = std::env::current_exe()?;
        let own = own.to_str().context("the program's path is text")?;
        let words: Vec<&str> = [own, "dial"].into_iter().chain(targets.iter().map(String::as_str)).collect();
        let outcomes = run_in(way.from, &words, "")?;
        for ((protocol, port), outcome) in net::packets().zip(outcomes.lines()) {
            packets.push(json!({
                "source": way.source, "destination": way.destination, "input": way.input, "output": way.output,
                "protocol": protocol, "port": port, "outcome": outcome,
            }));
        }
    }
    Ok(json!({
        "name": case.name,
        "hook": case.hook,
        "legacy": middle(&["iptables-legacy-save", "-c"], "")?,
        "iptables_nft": middle(&["iptables-nft-save", "-c"], "")?,
        "nft": middle(&["nft", "-j", "list", "ruleset"], "")?,
        "packets": packets,
    }))
}
