//! From text to a checked expression: CEL's grammar is read by the `cel` crate; names and types are resolved here, so that
//! a misspelt field is found when a rule is loaded and not when a cluster burns.

mod calls;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use cel::common::ast::operators as op;
use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue, SelectExpr, SourceInfo};

use super::expr::{Access, Comparison, Expr, Operation};
use super::nearest::nearest;
use super::schema::{Field, Object, Shape};
use super::types::Type;
use super::view::EVIDENCE;
use crate::evidence::Need;

/// The longest expression, in bytes.
pub(super) const LONGEST: usize = 2_000;
/// How deep brackets may be nested, and macros within macros.
const DEEPEST: usize = 24;
const DEEPEST_LOOP: usize = 4;
/// How deep an expression may be as a tree: `a + b + c` is one deeper than `a + b`.
const DEEPEST_TREE: usize = 100;
/// How much a compiled pattern may take, in bytes.
const LARGEST_PATTERN: usize = 64 * 1024;

/// What is wrong with an expression, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A checked expression and what it reads.
#[derive(Clone)]
pub(super) struct Compiled {
    pub(super) expr: Expr,
    pub(super) needs: BTreeSet<Need>,
}

/// Reads an expression of this type. `subject` is the variable that stands for the item of `forEach`.
pub(super) fn compile(
    text: &str,
    subject: Option<(&'static str, &'static Object)>,
    wanted: &Type,
) -> Result<Compiled, Wrong> {
    let whole = |message: String| Wrong { at: 0..text.len(), message, hint: None };
    refuse_monsters(text)?;
    let (ast, source) = cel::Env::default()
        .parser()
        .error_recovery_limit(0)
        .parse_with_source_info(text)
        .map_err(|errors| not_cel(text, &errors))?;
    let variables = subject.iter().map(|(name, object)| Variable {
        name: (*name).to_owned(),
        path: (*name).to_owned(),
        ty: Type::Object(object),
    });
    let mut compiler =
        Compiler { text, source, variables: variables.collect(), needs: BTreeSet::new(), depth: 0 };
    let typed = compiler.expr(&ast)?;
    if !typed.ty.fits(wanted) {
        return Err(whole(format!("this is of the type {}, and {wanted} is wanted", typed.ty)));
    }
    Ok(Compiled { expr: typed.expr, needs: compiler.needs })
}

/// What would take the parser too long or too deep is refused before it.
fn refuse_monsters(text: &str) -> Result<(), Wrong> {
    let wrong = |at: Range<usize>, message: String| Wrong { at, message, hint: None };
    if text.len() > LONGEST {
        return Err(wrong(0..0, format!("an expression of more than {LONGEST} bytes")));
    }
    if text.trim().is_empty() {
        return Err(wrong(0..text.len(), "the expression is empty".to_owned()));
    }
    let (mut depth, mut questions) = (0_usize, 0_usize);
    for (index, char) in text.char_indices() {
        match char {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => questions += 1,
            _ => {}
        }
        if depth > DEEPEST || questions > DEEPEST {
            let message = format!("brackets or `?` are nested more than {DEEPEST} deep");
            return Err(wrong(index..index + char.len_utf8(), message));
        }
    }
    Ok(())
}

