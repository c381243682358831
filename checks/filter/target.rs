//! The targets of iptables: what a rule does, from the words behind `-j` and `-g`.

use super::bounded;
use super::rule::Verdict;

/// Targets that change or note something and let the packet go on to the next rule (iptables-extensions(8)).
const WITHOUT_EFFECT: [&str; 23] = [
    "LOG",
    "NFLOG",
    "ULOG",
    "CT",
    "NOTRACK",
    "TRACE",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TOS",
    "DSCP",
    "ECN",
    "TTL",
    "HL",
    "CLASSIFY",
    "AUDIT",
    "CHECKSUM",
    "SECMARK",
    "CONNSECMARK",
    "SET",
    "TEE",
    "RATEEST",
    "IDLETIMER",
    "LED",
];

/// What a target does; `options` are the words behind it.
pub(super) fn target(name: &str, options: &[String]) -> Verdict {
    let option = |wanted: &str| {
        let at = options.iter().position(|option| option == wanted)?;
        options.get(at + 1).map(String::as_str)
    };
    match name {
        "ACCEPT" => Verdict::Accept,
        "DROP" => Verdict::Drop,
        // The default of both families' REJECT.
        "REJECT" => Verdict::Reject(bounded(option("--reject-with").unwrap_or("icmp-port-unreachable"))),
        "RETURN" => Verdict::Return,
        "QUEUE" | "NFQUEUE" => Verdict::Queue,
        "MARK" => mark(&option).unwrap_or(Verdict::Remark),
        "HMARK" => Verdict::Remark,
        // It copies the connection's mark to the packet, or the other way round.
        "CONNMARK" if options.iter().any(|option| option == "--restore-mark") => Verdict::Remark,
        "CONNMARK" => Verdict::Nothing,
        name if WITHOUT_EFFECT.contains(&name) => Verdict::Nothing,
        name => Verdict::Unknown(bounded(name)),
    }
}

fn mark<'a>(option: &impl Fn(&str) -> Option<&'a str>) -> Option<Verdict> {
    let (text, or) = match (option("--set-xmark"), option("--set-mark")) {
        (Some(text), _) => (text, false),
        (None, Some(text)) => (text, true),
        (None, None) => return None,
    };
    let (value, mask) = masked(text)?;
    // `--set-mark` ors the value in where `--set-xmark` flips: the bits of the value are cleared first.
    Some(Verdict::Mark { clear: if or { mask | value } else { mask }, flip: value })
}

/// Reads `VALUE` or `VALUE/MASK`.
pub(super) fn masked(text: &str) -> Option<(u32, u32)> {
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

/// Reads a number as C does: `0x` for base 16.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
