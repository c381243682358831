//! Durations as people write them.

use std::time::Duration;

use jiff::SignedDuration;

const LONGEST: Duration = Duration::from_hours(24);

/// Reads `30s`, `5m`, `1m30s`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if text.chars().all(|char| char.is_ascii_digit()) {
        return Err(format!("the unit is missing: write {text}s or {text}m"));
    }
    let duration: SignedDuration =
        text.parse().map_err(|_| "write a number and a unit, such as 30s, 5m or 1m30s".to_owned())?;
    match Duration::try_from(duration) {
        Ok(duration) if duration.is_zero() => Err("it must be longer than nothing".to_owned()),
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err("it must not be longer than 24h".to_owned()),
        Err(_) => Err("it must not be negative".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1m30s", 90), ("2h", 7200)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "30", "0s", "-5s", "soon", "25h", "9999999999999999999h", "5 parsecs"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
