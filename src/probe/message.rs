//! What the pod says when it ends: at most 4096 bytes, because the kubelet keeps no more of a termination message
//! (`pkg/kubelet/container/runtime.go`, `MaxContainerTerminationMessageLength`).
//!
//! `mp1 CHECKSUM p TEXT` is plain JSON, `mp1 CHECKSUM z TEXT` is JSON deflated and in base64. The checksum is CRC-32 of
//! the text. The kubelets are grouped by what came of them, the worst first. What does not fit is shortened, then left
//! out from the end, and how many were left out is said.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use checks::evidence::{Look, ProbeDial, Reach};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

/// The most that a kubelet keeps of a termination message.
pub const LIMIT: usize = 4096;
/// The most that a message may unpack to.
const UNPACKED: u64 = 1 << 20;
/// The most characters of an answer's body that are kept, and to what they are cut when not all fits.
const CUTS: &[usize] = &[400, 160, 60, 0];

/// All of it, with short names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The API server through its Service address.
    #[serde(rename = "a")]
    pub api: Look<Reach>,
    /// The API servers behind it.
    #[serde(rename = "d")]
    pub direct: Look<Vec<ProbeDial>>,
    /// The Service of metrics-server.
    #[serde(rename = "s")]
    pub service: Look<Option<ProbeDial>>,
    /// The name server.
    #[serde(rename = "n")]
    pub dns: Look<Option<ProbeDial>>,
    /// What came of kubelets, and of which: by their places in the list that the pod was given, from 0.
    #[serde(rename = "k")]
    pub kubelets: Vec<Group>,
    /// How many kubelets were left out because they did not fit.
    #[serde(rename = "o", default, skip_serializing_if = "is_zero")]
    pub omitted: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Kubelets of which the same came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group(pub Look<Reach>, pub Vec<(usize, usize)>);

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The container said nothing.
    #[error("the probe ended without saying anything")]
    Empty,
    /// Another program, or another version.
    #[error("what the pod said is not the message of a probe: {0:?}; is the image of this version?")]
    Foreign(String),
    /// Something was lost on the way.
    #[error("the message of the probe is damaged")]
    Damaged,
}

impl Message {
    /// Groups kubelets by what came of them, the worst first.
    #[must_use]
    pub fn group(reaches: Vec<Look<Reach>>) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (place, reach) in reaches.into_iter().enumerate() {
            match groups.iter_mut().find(|group| group.0 == reach) {
                None => groups.push(Group(reach, vec![(place, place)])),
                Some(group) => match group.1.last_mut() {
                    Some((_, last)) if *last + 1 == place => *last = place,
                    _ => group.1.push((place, place)),
                },
            }
        }
        groups.sort_by_key(|group| weight(&group.0));
        groups
    }

    /// The text, of at most [`LIMIT`] bytes.
    #[must_use]
    pub fn write(mut self) -> String {
        for cut in CUTS {
            self.shorten(*cut);
            if let Some(text) = self.fitting() {
                return text;
            }
        }
        // The least bad goes first: the last range of the last group.
        while let Some(group) = self.kubelets.last_mut() {
            let Some((first, last)) = group.1.pop() else {
                self.kubelets.pop();
                continue;
            };
            self.omitted += last - first + 1;
            if let Some(text) = self.fitting() {
                return text;
            }
        }
        self.direct = Look::Unseen(checks::evidence::Why::NotAsked("the result did not fit".to_owned()));
        self.fitting().unwrap_or_default()
    }

    fn fitting(&self) -> Option<String> {
        let json = serde_json::to_string(self).ok()?;
        let plain = frame('p', &json);
        if plain.len() <= LIMIT {
            return Some(plain);
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(json.as_bytes()).ok()?;
        let packed = frame('z', &STANDARD_NO_PAD.encode(encoder.finish().ok()?));
        (packed.len() <= LIMIT).then_some(packed)
    }

    fn shorten(&mut self, limit: usize) {
        let looks = self.kubelets.iter_mut().map(|group| &mut group.0).chain([&mut self.api]);
        for look in looks {
            if let Look::Seen(reach) = look {
                shorten(reach, limit);
            }
        }
        if let Look::Seen(dials) = &mut self.direct {
            for dial in dials {
                shorten(&mut dial.reach, limit);
            }
        }
        for look in [&mut self.service, &mut self.dns] {
            if let Look::Seen(Some(dial)) = look {
                shorten(&mut dial.reach, limit);
            }
        }
        self.merge();
    }

    /// Puts together what has become the same.
    fn merge(&mut self) {
        let mut merged: Vec<Group> = Vec::new();
        for Group(reach, ranges) in std::mem::take(&mut self.kubelets) {
            match merged.iter_mut().find(|group| group.0 == reach) {
                Some(group) => group.1.extend(ranges),
                None => merged.push(Group(reach, ranges)),
            }
        }
        for group in &mut merged {
            group.1.sort_unstable();
        }
        self.kubelets = merged;
    }

    /// Reads a termination message.
    ///
    /// # Errors
    /// When it is none of a probe.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Unreadable::Empty);
        }
        let foreign = || Unreadable::Foreign(text.chars().take(120).collect());
        let mut parts = text.splitn(4, ' ');
        let (Some("mp1"), Some(sum), Some(form), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(foreign());
        };
        if sum != checksum(rest) {
            return Err(Unreadable::Damaged);
        }
        let json = match form {
            "p" => rest.as_bytes().to_vec(),
            "z" => {
                let packed = STANDARD_NO_PAD.decode(rest).map_err(|_| Unreadable::Damaged)?;
                let mut json = Vec::new();
                let mut decoder = DeflateDecoder::new(packed.as_slice()).take(UNPACKED);
                decoder.read_to_end(&mut json).map_err(|_| Unreadable::Damaged)?;
                json
            }
            _ => return Err(foreign()),
        };
        serde_json::from_slice(&json).map_err(|_| foreign())
    }
}

fn frame(form: char, text: &str) -> String {
    format!("mp1 {} {form} {text}", checksum(text))
}

/// CRC-32, as eight digits.
pub(super) fn checksum(text: &str) -> String {
    let mut sum = flate2::Crc::new();
    sum.update(text.as_bytes());
    format!("{:08x}", sum.sum())
}

fn shorten(reach: &mut Reach, limit: usize) {
    if let Reach::Http { message: words, .. } | Reach::Tls(words) | Reach::Failed(words) = reach
        && words.chars().count() > limit
    {
        *words = words.chars().take(limit).collect();
    }
}

/// What is told first.
fn weight(look: &Look<Reach>) -> u8 {
    match look {
        Look::Seen(Reach::Http { status: 200, .. }) => 3,
        Look::Seen(Reach::Answered) => 2,
        Look::Unseen(_) => 1,
        Look::Seen(_) => 0,
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
