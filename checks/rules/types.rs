//! The types of expressions: every mistake that types can show is found when a rule is loaded.

use std::fmt;

use super::schema::{Object, Shape};

/// The type of an expression.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Bool,
    Int,
    Text,
    Time,
    Duration,
    Quantity,
    Ip,
    Cidr,
    Semver,
    List(Box<Type>),
    /// Texts by name.
    Texts,
    Object(&'static Object),
    /// What an empty list holds.
    Any,
}

impl Type {
    /// The type of what has this shape.
    pub(super) fn of(shape: &'static Shape) -> Self {
        match shape {
            Shape::Bool => Self::Bool,
            Shape::Int => Self::Int,
            Shape::Text | Shape::TextUnless(..) => Self::Text,
            Shape::Time => Self::Time,
            Shape::Texts | Shape::SomeTexts(_) => Self::Texts,
            Shape::List(inner) => Self::List(Box::new(Self::of(inner))),
            Shape::Object(object) => Self::Object(object),
            Shape::Optional(inner) | Shape::Seen(_, inner) => Self::of(inner),
        }
    }

    /// Whether values of the one can stand for values of the other.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(one), Self::List(other)) => one.fits(other),
            (Self::Object(one), Self::Object(other)) => std::ptr::eq(*one, *other),
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }

    /// Whether `==` means anything.
    pub(super) fn has_equality(&self) -> bool {
        match self {
            Self::List(inner) => inner.has_equality(),
            Self::Object(_) | Self::Texts => false,
            _ => true,
        }
    }

    /// Whether `<` means anything.
    pub(super) fn has_order(&self) -> bool {
        matches!(self, Self::Int | Self::Text | Self::Time | Self::Duration)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Text => f.write_str("string"),
            Self::Time => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Quantity => f.write_str("quantity"),
            Self::Ip => f.write_str("ip"),
            Self::Cidr => f.write_str("cidr"),
            Self::Semver => f.write_str("semver"),
            Self::List(inner) => write!(f, "list({inner})"),
            Self::Texts => f.write_str("map(string, string)"),
            Self::Object(object) => f.write_str(object.name),
            Self::Any => f.write_str("any"),
        }
    }
}

/// The type of a parameter or a result of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Text,
    Time,
    Duration,
    Quantity,
    Ip,
    Cidr,
    Semver,
    TextList,
}

impl Kind {
    pub(super) fn to_type(self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Text => Type::Text,
            Self::Time => Type::Time,
            Self::Duration => Type::Duration,
            Self::Quantity => Type::Quantity,
            Self::Ip => Type::Ip,
            Self::Cidr => Type::Cidr,
            Self::Semver => Type::Semver,
            Self::TextList => Type::List(Box::new(Type::Text)),
        }
    }
}
