//! Evaluation: three-valued, and with a number of steps instead of a clock.
//!
//! What was not seen stops the evaluation, also within `has()`. Only `&&`, `||`, `all` and `exists` go on, as CEL has
//! it: where another part decides the answer whatever the missing one is. So to hide a value can open a result and
//! never close one.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::Value as Json;

use super::expr::{Access, Comparison, Expr, Loop, Operation, What};
use super::schema::Shape;
use super::value::{Computed, Data, LONGEST_LIST, LONGEST_TEXT, Stop, Value};
use crate::evidence::RequestId;

/// How many values a proof quotes.
const MOST_PROOFS: usize = 5;

/// A value that was read on the way to a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) request: Option<RequestId>,
    pub(super) path: String,
    pub(super) value: String,
}

/// Evaluates the expressions of a rule about one subject.
pub(super) struct Evaluator<'e, 'b> {
    evidence: Data<'e>,
    variables: Vec<Value<'e>>,
    steps: &'b mut u64,
    /// What was read; nothing unless it was asked for.
    proofs: Option<Vec<Proof>>,
}

impl<'e, 'b> Evaluator<'e, 'b> {
    /// With the evidence, the subject if there is one, and the steps that are left.
    pub(super) fn new(evidence: Data<'e>, subject: Option<Value<'e>>, steps: &'b mut u64) -> Self {
        Self { evidence, variables: subject.into_iter().collect(), steps, proofs: None }
    }

    /// A condition.
    pub(super) fn bool(&mut self, expr: &Expr) -> Result<bool, Stop> {
        match self.value(expr)? {
            Value::Bool(value) => Ok(value),
            _ => Err(mismatch()),
        }
    }

    /// A text.
    pub(super) fn text(&mut self, expr: &Expr) -> Result<String, Stop> {
        match self.value(expr)? {
            Value::Text(text) => Ok(text.into_owned()),
            _ => Err(mismatch()),
        }
    }

    /// The last values that a condition reads.
    pub(super) fn proofs(&mut self, expr: &Expr) -> Vec<Proof> {
        self.proofs = Some(Vec::new());
        // The result is known; only what is read on the way is wanted.
        let _ = self.value(expr);
        self.proofs.take().unwrap_or_default()
    }

    fn charge(&mut self, steps: u64) -> Result<(), Stop> {
        let left = self.steps.checked_sub(steps);
        *self.steps = left.unwrap_or(0);
        left.map(drop).ok_or(Stop::Budget)
    }

