//! What a template names, found in its text: accounts, fields of the token document, filters. Nothing is rendered.
//!
//! The walk follows values through `set`, `with` and `for`: whatever cannot be followed (`accounts[x]`, a loop over
//! `accounts`) means all accounts, so that none is missed.

mod found;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, Expr, Stmt};
use minijinja::machinery::{Span, parse};

use crate::config::model::{FILTERS, TESTS};
use crate::config::words;

use found::FIELDS;
pub(crate) use found::{Fault, Root, Uses, is_known};

/// Looks through a template that is known to parse.
///
/// # Errors
/// The parser's, all the same.
pub(crate) fn uses(text: &str, root: Root) -> Result<Uses, minijinja::Error> {
    let tree = parse(text, "template", minijinja::syntax::SyntaxConfig::default())?;
    let mut walk =
        Walk { text, root, uses: Uses::default(), scopes: vec![Vec::new()], branches: 0, chose: false };
    walk.statement(&tree);
    walk.uses.faults.sort_by_key(|fault| fault.offset);
    Ok(walk.uses)
}

/// What an expression can be, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    /// The mapping of all accounts.
    Accounts,
    /// A token document, by its path (empty where that cannot be told).
    Document(String),
    /// A field of one that holds text or a number, by its path.
    Plain(String),
    /// Anything else.
    Other,
}

struct Walk<'t> {
    text: &'t str,
    root: Root,
    uses: Uses,
    scopes: Vec<Vec<(&'t str, Value)>>,
    /// How many branches the walk is in.
    branches: usize,
    /// A part of the expression may not be evaluated: `or`, `if` within it.
    chose: bool,
}

impl<'t> Walk<'t> {
    fn body(&mut self, statements: &[Stmt<'t>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// What stands from one byte to another may not be rendered.
    fn branch(&mut self, from: usize, to: usize, walk: impl FnOnce(&mut Self)) {
        self.uses.conditional.push((from, to));
        self.branches += 1;
        walk(self);
        self.branches -= 1;
    }

    /// An expression that stands for itself: where a part of it may be left out, all of it may.
    fn evaluated(&mut self, expr: &Expr<'t>) -> Value {
        let value = self.used(expr);
        if std::mem::take(&mut self.chose) {
            let before = self.text.get(..start(expr.span())).unwrap_or_default();
            self.uses.conditional.push((before.rfind('{').unwrap_or(0), end(expr.span())));
        }
        value
    }

    fn scoped(&mut self, statements: &[Stmt<'t>]) {
        self.scopes.push(Vec::new());
        self.body(statements);
        self.scopes.pop();
    }

    fn statement(&mut self, statement: &Stmt<'t>) {
        self.parts(statement);
        self.settle();
    }

    /// What was chosen otherwise than to be written or asked for is bound to a name, or goes into a filter.
    fn settle(&mut self) {
        self.uses.binds |= std::mem::take(&mut self.chose);
    }

    fn parts(&mut self, statement: &Stmt<'t>) {
        match statement {
            Stmt::Template(template) => self.body(&template.children),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => drop(self.evaluated(&emit.expr)),
            Stmt::Do(call) => self.call(&call.call),
            Stmt::IfCond(condition) => {
                self.evaluated(&condition.expr);
                self.branch(end(condition.expr.span()), end(condition.span()), |walk| {
                    walk.body(&condition.true_body);
                    walk.body(&condition.false_body);
                });
            }
            Stmt::ForLoop(one) => {
                // Of `accounts` there is always one.
                let every_time = self.evaluated(&one.iter) == Value::Accounts && one.filter_expr.is_none();
                let from = if every_time { end(one.span()) } else { end(one.iter.span()) };
                self.branch(from, end(one.span()), |walk| {
                    walk.scopes.push(vec![("loop", Value::Other)]);
                    walk.assign(&one.target, Value::Other);
                    walk.each(&one.filter_expr);
                    walk.body(&one.body);
                    walk.scopes.pop();
                    walk.scoped(&one.else_body);
                });
            }
            Stmt::WithBlock(with) => {
                self.scopes.push(Vec::new());
                for (target, expr) in &with.assignments {
                    let value = self.value(expr);
                    self.assign(target, value);
                }
                self.settle();
                self.body(&with.body);
                self.scopes.pop();
            }
            Stmt::Set(set) => {
                let value = self.value(&set.expr);
                self.uses.binds |= self.branches > 0;
                self.assign(&set.target, value);
            }
            Stmt::SetBlock(set) => {
                self.uses.binds |= self.branches > 0;
                self.scoped(&set.body);
                self.each(&set.filter);
                self.assign(&set.target, Value::Other);
            }
            Stmt::AutoEscape(auto) => {
                self.used(&auto.enabled);
                self.settle();
                self.body(&auto.body);
            }
            Stmt::FilterBlock(block) => {
                self.scoped(&block.body);
                self.used(&block.filter);
            }
            // Refused before: there are no other templates.
            Stmt::Block(block) => self.scoped(&block.body),
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => {}
        }
    }

    /// Binds a name. Where one branch has bound it to something else, it can be either.
    fn assign(&mut self, target: &Expr<'t>, value: Value) {
        let names: Vec<&'t str> = match target {
            Expr::Var(var) => vec![var.id],
            Expr::List(list) => list.items.iter().filter_map(name_of).collect(),
            Expr::Tuple(tuple) => tuple.items.iter().filter_map(name_of).collect(),
            _ => Vec::new(),
        };
        let was_accounts = |name: &&'t str| *name == "accounts" || self.bound(name) == Some(&Value::Accounts);
        let into_several = value == Value::Accounts && names.len() != 1;
        let either = value != Value::Accounts && names.iter().any(was_accounts);
        let clash = value == Value::Accounts
            && names.iter().any(|name| self.bound(name).is_some_and(|held| *held != Value::Accounts));
        if into_several || either || clash {
            self.everything(start(target.span()));
        }
        let Some(scope) = self.scopes.last_mut() else { return };
        for name in names {
            match scope.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) if *known == value => {}
                Some((_, known)) => *known = Value::Other,
                None => scope.push((name, value.clone())),
            }
        }
    }