fn not_cel(text: &str, errors: &cel::ParseErrors) -> Wrong {
    let Some(first) = errors.errors.first() else {
        return Wrong { at: 0..text.len(), message: "this is no CEL".to_owned(), hint: None };
    };
    let line = usize::try_from(first.pos.0 - 1).unwrap_or(0);
    let column = usize::try_from(first.pos.1 - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    let inner = rest.char_indices().nth(column).map_or(rest.len(), |(index, _)| index);
    let message: String = first.msg.chars().take(200).collect();
    Wrong {
        at: clamp(text, before + inner..before + inner + 1),
        message: format!("this is no CEL: {}", message.replace('\n', " ")),
        hint: None,
    }
}

/// The same range within the text, at the boundaries of characters.
fn clamp(text: &str, at: Range<usize>) -> Range<usize> {
    let floor = |mut index: usize| {
        index = index.min(text.len());
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(at.start);
    start..floor(at.end).max(start)
}

/// A variable of a loop or the subject.
struct Variable {
    name: String,
    /// How a proof calls it.
    path: String,
    ty: Type,
}

/// A checked expression with its type, and how a proof calls its value.
struct Typed {
    expr: Expr,
    ty: Type,
    path: String,
}

impl Typed {
    fn new(expr: Expr, ty: Type) -> Self {
        Self { expr, ty, path: String::new() }
    }
}

/// Whether the field is there, instead of what stands in it.
fn asked(typed: Typed) -> Typed {
    match typed.expr {
        Expr::Field(access) => Typed::new(Expr::Has(access), Type::Bool),
        expr => Typed { expr, ..typed },
    }
}

struct Compiler<'t> {
    text: &'t str,
    source: SourceInfo,
    variables: Vec<Variable>,
    needs: BTreeSet<Need>,
    depth: usize,
}

impl Compiler<'_> {
    fn wrong(&self, ast: &IdedExpr, message: impl Into<String>) -> Wrong {
        Wrong { at: self.place(ast), message: message.into(), hint: None }
    }

    fn place(&self, ast: &IdedExpr) -> Range<usize> {
        let whole = (0, u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        let (start, stop) = self.source.offset_for(ast.id).unwrap_or(whole);
        // The parser counts characters, and its end is the last of them.
        let byte = |place: u32| {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            self.text.char_indices().nth(place).map_or(self.text.len(), |(index, _)| index)
        };
        clamp(self.text, byte(start)..byte(stop.max(start).saturating_add(1)))
    }

    fn expr(&mut self, ast: &IdedExpr) -> Result<Typed, Wrong> {
        self.depth += 1;
        if self.depth > DEEPEST_TREE {
            return Err(self.wrong(ast, format!("the expression is more than {DEEPEST_TREE} deep")));
        }
        let typed = match &ast.expr {
            Ast::Literal(literal) => self.literal(ast, literal),
            Ast::Ident(name) => self.name(ast, name),
            Ast::Select(select) => self.select(ast, select, false),
            Ast::List(list) => self.list(ast, &list.elements),
            Ast::Call(call) => self.call(ast, call),
            Ast::Map(_) | Ast::Struct(_) => Err(self.wrong(ast, "maps and messages cannot be written here")),
            Ast::Comprehension(_) | Ast::Unspecified => Err(self.wrong(ast, "this cannot be used here")),
        };
        self.depth -= 1;
        typed
    }

    /// An expression of this type.
    fn typed(&mut self, ast: &IdedExpr, wanted: &Type) -> Result<Expr, Wrong> {
        let typed = self.expr(ast)?;
        if typed.ty.fits(wanted) {
            return Ok(typed.expr);
        }
        Err(self.wrong(ast, format!("this is of the type {}, and {wanted} is wanted", typed.ty)))
    }

    fn literal(&self, ast: &IdedExpr, literal: &LiteralValue) -> Result<Typed, Wrong> {
        Ok(match literal {
            LiteralValue::Boolean(value) => Typed::new(Expr::Bool(*value.inner()), Type::Bool),
            LiteralValue::Int(value) => Typed::new(Expr::Int(*value.inner()), Type::Int),
            LiteralValue::String(value) => Typed::new(Expr::Text(Arc::from(value.inner())), Type::Text),
            LiteralValue::Null => {
                let mut wrong = self.wrong(ast, "there is no null here");
                wrong.hint = Some("ask `has(x.field)` whether something is there".to_owned());
                return Err(wrong);
            }
            LiteralValue::UInt(_) => return Err(self.wrong(ast, "whole numbers are written without `u`")),
            LiteralValue::Double(_) => {
                return Err(self.wrong(ast, "numbers are whole numbers; for amounts there is `quantity()`"));
            }
            LiteralValue::Bytes(_) => return Err(self.wrong(ast, "bytes cannot be used here")),
        })
    }

    fn name(&mut self, ast: &IdedExpr, name: &str) -> Result<Typed, Wrong> {
        if let Some(place) = self.variables.iter().position(|variable| variable.name == name) {
            let variable = &self.variables[place];
            let (ty, path) = (variable.ty.clone(), variable.path.clone());
            return Ok(Typed { expr: Expr::Variable(place), ty, path });
        }
        if let Some(field) = EVIDENCE.field(name) {
            return Ok(self.access(Expr::Evidence, &EVIDENCE, field, name.to_owned()));
        }
        let known: Vec<&str> = self
            .variables
            .iter()
            .map(|variable| variable.name.as_str())
            .chain(EVIDENCE.fields.iter().map(|field| field.name))
            .collect();
        Err(Wrong {
            at: self.place(ast),
            message: format!("there is no `{name}`"),
            hint: Some(one_of(name, &known)),
        })
    }

    fn access(&mut self, of: Expr, object: &'static Object, field: &'static Field, path: String) -> Typed {
        let mut shape = &field.shape;
        while let Shape::Seen(_, inner) | Shape::Optional(inner) = shape {
            if let Shape::Seen(need, _) = shape {
                self.needs.insert(*need);
            }
            shape = inner;
        }
        if let Shape::TextUnless(_, need) = shape {
            self.needs.insert(*need);
        }
        let access = Access { of, object, field, path: Arc::from(path.as_str()) };
        Typed { expr: Expr::Field(Box::new(access)), ty: Type::of(&field.shape), path }
    }

    /// `x.field`, and `has(x.field)` with `test`.
    fn select(&mut self, ast: &IdedExpr, select: &SelectExpr, test: bool) -> Result<Typed, Wrong> {
        let of = self.expr(&select.operand)?;
        let path = format!("{}.{}", of.path, select.field);
        match of.ty {
            Type::Object(object) => {
                let Some(field) = object.field(&select.field) else {
                    let known: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
                    return Err(Wrong {
                        at: self.field_place(ast, &select.field),
                        message: format!("{} has no field `{}`", object.name, select.field),
                        hint: Some(one_of(&select.field, &known)),
                    });
                };
                let typed = self.access(of.expr, object, field, path);
                Ok(if test { asked(typed) } else { typed })
            }
            Type::Texts => {
                let key = Box::new(Expr::Text(Arc::from(select.field.as_str())));
                let (map, path) = (Box::new(of.expr), Arc::from(of.path));
                Ok(if test {
                    Typed::new(Expr::HasKey(map, key, path), Type::Bool)
                } else {
                    Typed::new(Expr::Key(map, key, path), Type::Text)
                })
            }
            other => {
                let mut wrong = self.wrong(ast, format!("{other} has no fields, so no `{}`", select.field));
                wrong.at = self.field_place(ast, &select.field);
                if matches!(other, Type::List(_)) {
                    wrong.hint =
                        Some("look at the items of a list: `list.exists(x, x.field == ...)`".to_owned());
                }
                Err(wrong)
            }
        }
    }

    /// Where the name of a field stands: the first time after the operator.
    fn field_place(&self, ast: &IdedExpr, field: &str) -> Range<usize> {
        let at = self.place(ast);
        match self.text[at.start..].find(field) {
            Some(offset) => at.start + offset..at.start + offset + field.len(),
            None => at,
        }
    }

    fn list(&mut self, ast: &IdedExpr, items: &[IdedExpr]) -> Result<Typed, Wrong> {
        let mut inner = Type::Any;
        let mut exprs = Vec::with_capacity(items.len());
        for item in items {
            let typed = self.expr(item)?;
            if !typed.ty.fits(&inner) {
                return Err(self.wrong(ast, format!("a list of {inner} and of {}", typed.ty)));
            }
            if matches!(inner, Type::Any) {
                inner = typed.ty;
            }
            exprs.push(typed.expr);
        }
        Ok(Typed::new(Expr::List(exprs), Type::List(Box::new(inner))))
    }

    fn call(&mut self, ast: &IdedExpr, call: &CallExpr) -> Result<Typed, Wrong> {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (op::LOGICAL_AND, None, [one, other]) => {
                let (one, other) = self.both(one, other, &Type::Bool)?;
                Ok(Typed::new(Expr::And(one, other), Type::Bool))
            }
            (op::LOGICAL_OR, None, [one, other]) => {
                let (one, other) = self.both(one, other, &Type::Bool)?;
                Ok(Typed::new(Expr::Or(one, other), Type::Bool))
            }
            (op::LOGICAL_NOT, None, [one]) => {
                Ok(Typed::new(Expr::Not(Box::new(self.typed(one, &Type::Bool)?)), Type::Bool))
            }
            (op::NEGATE, None, [one]) => {
                let typed = self.expr(one)?;
                if !matches!(typed.ty, Type::Int | Type::Duration) {
                    return Err(self.wrong(ast, format!("there is no `-` of {}", typed.ty)));
                }
                Ok(Typed::new(Expr::Negate(Box::new(typed.expr)), typed.ty))
            }
            (op::CONDITIONAL, None, [condition, yes, no]) => {
                let condition = Box::new(self.typed(condition, &Type::Bool)?);
                let (yes, other) = (self.expr(yes)?, self.expr(no)?);
                if !yes.ty.fits(&other.ty) {
                    let message =
                        format!("this is of the type {}, and the other branch of {}", other.ty, yes.ty);
                    return Err(self.wrong(no, message));
                }
                Ok(Typed::new(Expr::If(condition, Box::new(yes.expr), Box::new(other.expr)), yes.ty))
            }
            (op::INDEX, None, [of, place]) => self.index(ast, of, place),
            (op::IN, None, [item, list]) => self.within(ast, item, list),
            ("has", None, [one]) => match &one.expr {
                Ast::Select(select) => self.select(one, select, true),
                // The names that every expression knows are fields of the evidence.
                Ast::Ident(name) => match EVIDENCE.field(name) {
                    Some(field) => Ok(asked(self.access(Expr::Evidence, &EVIDENCE, field, name.clone()))),
                    None => Err(self.wrong(ast, "`has()` asks for a field: `has(x.field)`")),
                },
                _ => Err(self.wrong(ast, "`has()` asks for a field: `has(x.field)`")),
            },
            ("size", None, [one]) | ("size", Some(one), []) => {
                let typed = self.expr(one)?;
                if !matches!(typed.ty, Type::Text | Type::List(_) | Type::Texts) {
                    return Err(self.wrong(one, format!("{} has no size", typed.ty)));
                }
                Ok(Typed::new(Expr::Size(Box::new(typed.expr)), Type::Int))
            }
            ("matches", Some(one), [pattern]) | ("matches", None, [one, pattern]) => {
                self.matches(one, pattern)
            }
            (
                "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map",
                Some(list),
                [variable, rest @ ..],
            ) => self.walk(ast, call, list, variable, rest),
            (name, None, [one, other]) => match (comparison(name), operation(name)) {
                (Some(comparison), _) => self.compare(ast, comparison, one, other),
                (_, Some(operation)) => self.arithmetic(ast, operation, one, other),
                _ => self.function(ast, call),
            },
            _ => self.function(ast, call),
        }
    }

    fn both(&mut self, one: &IdedExpr, other: &IdedExpr, ty: &Type) -> Result<(Box<Expr>, Box<Expr>), Wrong> {
        Ok((Box::new(self.typed(one, ty)?), Box::new(self.typed(other, ty)?)))
    }
}

fn one_of(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.join(", ")),
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        op::EQUALS => Comparison::Equal,
        op::NOT_EQUALS => Comparison::Unequal,
        op::LESS => Comparison::Less,
        op::LESS_EQUALS => Comparison::LessOrEqual,
        op::GREATER => Comparison::Greater,
        op::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        op::ADD => Operation::Add,
        op::SUBSTRACT => Operation::Subtract,
        op::MULTIPLY => Operation::Multiply,
        op::DIVIDE => Operation::Divide,
        op::MODULO => Operation::Remainder,
        _ => return None,
    })
}