    fn value(&mut self, expr: &Expr) -> Computed<'e> {
        self.charge(1)?;
        match expr {
            Expr::Bool(value) => Ok(Value::Bool(*value)),
            Expr::Int(value) => Ok(Value::Int(*value)),
            Expr::Text(text) => Ok(Value::Text(Cow::Owned(text.to_string()))),
            Expr::Evidence => Ok(Value::Data(self.evidence)),
            Expr::Variable(place) => self.variables.get(*place).cloned().ok_or_else(mismatch),
            Expr::Field(access) => self.field(access),
            Expr::Has(access) => self.has(access),
            Expr::Key(map, key, path) => self.key(map, key, path)?.map(text).ok_or(Stop::Absent),
            Expr::HasKey(map, key, path) => Ok(Value::Bool(self.key(map, key, path)?.is_some())),
            Expr::Index(list, place) => self.index(list, place),
            Expr::And(one, other) => self.junction(one, other, false),
            Expr::Or(one, other) => self.junction(one, other, true),
            Expr::Not(one) => Ok(Value::Bool(!self.bool(one)?)),
            Expr::Negate(one) => match self.value(one)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or_else(overflow),
                Value::Duration(value) => value.checked_neg().map(Value::Duration).ok_or_else(overflow),
                _ => Err(mismatch()),
            },
            Expr::If(condition, yes, no) => {
                let chosen = if self.bool(condition)? { yes } else { no };
                self.value(chosen)
            }
            Expr::Compare(comparison, one, other) => {
                let (one, other) = (self.value(one)?, self.value(other)?);
                self.compare(*comparison, &one, &other).map(Value::Bool)
            }
            Expr::Arithmetic(operation, one, other) => {
                let (one, other) = (self.value(one)?, self.value(other)?);
                self.charge(one.weight().saturating_add(other.weight()))?;
                arithmetic(*operation, one, other)
            }
            Expr::Within(item, list) => {
                let (item, list) = (self.value(item)?, self.value(list)?);
                let mut open = None;
                for other in self.items(&list)? {
                    match other {
                        Ok(other) if self.compare(Comparison::Equal, &item, &other)? => {
                            return Ok(Value::Bool(true));
                        }
                        Ok(_) => {}
                        Err(stop) => open = open.or(Some(stop)),
                    }
                }
                if let Some(stop) = open {
                    return Err(stop);
                }
                Ok(Value::Bool(false))
            }
            Expr::Size(one) => match self.value(one)? {
                Value::Text(text) => {
                    self.charge(Value::Text(text.clone()).weight())?;
                    length(text.chars().count())
                }
                Value::List(items) => length(items.len()),
                Value::Data(data) => length(match data.json {
                    Json::Array(items) => items.len(),
                    Json::Object(fields) if !matches!(data.shape, Shape::SomeTexts(_)) => fields.len(),
                    _ => return Err(Stop::Failed("how many there are was not seen".to_owned())),
                }),
                _ => Err(mismatch()),
            },
            Expr::Matches(one, pattern) => {
                let one = self.text(one)?;
                self.charge(u64::try_from(one.len()).unwrap_or(u64::MAX))?;
                Ok(Value::Bool(pattern.is_match(&one)))
            }
            Expr::Call(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.value(argument)?);
                }
                self.charge(values.iter().map(Value::weight).fold(0, u64::saturating_add))?;
                let result = (function.run)(&values).map_err(Stop::Failed)?;
                self.charge(result.weight())?;
                Ok(result)
            }
            Expr::List(items) => {
                self.charge(u64::try_from(items.len()).unwrap_or(u64::MAX).saturating_mul(4))?;
                let mut values = Vec::with_capacity(items.len());
                for item in items {
                    values.push(self.value(item)?);
                }
                Ok(Value::List(Rc::from(values)))
            }
            Expr::Loop(it) => self.walk(it),
        }
    }

    fn object(&mut self, of: &Expr) -> Result<Data<'e>, Stop> {
        match self.value(of)? {
            Value::Data(data) => Ok(data),
            _ => Err(mismatch()),
        }
    }

    fn field(&mut self, access: &Access) -> Computed<'e> {
        let data = self.object(&access.of)?;
        if data.json.is_string() {
            // A certificate is parsed for each of its fields.
            self.charge(50)?;
        }
        let value = data.field(access.object, access.field);
        if let Some(quote) = self.proofs.as_ref().and(value.as_ref().ok()).and_then(Value::quote) {
            self.prove(data.source(access.object, access.field), &access.path, quote);
        }
        value.map_err(|stop| match stop {
            Stop::Absent => Stop::Failed(format!("`{0}` is absent here; ask `has({0})` first", access.path)),
            other => other,
        })
    }

    fn has(&mut self, access: &Access) -> Computed<'e> {
        let data = self.object(&access.of)?;
        let there = data.has(access.object, access.field)?;
        if self.proofs.is_some() && !there {
            self.prove(data.source(access.object, access.field), &access.path, "absent".to_owned());
        }
        Ok(Value::Bool(there))
    }

    fn key(&mut self, map: &Expr, key: &Expr, path: &str) -> Result<Option<&'e str>, Stop> {
        let (map, key) = (self.object(map)?, self.text(key)?);
        let found = map.text(&key)?;
        if self.proofs.is_some() {
            let quote = found.map_or("absent".to_owned(), |found| found.chars().take(300).collect());
            self.prove(map.from, &format!("{path}['{key}']"), quote);
        }
        Ok(found)
    }

    fn prove(&mut self, request: Option<RequestId>, path: &str, value: String) {
        let Some(proofs) = &mut self.proofs else { return };
        let proof = Proof { request, path: path.to_owned(), value };
        proofs.retain(|known| *known != proof);
        if proofs.len() == MOST_PROOFS {
            proofs.remove(0);
        }
        proofs.push(proof);
    }

    fn index(&mut self, list: &Expr, place: &Expr) -> Computed<'e> {
        let (list, place) = (self.value(list)?, self.value(place)?);
        let Value::Int(place) = place else { return Err(mismatch()) };
        let outside = || Stop::Failed(format!("the list has no item {place}"));
        let index = usize::try_from(place).map_err(|_| outside())?;
        match list {
            Value::List(items) => items.get(index).cloned().ok_or_else(outside),
            Value::Data(data) => data.item(data.items().get(index).ok_or_else(outside)?),
            _ => Err(mismatch()),
        }
    }

    /// `&&` and `||`: the deciding answer of one part stands, whatever became of the other.
    fn junction(&mut self, one: &Expr, other: &Expr, decides: bool) -> Computed<'e> {
        match self.bool(one) {
            Ok(value) if value == decides => Ok(Value::Bool(decides)),
            Ok(_) => self.bool(other).map(Value::Bool),
            Err(Stop::Budget) => Err(Stop::Budget),
            Err(stop) => match self.bool(other) {
                Ok(value) if value == decides => Ok(Value::Bool(decides)),
                Err(Stop::Budget) => Err(Stop::Budget),
                _ => Err(stop),
            },
        }
    }

    /// The items of a list, each as it is read.
    fn items(&mut self, list: &Value<'e>) -> Result<Vec<Computed<'e>>, Stop> {
        self.charge(list.weight())?;
        match list {
            Value::List(items) => Ok(items.iter().cloned().map(Ok).collect()),
            Value::Data(data) => Ok(data.items().iter().map(|item| data.item(item)).collect()),
            _ => Err(mismatch()),
        }
    }

    fn walk(&mut self, it: &Loop) -> Computed<'e> {
        let list = self.value(&it.list)?;
        let mut open = None;
        let mut count = 0_i64;
        let mut kept = Vec::new();
        for item in self.items(&list)? {
            let goes_on = matches!(it.what, What::All | What::Exists);
            let item = match item {
                Ok(item) => item,
                Err(stop) if goes_on => {
                    open.get_or_insert(stop);
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            self.variables.truncate(it.variable);
            self.variables.push(item.clone());
            let holds = match self.bool(&it.holds) {
                Ok(holds) => holds,
                Err(Stop::Budget) => return Err(Stop::Budget),
                Err(stop) if goes_on => {
                    open.get_or_insert(stop);
                    continue;
                }
                Err(stop) => return Err(stop),
            };
            match it.what {
                What::All if !holds => return Ok(Value::Bool(false)),
                What::Exists if holds => return Ok(Value::Bool(true)),
                What::ExistsOne => count += i64::from(holds),
                What::Filter | What::Map if holds => {
                    self.charge(4)?;
                    let value = match &it.value {
                        Some(value) => self.value(value)?,
                        None => item,
                    };
                    kept.push(value);
                    if kept.len() > LONGEST_LIST {
                        return Err(Stop::Failed(format!("a list of more than {LONGEST_LIST} items")));
                    }
                }
                _ => {}
            }
        }
        if let Some(stop) = open {
            return Err(stop);
        }
        Ok(match it.what {
            What::All => Value::Bool(true),
            What::Exists => Value::Bool(false),
            What::ExistsOne => Value::Bool(count == 1),
            What::Filter | What::Map => Value::List(Rc::from(kept)),
        })
    }

    fn compare(&mut self, comparison: Comparison, one: &Value<'e>, other: &Value<'e>) -> Result<bool, Stop> {
        self.charge(one.weight().min(other.weight()))?;
        if let (true, true) = (is_list(one), is_list(other)) {
            let (one, other) = (self.items(one)?, self.items(other)?);
            let mut same = one.len() == other.len();
            for (one, other) in one.into_iter().zip(other) {
                same = same && self.compare(Comparison::Equal, &one?, &other?)?;
            }
            return Ok(same == (comparison == Comparison::Equal));
        }
        let order = match (one, other) {
            (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
            (Value::Int(one), Value::Int(other)) => one.cmp(other),
            (Value::Text(one), Value::Text(other)) => one.cmp(other),
            (Value::Time(one), Value::Time(other)) => one.cmp(other),
            (Value::Duration(one), Value::Duration(other)) => one.cmp(other),
            (Value::Quantity(one), Value::Quantity(other)) => one.cmp(other),
            (Value::Ip(one), Value::Ip(other)) => one.cmp(other),
            (Value::Semver(one), Value::Semver(other)) => one.compare(other).cmp(&0),
            (Value::Cidr(one), Value::Cidr(other)) => {
                if one == other {
                    Ordering::Equal
                } else {
                    Ordering::Less
                }
            }
            _ => return Err(mismatch()),
        };
        Ok(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        })
    }
}

fn is_list(value: &Value<'_>) -> bool {
    matches!(value, Value::List(_))
        || matches!(value, Value::Data(data) if matches!(data.shape, Shape::List(_)))
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn length<'e>(length: usize) -> Computed<'e> {
    i64::try_from(length).map(Value::Int).map_err(|_| overflow())
}

/// The types are checked when a rule is loaded, so that this stands for a defect.
fn mismatch() -> Stop {
    Stop::Failed("the evidence is not of the type that is expected".to_owned())
}

fn overflow() -> Stop {
    Stop::Failed("a number or a time is out of range".to_owned())
}

fn arithmetic<'e>(operation: Operation, one: Value<'e>, other: Value<'e>) -> Computed<'e> {
    use Operation::{Add, Divide, Multiply, Remainder, Subtract};
    let divisor =
        |value: i64| if value == 0 { Err(Stop::Failed("division by zero".to_owned())) } else { Ok(value) };
    match (operation, one, other) {
        (Add, Value::Int(one), Value::Int(other)) => one.checked_add(other).map(Value::Int),
        (Subtract, Value::Int(one), Value::Int(other)) => one.checked_sub(other).map(Value::Int),
        (Multiply, Value::Int(one), Value::Int(other)) => one.checked_mul(other).map(Value::Int),
        (Divide, Value::Int(one), Value::Int(other)) => one.checked_div(divisor(other)?).map(Value::Int),
        (Remainder, Value::Int(one), Value::Int(other)) => one.checked_rem(divisor(other)?).map(Value::Int),
        (Add, Value::Text(one), Value::Text(other)) => {
            if one.len() + other.len() > LONGEST_TEXT {
                return Err(Stop::Failed(format!("a text of more than {LONGEST_TEXT} bytes")));
            }
            Some(Value::Text(one + other))
        }
        (Subtract, Value::Time(one), Value::Time(other)) => Some(Value::Duration(one.duration_since(other))),
        (Add, Value::Time(one), Value::Duration(other)) | (Add, Value::Duration(other), Value::Time(one)) => {
            one.checked_add(other).ok().map(Value::Time)
        }
        (Subtract, Value::Time(one), Value::Duration(other)) => one.checked_sub(other).ok().map(Value::Time),
        (Add, Value::Duration(one), Value::Duration(other)) => one.checked_add(other).map(Value::Duration),
        (Subtract, Value::Duration(one), Value::Duration(other)) => {
            one.checked_sub(other).map(Value::Duration)
        }
        _ => return Err(mismatch()),
    }
    .ok_or_else(overflow)
}
