//! Quantities as Kubernetes writes them: `250m`, `1.5Gi`, `2e3`.

/// A quantity in billionths, rounded up as Kubernetes rounds what is finer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const NANO: i128 = 1_000_000_000;
/// So many decimal places are read.
const PLACES: usize = 18;

impl Quantity {
    /// Reads a quantity; nothing where Kubernetes would refuse the text, or where it is larger than any machine.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = rest.split_at(digits);
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("", rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let magnitude = scaled(whole, fraction, suffix)?;
        Some(Self(if negative { -magnitude } else { magnitude }))
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The whole number that it is; nothing where it is none.
    #[must_use]
    pub fn as_integer(self) -> Option<i64> {
        (self.0 % NANO == 0).then(|| i64::try_from(self.0 / NANO).ok()).flatten()
    }

    /// In thousandths, rounded away from zero as `MilliValue` of Kubernetes does; nothing where 64 bits do not hold it.
    #[must_use]
    pub fn milli(self) -> Option<i64> {
        const MICRO: i128 = 1_000_000;
        let rest = (self.0 % MICRO).signum();
        i64::try_from(self.0 / MICRO + rest).ok()
    }

    /// The sum; nothing where it is larger than can be counted.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The multiple; nothing where it is larger than can be counted.
    #[must_use]
    pub fn times(self, factor: i64) -> Option<Self> {
        self.0.checked_mul(i128::from(factor)).map(Self)
    }
}

impl std::fmt::Display for Quantity {
    /// The shortest plain way to write it: whole numbers, `m` for thousandths, binary units for what is a whole
    /// number of them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.0;
        if value % NANO != 0 {
            let (unit, size) = [("m", 1_000_000), ("u", 1_000), ("n", 1)]
                .into_iter()
                .find(|(_, size)| value % size == 0)
                .unwrap_or(("n", 1));
            return write!(f, "{}{unit}", value / size);
        }
        let whole = value / NANO;
        let binary = [("Ti", 1_i128 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
        match binary.into_iter().find(|(_, size)| whole != 0 && whole % size == 0) {
            Some((unit, size)) => write!(f, "{}{unit}", whole / size),
            None => write!(f, "{whole}"),
        }
    }
}

/// The digits times the suffix, in billionths.
fn scaled(whole: &str, fraction: &str, suffix: &str) -> Option<i128> {
    let multiplier = multiplier(suffix)?;
    let fraction = fraction.trim_end_matches('0');
    // What stands behind the places that count only rounds up.
    let (fraction, finer) = fraction.split_at(fraction.len().min(PLACES));
    let digits = [whole, fraction, if finer.is_empty() { "" } else { "1" }].concat();
    let places = i64::try_from(digits.len() - whole.len()).ok()?;
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    let number: i128 = digits.parse().ok()?;
    let (number, exponent) = match multiplier {
        Multiplier::Two(exponent) => (number.checked_mul(1 << exponent)?, 0),
        Multiplier::Ten(exponent) => (number, i64::from(exponent)),
    };
    let up = 9 - places + exponent;
    if up >= 0 {
        return number.checked_mul(power_of_ten(up)?);
    }
    match power_of_ten(-up) {
        Some(divisor) => Some(number / divisor + i128::from(number % divisor != 0)),
        None => Some(1),
    }
}

fn power_of_ten(exponent: i64) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// What a suffix multiplies with: a power of two or of ten.
#[derive(Clone, Copy)]
enum Multiplier {
    Two(u32),
    Ten(i32),
}

fn multiplier(suffix: &str) -> Option<Multiplier> {
    use Multiplier::{Ten, Two};
    Some(match suffix {
        "n" => Ten(-9),
        "u" => Ten(-6),
        "m" => Ten(-3),
        "" => Ten(0),
        "k" => Ten(3),
        "M" => Ten(6),
        "G" => Ten(9),
        "T" => Ten(12),
        "P" => Ten(15),
        "E" => Ten(18),
        "Ki" => Two(10),
        "Mi" => Two(20),
        "Gi" => Two(30),
        "Ti" => Two(40),
        "Pi" => Two(50),
        "Ei" => Two(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Ten(exponent.parse().ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nano(text: &str) -> Option<i128> {
        Quantity::read(text).map(|quantity| quantity.0)
    }

    /// Out of `pkg/api/resource/quantity_test.go` of apimachinery, and the values that libraries get wrong.
    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, expected) in [
            ("0", 0),
            ("0n", 0),
            ("-0", 0),
            ("0.0000000000", 0),
            ("1n", 1),
            ("100m", 100_000_000),
            ("250m", 250_000_000),
            ("1", NANO),
            ("+1", NANO),
            ("-1", -NANO),
            ("1.", NANO),
            (".5", NANO / 2),
            ("1.5", NANO * 3 / 2),
            ("1k", 1_000 * NANO),
            ("1Ki", 1_024 * NANO),
            ("0.5Mi", 512 * 1_024 * NANO),
            ("1.5Gi", 1_610_612_736 * NANO),
            ("12e6", 12_000_000 * NANO),
            ("12E6", 12_000_000 * NANO),
            ("1e3", 1_000 * NANO),
            ("1E-3", NANO / 1_000),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("8Ei", 9_223_372_036_854_775_808 * NANO),
            ("16Ei", 18_446_744_073_709_551_616 * NANO),
            ("9223372036854775807", 9_223_372_036_854_775_807 * NANO),
            // Finer than billionths: away from zero.
            ("0.0000000001", 1),
            ("-0.0000000001", -1),
            ("1.00000000000000000000000000000000000000001", NANO + 1),
            ("1e-1000", 1),
        ] {
            assert_eq!(nano(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_kubernetes_refuses() {
        let wrong =
            ["", "-", ".", "m", "1 ", " 1", "1mm", "1kI", "1K", "1.1.M", "1e", "1e+", "1x", "0x10", "1,5"];
        for text in wrong {
            assert_eq!(nano(text), None, "{text}");
        }
        assert_eq!(nano("1e1000"), None, "larger than any machine");
        assert_eq!(nano(&"9".repeat(100)), None, "larger than any machine");
    }

    #[test]
    fn writes_quantities_as_people_do() {
        for text in ["0", "250m", "1500m", "3", "128Mi", "3Gi", "1500", "7n", "-2"] {
            let quantity = Quantity::read(text).expect("a quantity");
            assert_eq!(quantity.to_string(), text);
        }
        let three = Quantity::read("500m").and_then(|half| half.times(6)).expect("a product");
        assert_eq!(three.to_string(), "3");
        let whole = |text| Quantity::read(text).and_then(Quantity::as_integer);
        assert_eq!(
            (whole("5k"), whole("1500m"), whole("-2"), whole("16Ei")),
            (Some(5000), None, Some(-2), None)
        );
    }

    #[test]
    fn thousandths_are_those_that_the_controller_counts_in() {
        let milli = |text: &str| Quantity::read(text).and_then(Quantity::milli);
        for (text, expected) in [
            ("500m", Some(500)),
            ("500", Some(500_000)),
            ("100u", Some(1)),
            ("-100u", Some(-1)),
            ("1500u", Some(2)),
            ("0", Some(0)),
            ("9223372036854775807m", Some(i64::MAX)),
            ("9223372036854775808m", None),
            ("16Ei", None),
        ] {
            assert_eq!(milli(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*") {
            let _ = Quantity::read(&text);
        }

        #[test]
        fn what_it_writes_it_reads(value in -10_i128.pow(30)..10_i128.pow(30)) {
            let quantity = Quantity(value);
            prop_assert_eq!(Quantity::read(&quantity.to_string()), Some(quantity));
        }

        #[test]
        fn order_is_that_of_numbers(one in 0_i64..1_000_000, other in 0_i64..1_000_000) {
            let milli = |number: i64| Quantity::read(&format!("{number}m")).expect("a quantity");
            prop_assert_eq!(milli(one).cmp(&milli(other)), one.cmp(&other));
            prop_assert_eq!(milli(one).plus(milli(other)), Some(milli(one + other)));
        }
    }
}
