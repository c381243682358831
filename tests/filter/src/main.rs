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
const ROUNDS: u64 = 8;

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
        Some((first, _)) if first == "answer" => return net::answer(),
        Some((first, rest)) if first == "dial" => return net::dial(rest),
        _ => {}
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cases = programs(&root.join("programs"))?;
    for hook in ["forward", "input", "output"] {
        for round in 0..ROUNDS {
            cases.extend(at_random(hook, round));
        }
    }
    let _net = Net::new()?;
    let mut lines = String::new();
    for case in &cases {
        eprintln!("{}", case.name);
        writeln!(lines, "{}", try_out(case)?)?;
    }
    let file = root.join("cases.jsonl");
    std::fs::write(&file, lines).with_context(|| format!("{} is written", file.display()))
}

/// One case for each back end, and one with rules in all of them.
fn at_random(hook: &'static str, round: u64) -> Vec<Case> {
    let chain = hook.to_ascii_uppercase();
    ["legacy", "iptables-nft", "nft", "all"]
        .into_iter()
        .enumerate()
        .map(|(number, backend)| {
            let seed = round * 100
                + u64::try_from(number).unwrap_or(0) * 10
                + u64::try_from(hook.len()).unwrap_or(0);
            let mut dice = Dice::new(seed + 1);
            let mut iptables = |backends: &[&str]| {
                if !backends.contains(&backend) {
                    return String::new();
                }
                let mut text = iptables::table(&mut dice, "filter", &chain);
                if dice.roll(2) == 0 {
                    text.push_str(&iptables::table(&mut dice, "mangle", &chain));
                }
                text
            };
            let (legacy, iptables_nft) = (iptables(&["legacy", "all"]), iptables(&["iptables-nft", "all"]));
            let own = matches!(backend, "nft" | "all");
            let nft = if own { nft::table(&mut dice, hook) } else { String::new() };
            Case { name: format!("{backend} {hook} {round}"), hook, legacy, iptables_nft, nft }
        })
        .collect()
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
        if name.ends_with(".nft") {
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
