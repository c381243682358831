//! Names that somebody may have meant.

/// Names longer than Kubernetes has them are compared with nothing.
const LONGEST: usize = 253;

/// Whether one name is a slip of the hand away from another: at most one edit in four characters, and at most three.
pub(crate) fn is_near(one: &str, other: &str) -> bool {
    let length = one.len().max(other.len());
    // Each letter more takes an edit.
    let more = one.chars().count().abs_diff(other.chars().count());
    length <= LONGEST && more <= 3 && distance(one, other) <= (length / 4).clamp(1, 3)
}

/// The number of insertions, deletions, replacements and swaps of neighbours that make one text the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, left) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, right) in other.iter().enumerate() {
            let mut best =
                (last[column] + usize::from(left != right)).min(last[column + 1] + 1).min(line[column] + 1);
            let swapped = row > 0
                && column > 0
                && *left == other[column - 1]
                && one[row - 1] == *right
                && left != right;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut last, line);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_others_are_not() {
        for (one, other, distance_is, near) in [
            ("web", "web", 0, true),
            ("web", "wbe", 1, true),
            ("checkout", "chekcout", 1, true),
            ("checkout", "check-out", 1, true),
            ("payment-api", "payments-ap", 2, true),
            ("web", "api", 3, false),
            ("frontend", "backend", 5, false),
            ("", "web", 3, false),
        ] {
            assert_eq!(distance(one, other), distance_is, "{one} {other}");
            assert_eq!(is_near(one, other), near, "{one} {other}");
        }
        assert!(!is_near(&"a".repeat(5000), &"a".repeat(5000)), "no name is that long");
    }
}
