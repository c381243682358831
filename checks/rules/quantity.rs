//! Quantities of Kubernetes, such as `100m` and `1.5Gi` (apimachinery `pkg/api/resource`, `quantity.go`).

use std::cmp::Ordering;

/// A quantity, exact to the billionth; what is finer is rounded up, as Kubernetes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity {
    nanos: i128,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity; `None` for what is none, or beyond what can be held.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let digits =
            rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit() || char == '.').len();
        let (number, suffix) = rest.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 40 {
            return None;
        }
        let (multiplier, divisor) = scale(suffix)?;
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let divisor = divisor.checked_mul(10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)?;
        let scaled = mantissa.checked_mul(multiplier)?.checked_mul(NANO)?;
        let nanos = scaled / divisor + i128::from(scaled % divisor != 0);
        Some(Self { nanos: if negative { -nanos } else { nanos } })
    }

    /// The whole number that it is; `None` when it is none.
    pub(super) fn as_integer(self) -> Option<i64> {
        (self.nanos % NANO == 0).then(|| i64::try_from(self.nanos / NANO).ok()).flatten()
    }

    /// -1, 0 or 1.
    pub(super) fn compare(self, other: Self) -> i64 {
        match self.cmp(&other) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }
}

/// What a suffix multiplies by, and what it divides by.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power =
                10_i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.unsigned_abs() <= 18)?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
    }

    #[test]
    fn the_same_amount_is_the_same_quantity() {
        for (one, other) in [
            ("100m", "0.1"),
            ("1Ki", "1024"),
            ("1.5Gi", "1536Mi"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("-1", "-1000m"),
            (".5", "500m"),
            ("1.", "1"),
            ("1E", "1000P"),
            ("2e-3", "2m"),
        ] {
            assert_eq!(quantity(one), quantity(other), "{one} and {other}");
        }
        assert!(quantity("1Mi") > quantity("1M"));
        assert_eq!(quantity("5k").as_integer(), Some(5000));
        assert_eq!(quantity("1500m").as_integer(), None);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "1KiB",
            "1.2.3",
            "m",
            "1 ",
            " 1",
            "0x1",
            "1e",
            "1e99",
            "\u{0661}",
            "99999999999999999999999999999Ei",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }
}
