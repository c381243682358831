//! The shapes of the evidence that a rule can read: what a field is called, what it holds, and whether somebody had to
//! look for it.

use crate::evidence::Need;

/// An object of the evidence.
#[derive(Debug)]
pub struct Object {
    /// Its name in messages and in the reference.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// How the evidence writes it down.
    pub form: Form,
}

/// How the evidence writes an object down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By the names of its fields.
    Fields,
    /// As a tuple of its fields, in their order.
    Tuple,
    /// As one of several variants; the field `kind` tells which, the others are the parts of some variants.
    Variants,
    /// As base64 of DER.
    Certificate,
}

/// A field of an object.
#[derive(Debug)]
pub struct Field {
    /// Its name in a rule.
    pub name: &'static str,
    /// Its name in the evidence, the same but for one.
    pub key: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// What it holds.
    pub shape: Shape,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Text.
    Text,
    /// Text that says with this word that it is not known, which is a thing not seen.
    TextUnless(&'static str, Need),
    /// A moment.
    Time,
    /// Texts by name, such as labels.
    Texts,
    /// Texts by name of which not all are kept: what is not there was not seen.
    SomeTexts(Need),
    /// Several of these.
    List(&'static Shape),
    /// An object.
    Object(&'static Object),
    /// This, or nothing: `has()` tells.
    Optional(&'static Shape),
    /// Somebody had to look for it; where it was not seen, whatever reads it is undecided.
    Seen(Need, &'static Shape),
}

impl Object {
    /// The field of this name.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Every object that can be reached from this one, itself first, each once, in the order of the tables.
    #[must_use]
    pub fn reachable(&'static self) -> Vec<&'static Self> {
        let mut found: Vec<&'static Self> = Vec::new();
        collect(self, &mut found);
        found
    }
}

fn collect(object: &'static Object, found: &mut Vec<&'static Object>) {
    if found.iter().any(|known| std::ptr::eq(*known, object)) {
        return;
    }
    found.push(object);
    for field in object.fields {
        let mut shape = &field.shape;
        loop {
            match shape {
                Shape::List(inner) | Shape::Optional(inner) | Shape::Seen(_, inner) => shape = inner,
                Shape::Object(next) => {
                    collect(next, found);
                    break;
                }
                _ => break,
            }
        }
    }
}
