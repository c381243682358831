//! The values of expressions, and how they are read from the evidence: what was not seen stops the evaluation there.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::certificate;
use super::schema::{Field, Form, Object, Shape};
use super::semver::Semver;
use crate::check::Undecided;
use crate::evidence::{Need, RequestId, Why};
use crate::net::Cidr;
use crate::plan::Quantity;

/// The longest text that an expression can make, in bytes.
pub(super) const LONGEST_TEXT: usize = 65_536;
/// The longest list that an expression can make.
pub(super) const LONGEST_LIST: usize = 20_000;

/// A value of an expression.
#[derive(Clone, Debug)]
pub(super) enum Value<'e> {
    Bool(bool),
    Int(i64),
    Text(Cow<'e, str>),
    Time(Timestamp),
    Duration(SignedDuration),
    Quantity(Rc<Quantity>),
    Ip(IpAddr),
    Cidr(Cidr),
    Semver(Rc<Semver>),
    /// A list that an expression made.
    List(Rc<[Value<'e>]>),
    /// A list, a map or an object of the evidence.
    Data(Data<'e>),
}

/// A part of the evidence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'e> {
    pub(super) json: &'e Json,
    pub(super) shape: &'static Shape,
    /// The request whose answer it was read from.
    pub(super) from: Option<RequestId>,
}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stop {
    /// It touches something that was not seen.
    Unseen(Undecided),
    /// It reads something that is absent, without asking first.
    Absent,
    /// It cannot be computed.
    Failed(String),
    /// It takes more steps than a rule may.
    Budget,
}

pub(super) type Computed<'e> = Result<Value<'e>, Stop>;

/// What stands in a field.
enum Raw<'e> {
    Json(&'e Json),
    /// Seen, and not there.
    Absent,
    /// Nobody says.
    Missing,
    Made(Value<'e>),
}

impl<'e> Data<'e> {
    /// The value of a field, and the request that showed it.
    pub(super) fn field(&self, object: &Object, field: &'static Field) -> Computed<'e> {
        match self.raw(object, field)? {
            Raw::Json(json) => read(json, &field.shape, self.from),
            Raw::Absent => Err(Stop::Absent),
            Raw::Missing => Err(not_stated(&field.shape)),
            Raw::Made(value) => Ok(value),
        }
    }

    /// The request that showed what stands in a field.
    pub(super) fn source(&self, object: &Object, field: &'static Field) -> Option<RequestId> {
        match self.raw(object, field) {
            Ok(Raw::Json(json)) => last_request(json).or(self.from),
            _ => self.from,
        }
    }

    /// Whether there is something in a field.
    pub(super) fn has(&self, object: &Object, field: &'static Field) -> Result<bool, Stop> {
        match self.field(object, field) {
            Ok(_) => Ok(true),
            Err(Stop::Absent) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    fn raw(&self, object: &Object, field: &'static Field) -> Result<Raw<'e>, Stop> {
        let stated = |json: Option<&'e Json>| match (json, &field.shape) {
            (None | Some(Json::Null), Shape::Optional(_)) => Raw::Absent,
            (Some(json), _) => Raw::Json(json),
            (None, _) => Raw::Missing,
        };
        let named = || stated(self.json.get(field.key).or_else(|| self.json.get(field.name)));
        Ok(match (object.form, self.json) {
            (Form::Tuple, Json::Array(parts)) => {
                let place = object.fields.iter().position(|other| other.name == field.name);
                stated(place.and_then(|place| parts.get(place)))
            }
            (Form::Certificate, Json::String(der)) => Raw::Made(certificate::field(der, field.name)?),
            (Form::Variants, Json::String(kind)) if field.name == "kind" => Raw::Made(text(kind)),
            (Form::Variants, Json::String(_)) => Raw::Absent,
            (Form::Variants, Json::Object(parts)) if !parts.contains_key("kind") => {
                let Some((variant, content)) = parts.iter().next() else { return Ok(Raw::Missing) };
                if field.name == "kind" {
                    Raw::Made(text(variant))
                } else if field.name == variant {
                    Raw::Json(content)
                } else {
                    stated(content.get(field.key))
                }
            }
            _ => named(),
        })
    }

    /// The text of this name in a map.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'e str>, Stop> {
        match (self.json.get(name).and_then(Json::as_str), self.shape) {
            (Some(text), _) => unmasked(text).map(Some),
            (None, Shape::SomeTexts(need)) => {
                let why = Why::NotAsked("not every flag is kept".to_owned());
                Err(Stop::Unseen(Undecided { need: *need, why }))
            }
            (None, _) => Ok(None),
        }
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &'e [Json] {
        self.json.as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The item of a list at this place.
    pub(super) fn item(&self, json: &'e Json) -> Computed<'e> {
        match self.shape {
            Shape::List(inner) => read(json, inner, self.from),
            _ => Err(unreadable()),
        }
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

/// What stands in a text for what was not kept (`src/source/redact`).
pub const NOT_KEPT: [&str; 2] = ["<redacted>", "<masked>"];

/// Whether a part of a text was not kept.
pub(super) fn is_masked(text: &str) -> bool {
    NOT_KEPT.iter().any(|mark| text.contains(mark))
}

/// A text, unless a part of it was not kept.
fn unmasked(text: &str) -> Result<&str, Stop> {
    if is_masked(text) {
        return Err(Stop::Failed("it reads a text that was redacted".to_owned()));
    }
    Ok(text)
}

fn unreadable() -> Stop {
    Stop::Failed("the evidence is not of the shape that is expected".to_owned())
}

/// Something that an excerpt of evidence leaves out.
fn not_stated(shape: &Shape) -> Stop {
    let need = match shape {
        Shape::Seen(need, _) => *need,
        _ => Need::Version,
    };
    Stop::Unseen(Undecided { need, why: Why::NotRecorded })
}

/// Reads a value of this shape.
pub(super) fn read<'e>(json: &'e Json, shape: &'static Shape, from: Option<RequestId>) -> Computed<'e> {
    match shape {
        Shape::Seen(need, inner) => match (json.get("need"), json.get("look")) {
            (Some(_), Some(look)) => match look.get("seen") {
                Some(seen) => read(seen, inner, last_request(json).or(from)),
                // Which API serves a metric is known by its type alone.
                None => Err(Stop::Unseen(Undecided { need: stated(json).unwrap_or(*need), why: why(look) })),
            },
            _ => read(json, inner, from),
        },
        Shape::Optional(inner) if !json.is_null() => read(json, inner, from),
        Shape::Optional(_) => Err(Stop::Absent),
        Shape::Bool => json.as_bool().map(Value::Bool).ok_or_else(unreadable),
        Shape::Int => json.as_i64().map(Value::Int).ok_or_else(unreadable),
        Shape::Text => json.as_str().ok_or_else(unreadable).and_then(unmasked).map(text),
        Shape::TextUnless(unknown, need) => match json.as_str() {
            Some(word) if word == *unknown => Err(Stop::Unseen(Undecided {
                need: *need,
                why: Why::Unsupported("nothing that was seen tells".to_owned()),
            })),
            Some(word) => unmasked(word).map(text),
            None => Err(unreadable()),
        },
        Shape::Time => {
            let time = json.as_str().and_then(|text| text.parse().ok());
            time.map(Value::Time).ok_or_else(unreadable)
        }
        Shape::List(_) | Shape::Texts | Shape::SomeTexts(_) | Shape::Object(_) => {
            Ok(Value::Data(Data { json, shape, from }))
        }
    }
}

/// The kind of observation, as the evidence says it.
fn stated(json: &Json) -> Option<Need> {
    serde_json::from_value(json.get("need")?.clone()).ok()
}

fn last_request(json: &Json) -> Option<RequestId> {
    usize::try_from(json.get("from")?.as_array()?.last()?.as_u64()?).ok()
}

/// Why it was not seen, as the evidence says it.
fn why(look: &Json) -> Why {
    let why = look.get("unseen").and_then(|why| serde_json::from_value(why.clone()).ok());
    why.unwrap_or(Why::NotRecorded)
}

impl Value<'_> {
    /// The value as a proof quotes it; nothing for what has no short form.
    pub(super) fn quote(&self) -> Option<String> {
        Some(match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Text(text) if text.is_empty() => "\"\"".to_owned(),
            Self::Text(text) => text.chars().take(300).collect(),
            Self::Time(time) => time.to_string(),
            Self::Duration(duration) => format!("{}s", duration.as_secs()),
            Self::Ip(ip) => ip.to_string(),
            Self::Data(data) => match data.json {
                Json::Array(items) if items.is_empty() => "none".to_owned(),
                Json::Array(items) if items.iter().all(Json::is_string) && items.len() <= 20 => {
                    let items: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
                    items.join(", ").chars().take(300).collect()
                }
                Json::Array(items) => format!("{} of them", items.len()),
                _ => return None,
            },
            _ => return None,
        })
    }

    /// What it costs to make, to compare or to search it.
    pub(super) fn weight(&self) -> u64 {
        let length = match self {
            Self::Text(text) => text.len() / 16,
            Self::List(items) => items.len() * 4,
            Self::Data(data) => match data.json {
                Json::Array(items) => items.len(),
                Json::Object(fields) => fields.len(),
                _ => 0,
            },
            _ => 0,
        };
        u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1)
    }
}
