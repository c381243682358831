//! One run of probes: its name and its end, which stand on every object that it makes.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};

/// How the names of all objects begin.
pub const PREFIX: &str = "metrics-preflight-probe-";
/// The annotation with the time after which any later run may remove the object.
pub const REMOVE_AFTER: &str = "metrics-preflight/remove-after";

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Ten hexadecimal digits.
    pub id: String,
    /// When it is dead, whatever became of it.
    pub remove_after: Timestamp,
}

impl Run {
    /// A run that begins now and is over, cleaned up as well, within this time.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn begin(now: Timestamp, within_s: u64) -> Result<Self, String> {
        let mut bytes = [0; 5];
        SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random numbers".to_owned())?;
        let id = bytes.iter().fold(String::new(), |mut id, byte| {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
            id
        });
        let within = SignedDuration::from_secs(i64::try_from(within_s).unwrap_or(3600));
        Ok(Self { id, remove_after: now.checked_add(within).unwrap_or(now) })
    }

    /// The name of its object of this number. Names are made here and not by the API server, so that an object can be
    /// deleted although the answer to its creation was lost.
    #[must_use]
    pub fn name(&self, number: usize) -> String {
        format!("{PREFIX}{}-{number}", self.id)
    }

    /// The name of the namespace that it makes, where it makes one.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("{PREFIX}{}", self.id)
    }
}

/// Whether a name is one that [`Run::namespace`] makes.
#[must_use]
pub fn is_namespace(name: &str) -> bool {
    is_name(name) && name.strip_prefix(PREFIX).is_some_and(|id| !id.contains('-'))
}

/// Whether a name is one that [`Run::name`] makes.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let (id, number) = rest.split_once('-').unwrap_or((rest, "0"));
    id.len() == 10
        && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        && (1..=6).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again() {
        let run = Run::begin(Timestamp::UNIX_EPOCH, 60).expect("a run");
        assert!(is_name(&run.name(0)) && is_name(&run.name(123)));
        assert!(is_namespace(&run.namespace()) && !is_namespace(&run.name(0)));
        assert_eq!(run.remove_after.as_second(), 60);
        assert_ne!(run.id, Run::begin(Timestamp::UNIX_EPOCH, 60).expect("a run").id);
        for other in
            ["metrics-server-abc", "metrics-preflight-probe-", "metrics-preflight-probe-0123456789-", "x"]
        {
            assert!(!is_name(other) && !is_namespace(other), "{other}");
        }
    }
}
