//! What a plain scalar of YAML means to kubectl and the API server.
//!
//! They read YAML 1.1 through `sigs.k8s.io/yaml`, which is go-yaml version 2 (`resolve.go`): `yes` and `on` are
//! booleans, a leading zero makes a number octal, underscores in numbers are nothing. The table in the tests is the
//! answer of that library.

use serde_json::{Number, Value};

/// The value of a scalar without quotes and without a tag; an error for what JSON cannot hold.
pub(super) fn resolve(text: &str) -> Result<Value, &'static str> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Ok(true.into());
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Ok(false.into());
        }
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => return Err("it is a number that JSON does not have"),
        _ => {}
    }
    let number = match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| float(&plain))
        }
        b'.' => float(text),
        _ => None,
    };
    Ok(number.map_or_else(|| text.into(), Value::Number))
}

/// The value of a scalar with a tag of YAML's own, by the tag's last word.
pub(super) fn tagged(tag: &str, text: &str) -> Result<Value, &'static str> {
    let value = match tag {
        "int" | "float" | "bool" | "null" => resolve(text)?,
        _ => return Ok(text.into()),
    };
    let fits = match tag {
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        "bool" => value.is_boolean(),
        _ => value.is_null(),
    };
    if fits { Ok(value) } else { Err("it is not what its tag says") }
}

/// The name of a field, from the value that its key has; `None` where JSON has no such name.
pub(super) fn key(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What `strconv.ParseInt` and `ParseUint` read with base 0.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    Some(magnitude.into())
}

/// A float of YAML; one without a fraction is written to JSON as an integer.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let well_formed = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !well_formed {
        return None;
    }
    whole_number(text.parse().ok()?)
}

/// A number as JSON has it once kubectl has sent it: `1.0` is `1` there.
pub(super) fn whole_number(value: f64) -> Option<Number> {
    /// Above it floats skip integers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is within 2^53")]
        return Some((value as i64).into());
    }
    Number::from_f64(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What `yaml.YAMLToJSON` of sigs.k8s.io/yaml 1.6.0 answers.
    #[test]
    fn scalars_are_what_go_makes_of_them() {
        let cases = [
            ("yes", json!(true)),
            ("no", json!(false)),
            ("on", json!(true)),
            ("off", json!(false)),
            ("y", json!(true)),
            ("n", json!(false)),
            ("Y", json!(true)),
            ("True", json!(true)),
            ("TRUE", json!(true)),
            ("tRUE", json!("tRUE")),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("1e3", json!(1000)),
            ("1.0", json!(1)),
            ("1.50", json!(1.5)),
            (".5", json!(0.5)),
            ("5.", json!(5)),
            ("+1", json!(1)),
            ("-0", json!(0)),
            ("0b11", json!(3)),
            ("-0b11", json!(-3)),
            ("1__0", json!(10)),
            ("_1", json!("_1")),
            ("~", json!(null)),
            ("null", json!(null)),
            ("Null", json!(null)),
            ("NULL", json!(null)),
            ("nUll", json!("nUll")),
            ("2001-01-01", json!("2001-01-01")),
            ("100m", json!("100m")),
            ("1e400", json!("1e400")),
            ("12345678901234567890", json!(12_345_678_901_234_567_890_u64)),
            ("123456789012345678901234", json!(123_456_789_012_345_680_000_000.0)),
            ("-.5", json!(-0.5)),
            ("+.5", json!(0.5)),
            ("1.e+3", json!(1000)),
            ("0x", json!("0x")),
            ("0_7", json!(7)),
            ("1:30", json!("1:30")),
            ("1E3", json!(1000)),
            ("1e-7", json!(1e-7)),
            ("0.1", json!(0.1)),
            ("-", json!("-")),
            ("+", json!("+")),
            (".", json!(".")),
            ("1-1", json!("1-1")),
        ];
        for (text, value) in cases {
            assert_eq!(resolve(text), Ok(value), "{text}");
        }
        assert!(resolve(".inf").is_err());
        assert_eq!(tagged("str", "5"), Ok(json!("5")));
        assert_eq!(tagged("int", "5"), Ok(json!(5)));
        assert_eq!(tagged("bool", "yes"), Ok(json!(true)));
        assert!(tagged("int", "five").is_err());
        assert_eq!(key(json!(true)).as_deref(), Some("true"));
        assert_eq!(key(json!(1)).as_deref(), Some("1"));
        assert_eq!(key(json!(null)), None);
    }
}
