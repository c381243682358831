//! Calls: comparisons, arithmetic, macros over lists, and functions.

use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr as Ast, IdedExpr, LiteralValue};
use regex::RegexBuilder;

use super::super::expr::{Comparison, Expr, Loop, Operation, What};
use super::super::functions::{FUNCTIONS, Function, SPECIAL, duration};
use super::super::nearest::nearest;
use super::super::types::{Kind, Type};
use super::super::value::Value;
use super::super::view::EVIDENCE;
use super::{Compiler, DEEPEST_LOOP, LARGEST_PATTERN, Typed, Variable, Wrong};

impl Compiler<'_> {
    pub(super) fn index(&mut self, ast: &IdedExpr, of: &IdedExpr, place: &IdedExpr) -> Result<Typed, Wrong> {
        let of = self.expr(of)?;
        match of.ty {
            Type::List(inner) => {
                let place = self.typed(place, &Type::Int)?;
                let path = format!("{}[]", of.path);
                Ok(Typed { expr: Expr::Index(Box::new(of.expr), Box::new(place)), ty: *inner, path })
            }
            Type::Texts => {
                let key = self.typed(place, &Type::Text)?;
                let expr = Expr::Key(Box::new(of.expr), Box::new(key), Arc::from(of.path));
                Ok(Typed::new(expr, Type::Text))
            }
            other => Err(self.wrong(ast, format!("{other} has no items"))),
        }
    }

    pub(super) fn within(
        &mut self,
        ast: &IdedExpr,
        item: &IdedExpr,
        list: &IdedExpr,
    ) -> Result<Typed, Wrong> {
        let (item, list) = (self.expr(item)?, self.expr(list)?);
        let expr = match &list.ty {
            Type::Texts if matches!(item.ty, Type::Text) => {
                Expr::HasKey(Box::new(list.expr), Box::new(item.expr), Arc::from(list.path))
            }
            Type::List(inner) if item.ty.fits(inner) && item.ty.has_equality() => {
                Expr::Within(Box::new(item.expr), Box::new(list.expr))
            }
            other => return Err(self.wrong(ast, format!("there is no `in` of {} and {other}", item.ty))),
        };
        Ok(Typed::new(expr, Type::Bool))
    }

    pub(super) fn matches(&mut self, one: &IdedExpr, pattern: &IdedExpr) -> Result<Typed, Wrong> {
        let text = self.typed(one, &Type::Text)?;
        let Ast::Literal(LiteralValue::String(literal)) = &pattern.expr else {
            return Err(self
                .wrong(pattern, "the pattern has to be a literal, so that it is checked when it is loaded"));
        };
        let regex = RegexBuilder::new(literal.inner())
            .size_limit(LARGEST_PATTERN)
            .dfa_size_limit(LARGEST_PATTERN)
            .nest_limit(20)
            .build()
            .map_err(|error| {
                let message: String = error.to_string().chars().take(300).collect();
                self.wrong(pattern, format!("this pattern cannot be used: {}", message.replace('\n', " ")))
            })?;
        Ok(Typed::new(Expr::Matches(Box::new(text), Arc::new(regex)), Type::Bool))
    }

    pub(super) fn compare(
        &mut self,
        ast: &IdedExpr,
        comparison: Comparison,
        one: &IdedExpr,
        other: &IdedExpr,
    ) -> Result<Typed, Wrong> {
        let (one, other) = (self.expr(one)?, self.expr(other)?);
        let equality = matches!(comparison, Comparison::Equal | Comparison::Unequal);
        let possible = |ty: &Type| if equality { ty.has_equality() } else { ty.has_order() };
        if !one.ty.fits(&other.ty) || !possible(&one.ty) || !possible(&other.ty) {
            let message = format!("{} and {} cannot be compared so", one.ty, other.ty);
            return Err(self.wrong(ast, message));
        }
        Ok(Typed::new(Expr::Compare(comparison, Box::new(one.expr), Box::new(other.expr)), Type::Bool))
    }

    pub(super) fn arithmetic(
        &mut self,
        ast: &IdedExpr,
        operation: Operation,
        one: &IdedExpr,
        other: &IdedExpr,
    ) -> Result<Typed, Wrong> {
        use Operation::{Add, Subtract};
        let (one, other) = (self.expr(one)?, self.expr(other)?);
        let ty = match (operation, &one.ty, &other.ty) {
            (_, Type::Int, Type::Int) => Type::Int,
            (Add, Type::Text, Type::Text) => Type::Text,
            (Subtract, Type::Time, Type::Time) | (Add | Subtract, Type::Duration, Type::Duration) => {
                Type::Duration
            }
            (Add | Subtract, Type::Time, Type::Duration) | (Add, Type::Duration, Type::Time) => Type::Time,
            (_, one, other) => {
                let mut wrong = self.wrong(ast, format!("{one} and {other} cannot be combined so"));
                if matches!((one, other), (Type::Text, _) | (_, Type::Text)) {
                    wrong.hint = Some("`string(x)` makes a text of a number or a time".to_owned());
                }
                return Err(wrong);
            }
        };
        Ok(Typed::new(Expr::Arithmetic(operation, Box::new(one.expr), Box::new(other.expr)), ty))
    }

    pub(super) fn walk(
        &mut self,
        ast: &IdedExpr,
        call: &CallExpr,
        list: &IdedExpr,
        variable: &IdedExpr,
        rest: &[IdedExpr],
    ) -> Result<Typed, Wrong> {
        let list = self.expr(list)?;
        let Type::List(inner) = list.ty else {
            return Err(
                self.wrong(ast, format!("`{}` is for lists, and this is {}", call.func_name, list.ty))
            );
        };
        let Ast::Ident(name) = &variable.expr else {
            return Err(self.wrong(variable, "the first argument is the name of a variable"));
        };
        if EVIDENCE.field(name).is_some() || self.variables.iter().any(|known| known.name == *name) {
            return Err(self.wrong(variable, format!("`{name}` has a meaning already; take another name")));
        }
        let place = self.variables.len();
        if place > DEEPEST_LOOP {
            return Err(self.wrong(ast, format!("macros are nested more than {DEEPEST_LOOP} deep")));
        }
        self.variables.push(Variable {
            name: name.clone(),
            path: format!("{}[]", list.path),
            ty: (*inner).clone(),
        });
        let compiled = self.walk_body(ast, call, rest, *inner);
        self.variables.truncate(place);
        let (what, holds, value, ty) = compiled?;
        Ok(Typed {
            expr: Expr::Loop(Box::new(Loop { what, list: list.expr, variable: place, holds, value })),
            ty,
            path: list.path,
        })
    }

    pub(super) fn walk_body(
        &mut self,
        ast: &IdedExpr,
        call: &CallExpr,
        rest: &[IdedExpr],
        item: Type,
    ) -> Result<(What, Expr, Option<Expr>, Type), Wrong> {
        Ok(match (call.func_name.as_str(), rest) {
            ("all", [holds]) => (What::All, self.typed(holds, &Type::Bool)?, None, Type::Bool),
            ("exists", [holds]) => (What::Exists, self.typed(holds, &Type::Bool)?, None, Type::Bool),
            ("exists_one" | "existsOne", [holds]) => {
                (What::ExistsOne, self.typed(holds, &Type::Bool)?, None, Type::Bool)
            }
            ("filter", [holds]) => {
                (What::Filter, self.typed(holds, &Type::Bool)?, None, Type::List(Box::new(item)))
            }
            ("map", [value]) => {
                let value = self.expr(value)?;
                (What::Map, Expr::Bool(true), Some(value.expr), Type::List(Box::new(value.ty)))
            }
            ("map", [holds, value]) => {
                let (holds, value) = (self.typed(holds, &Type::Bool)?, self.expr(value)?);
                (What::Map, holds, Some(value.expr), Type::List(Box::new(value.ty)))
            }
            (name, _) => return Err(self.wrong(ast, format!("`{name}` takes a variable and a condition"))),
        })
    }

    pub(super) fn function(&mut self, ast: &IdedExpr, call: &CallExpr) -> Result<Typed, Wrong> {
        let name = call.func_name.as_str();
        let named: Vec<_> = FUNCTIONS.iter().filter(|function| function.name == name).collect();
        if named.is_empty() {
            let special = SPECIAL.iter().filter_map(|(how, _)| how.split('(').next()?.split('.').next_back());
            let known: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).chain(special).collect();
            let message = if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
                format!("there is no function `{name}`")
            } else {
                "this operator cannot be used here".to_owned()
            };
            return Err(Wrong {
                at: self.place(ast),
                message,
                hint: nearest(name, &known).map(|near| format!("did you mean `{near}`?")),
            });
        }
        let mut types = Vec::new();
        let mut exprs = Vec::new();
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            let typed = self.expr(argument)?;
            types.push(typed.ty);
            exprs.push(typed.expr);
        }
        let fits = |function: &&&Function| {
            function.on == call.target.is_some()
                && function.takes.len() == types.len()
                && function.takes.iter().zip(&types).all(|(kind, ty)| ty.fits(&kind.to_type()))
        };
        let Some(function) = named.iter().find(fits) else {
            let ways: Vec<String> =
                named.iter().map(|function| format!("`{}`", function.signature())).collect();
            let mut wrong = self.wrong(ast, format!("`{name}` cannot be called so"));
            wrong.hint = Some(format!("it is called {}", ways.join(", ")));
            return Err(wrong);
        };
        self.refuse_bad_literal(name, call)?;
        Ok(Typed::new(Expr::Call(function, exprs), function.gives.to_type()))
    }

    /// A literal that cannot be read is found when the rule is loaded.
    pub(super) fn refuse_bad_literal(&self, name: &str, call: &CallExpr) -> Result<(), Wrong> {
        let [argument, ..] = call.args.as_slice() else { return Ok(()) };
        let Ast::Literal(LiteralValue::String(text)) = &argument.expr else { return Ok(()) };
        let text = text.inner();
        let fault = match (name, call.target.is_some()) {
            ("duration", false) => duration(text).err(),
            ("timestamp" | "quantity" | "ip" | "cidr", false) => {
                let kind = Kind::Text;
                let function =
                    FUNCTIONS.iter().find(|function| function.name == name && function.takes == [kind]);
                let value = Value::Text(text.into());
                function.and_then(|function| (function.run)(&[value]).err())
            }
            _ => None,
        };
        match fault {
            Some(fault) => Err(self.wrong(argument, fault)),
            None => Ok(()),
        }
    }
}
