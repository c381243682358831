//! A checked expression: its names are resolved, its types are sound, its patterns are compiled.

use std::sync::Arc;

use regex::Regex;

use super::functions::Function;
use super::schema::{Field, Object};

/// A checked expression.
#[derive(Clone)]
pub(super) enum Expr {
    Bool(bool),
    Int(i64),
    Text(Arc<str>),
    /// The evidence as a whole.
    Evidence,
    /// A variable, by its place.
    Variable(usize),
    Field(Box<Access>),
    /// Whether a field is there.
    Has(Box<Access>),
    /// The text of this name in a map, and how a proof calls it.
    Key(Box<Expr>, Box<Expr>, Arc<str>),
    HasKey(Box<Expr>, Box<Expr>, Arc<str>),
    Index(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Compare(Comparison, Box<Expr>, Box<Expr>),
    Arithmetic(Operation, Box<Expr>, Box<Expr>),
    Within(Box<Expr>, Box<Expr>),
    Size(Box<Expr>),
    Matches(Box<Expr>, Arc<Regex>),
    Call(&'static Function, Vec<Expr>),
    List(Vec<Expr>),
    Loop(Box<Loop>),
}

/// The field of an object, and how a proof calls it.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) of: Expr,
    pub(super) object: &'static Object,
    pub(super) field: &'static Field,
    pub(super) path: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// A macro over a list.
#[derive(Clone)]
pub(super) struct Loop {
    pub(super) what: What,
    pub(super) list: Expr,
    /// The place of the loop's variable.
    pub(super) variable: usize,
    /// The condition; `true` for a `map` without one.
    pub(super) holds: Expr,
    /// The value of each item, for `map`.
    pub(super) value: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}