    /// What a name is bound to, innermost first.
    fn bound(&self, name: &str) -> Option<&Value> {
        let bound = self.scopes.iter().rev().flat_map(|scope| scope.iter().rev());
        bound.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// An expression whose value goes somewhere: one that is `accounts` itself may reach every account.
    fn used(&mut self, expr: &Expr<'t>) -> Value {
        let value = self.value(expr);
        if value == Value::Accounts {
            self.everything(start(expr.span()));
        }
        value
    }

    fn each<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr<'t>>)
    where
        't: 'e,
    {
        exprs.into_iter().for_each(|expr| drop(self.used(expr)));
    }

    fn arguments(&mut self, arguments: &[CallArg<'t>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(expr)
                | CallArg::Kwarg(_, expr)
                | CallArg::PosSplat(expr)
                | CallArg::KwargSplat(expr) => self.each([expr]),
            }
        }
    }

    fn call(&mut self, call: &ast::Call<'t>) {
        self.used(&call.expr);
        self.arguments(&call.args);
    }

    fn value(&mut self, expr: &Expr<'t>) -> Value {
        match expr {
            Expr::Const(_) => return Value::Other,
            Expr::Var(var) => return self.variable(var.id, start(expr.span())),
            Expr::GetAttr(get) => {
                let of = self.value(&get.expr);
                return self.member(of, Some(get.name), expr.span());
            }
            Expr::GetItem(get) => {
                let of = self.value(&get.expr);
                let key = match &get.subscript_expr {
                    Expr::Const(key) => key.value.as_str().map(str::to_owned),
                    other => {
                        self.used(other);
                        None
                    }
                };
                return self.member(of, key.as_deref(), expr.span());
            }
            Expr::IfExpr(choice) => {
                self.used(&choice.test_expr);
                self.chose = true;
                self.used(&choice.true_expr);
                self.each(&choice.false_expr);
            }
            Expr::Slice(slice) => {
                self.used(&slice.expr);
                self.each([&slice.start, &slice.stop, &slice.step].into_iter().flatten());
            }
            Expr::UnaryOp(op) => self.each([&op.expr]),
            Expr::BinOp(op) => {
                self.chose |= matches!(op.op, BinOpKind::ScAnd | BinOpKind::ScOr);
                self.each([&op.left, &op.right]);
            }
            Expr::Compare(compare) => {
                self.chose |= compare.ops.len() > 1;
                self.used(&compare.expr);
                self.each(compare.ops.iter().map(|op| &op.expr));
            }
            Expr::Filter(filter) => {
                self.each(&filter.expr);
                self.arguments(&filter.args);
                if !FILTERS.contains(&filter.name) {
                    let message = format!("there is no filter {}", words::echo(filter.name));
                    let hint = words::suggest(filter.name, FILTERS.into_iter(), "there are");
                    self.fault(self.place_of(filter.name, expr.span()), message, hint);
                }
            }
            Expr::Test(test) => {
                self.used(&test.expr);
                self.arguments(&test.args);
                if !TESTS.contains(&test.name) {
                    let message = format!("there is no test {}", words::echo(test.name));
                    let hint = words::suggest(test.name, TESTS.into_iter(), "there are");
                    self.fault(self.place_of(test.name, expr.span()), message, hint);
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.each(&list.items),
            Expr::Tuple(tuple) => self.each(&tuple.items),
            Expr::Map(map) => self.each(map.keys.iter().chain(&map.values)),
        }
        Value::Other
    }

    fn variable(&mut self, name: &'t str, offset: usize) -> Value {
        if let Some(value) = self.bound(name) {
            return value.clone();
        }
        match self.root {
            Root::Accounts if name == "accounts" => Value::Accounts,
            Root::Document if FIELDS.contains(&name) => field(name, name),
            Root::Accounts => {
                let hint = match FIELDS.contains(&name) {
                    true => format!("write `accounts.NAME.{name}`"),
                    false => "an account's fields are `accounts.NAME.FIELD`".to_owned(),
                };
                self.missing(name, offset, hint);
                Value::Other
            }
            Root::Document if name == "accounts" => {
                let hint =
                    "only `templates` see `accounts`; here a field stands alone, as in `{{ access_token }}`";
                self.missing(name, offset, hint.to_owned());
                Value::Other
            }
            Root::Document => {
                self.missing(name, offset, words::suggest(name, FIELDS.into_iter(), "there are"));
                Value::Other
            }
        }
    }

    /// `of.key` or `of["key"]`; a key that is not written there is `None`.
    fn member(&mut self, of: Value, key: Option<&str>, span: Span) -> Value {
        match (of, key) {
            (Value::Accounts, Some(name)) => {
                let offset = self.place_of(name, span);
                self.uses.accounts.entry(name.to_owned()).or_insert(offset);
                Value::Document(format!("accounts.{name}"))
            }
            (Value::Accounts, None) => {
                self.everything(start(span));
                Value::Document(String::new())
            }
            (Value::Document(of), Some(key)) => {
                let path = if of.is_empty() { key.to_owned() } else { format!("{of}.{key}") };
                if FIELDS.contains(&key) {
                    return field(key, &path);
                }
                let hint = words::suggest(key, FIELDS.into_iter(), "there are");
                self.missing(&path, self.place_of(key, span), hint);
                self.about(&of);
                Value::Other
            }
            (Value::Plain(of), Some(key)) => {
                let path = format!("{of}.{key}");
                let hint = "only `extra` has fields of its own".to_owned();
                self.missing(&path, self.place_of(key, span), hint);
                self.about(of.rsplit_once('.').map_or("", |(of, _)| of));
                Value::Other
            }
            _ => Value::Other,
        }
    }

    /// Where a name stands that ends an expression.
    fn place_of(&self, name: &str, span: Span) -> usize {
        let before = self.text.get(..end(span)).unwrap_or_default();
        before.rfind(name).filter(|at| *at >= start(span)).unwrap_or_else(|| start(span))
    }

    fn missing(&mut self, name: &str, offset: usize, hint: String) {
        self.fault(offset, format!("the template uses {}, which does not exist", words::echo(name)), hint);
    }

    fn fault(&mut self, offset: usize, message: String, hint: String) {
        self.uses.faults.push(Fault { offset, message, hint, account: None });
    }

    /// The last fault is about the document at that path.
    fn about(&mut self, path: &str) {
        if let Some(last) = self.uses.faults.last_mut() {
            last.account = path.strip_prefix("accounts.").map(str::to_owned);
        }
    }

    fn everything(&mut self, offset: usize) {
        self.uses.all.get_or_insert(offset);
    }
}

/// A field of the token document.
fn field(key: &str, path: &str) -> Value {
    if key == "extra" { Value::Other } else { Value::Plain(path.to_owned()) }
}

fn name_of<'t>(expr: &Expr<'t>) -> Option<&'t str> {
    match expr {
        Expr::Var(var) => Some(var.id),
        _ => None,
    }
}

fn start(span: Span) -> usize {
    span.start_offset as usize
}

fn end(span: Span) -> usize {
    span.end_offset as usize
}

#[cfg(test)]
mod tests;
