//! Walks one function's syntax tree with the variables in sight. `calls.rs` looks at what is called.

mod calls;

use contracts::nearest;
use rhai::{BinaryExpr, Expr, FlowControl, FnPtr, Stmt, StmtBlock};

use super::known::Known;
use super::{FunctionId, Links, LintReport, is_closure};
use crate::error::{ErrorKind, Position};
use crate::script::{Definition, Script};

/// Checks `definition` into `report`, and answers what it leads to.
pub(super) fn function(
    known: &Known,
    script: &Script,
    (name, _): &FunctionId,
    definition: &Definition,
    report: &mut LintReport,
) -> Links {
    let mut walk = Walk {
        known,
        script,
        report,
        in_closure: is_closure(name),
        scopes: Vec::new(),
        heads: Vec::new(),
        links: Links::default(),
    };
    let at = definition.position;
    if known.is_host_function(name) {
        walk.error(
            at,
            format!("`{name}` is a function of the hub"),
            Some("choose another name".into()),
        );
    }
    walk.scopes.push(Vec::new());
    for param in &definition.params {
        walk.declare(param, at, false);
    }
    walk.statements(definition.body.statements());
    walk.leave();
    walk.links
}

struct Local {
    name: String,
    at: Position,
    used: bool,
    must_be_used: bool,
}

struct Walk<'a> {
    known: &'a Known,
    script: &'a Script,
    report: &'a mut LintReport,
    /// What a closure captures arrives as its parameters, name spaces and constants too.
    in_closure: bool,
    scopes: Vec<Vec<Local>>,
    /// Variables at the heads of the chains around this place.
    heads: Vec<String>,
    links: Links,
}

impl Walk<'_> {
    fn error(&mut self, at: Position, message: String, hint: Option<String>) {
        let mut error = self.script.error(ErrorKind::Lint, at, message);
        error.hint = hint;
        self.report.errors.push(error);
    }

    fn declare(&mut self, name: &str, at: Position, must_be_used: bool) {
        let hides_host = self.known.is_namespace(name) || self.known.is_host_function(name);
        if hides_host && !self.in_closure {
            let hint = Some("choose another name".to_owned());
            self.error(at, format!("`{name}` is a name of the hub"), hint);
        }
        let must_be_used = must_be_used && !name.starts_with('_');
        if let Some(scope) = self.scopes.last_mut() {
            scope.push(Local {
                name: name.to_owned(),
                at,
                used: false,
                must_be_used,
            });
        }
    }

    fn leave(&mut self) {
        for local in self.scopes.pop().unwrap_or_default() {
            if local.must_be_used && !local.used {
                let message = format!("nothing reads the variable `{}`", local.name);
                let warning = self.script.error(ErrorKind::Lint, local.at, message);
                self.report.warnings.push(warning);
            }
        }
    }

    fn local(&mut self, name: &str) -> Option<&mut Local> {
        self.scopes
            .iter_mut()
            .rev()
            .flat_map(|scope| scope.iter_mut().rev())
            .find(|local| local.name == name)
    }

    /// Whether `name` means a name space here.
    fn is_namespace(&mut self, name: &str) -> bool {
        self.known.is_namespace(name) && (self.in_closure || self.local(name).is_none())
    }

    fn block(&mut self, block: &StmtBlock) {
        self.scopes.push(Vec::new());
        self.statements(block.statements());
        self.leave();
    }

    fn statements(&mut self, statements: &[Stmt]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.expression(&flow.expr);
                self.block(&flow.body);
                self.block(&flow.branch);
            }
            Stmt::Switch(switch, _) => {
                self.expression(&switch.0);
                for BinaryExpr { lhs, rhs } in &switch.1.expressions {
                    self.expression(lhs);
                    self.expression(rhs);
                }
            }
            Stmt::For(parts, _) => {
                let (variable, counter, flow) = &**parts;
                self.expression(&flow.expr);
                self.scopes.push(Vec::new());
                for name in counter.iter().chain([variable]) {
                    self.declare(&name.name, name.pos.into(), false);
                }
                self.block(&flow.body);
                self.leave();
            }
            Stmt::Var(parts, _, _) => {
                self.expression(&parts.1);
                self.declare(&parts.0.name, parts.0.pos.into(), true);
            }
            Stmt::Assignment(parts) => {
                let BinaryExpr { lhs, rhs } = &parts.1;
                self.expression(rhs);
                match lhs {
                    Expr::Variable(variable, _, at) => self.assigned(&variable.1, (*at).into()),
                    other => self.expression(other),
                }
            }
            Stmt::FnCall(call, at) => self.call(call, (*at).into()),
            Stmt::Block(block) => self.block(block),
            Stmt::TryCatch(flow, _) => self.try_catch(flow),
            Stmt::Expr(expression) => self.expression(expression),
            Stmt::BreakLoop(Some(expression), ..) | Stmt::Return(Some(expression), ..) => {
                self.expression(expression);
            }
            _ => {}
        }
    }

    fn try_catch(&mut self, flow: &FlowControl) {
        self.block(&flow.body);
        self.scopes.push(Vec::new());
        if let Expr::Variable(variable, _, at) = &flow.expr {
            self.declare(&variable.1, (*at).into(), false);
        }
        self.block(&flow.branch);
        self.leave();
    }

    fn expression(&mut self, expression: &Expr) {
        match expression {
            Expr::DynamicConstant(value, _) => {
                if let Some(function) = value.read_lock::<FnPtr>() {
                    self.leads_to(function.fn_name());
                }
            }
            Expr::InterpolatedString(parts, _) | Expr::Array(parts, _) => {
                parts.iter().for_each(|part| self.expression(part));
            }
            Expr::Map(fields, _) => fields.0.iter().for_each(|(_, value)| self.expression(value)),
            Expr::And(parts, _) | Expr::Or(parts, _) | Expr::Coalesce(parts, _) => {
                parts.iter().for_each(|part| self.expression(part));
            }
            Expr::Variable(variable, _, at) => {
                let qualified = !variable.2.is_empty();
                self.variable(&variable.1, qualified, (*at).into());
            }
            Expr::Stmt(block) => self.block(block),
            Expr::FnCall(call, at) => self.call(call, (*at).into()),
            Expr::Dot(parts, flags, _) => match &parts.lhs {
                Expr::Variable(variable, _, at) if self.is_namespace(&variable.1) => {
                    self.namespace_call(&variable.1, (*at).into(), &parts.rhs, *flags);
                }
                head => self.chain_of(head, false, *flags, &parts.rhs),
            },
            Expr::Index(parts, flags, _) => self.chain_of(&parts.lhs, true, *flags, &parts.rhs),
            _ => {}
        }
    }

    fn variable(&mut self, name: &str, qualified: bool, at: Position) {
        if qualified {
            let hint = Some(format!("write `{name}`: functions see the script's constants"));
            self.error(at, "there are no modules and no `global::`".to_owned(), hint);
        } else if self.is_namespace(name) {
            let message = format!("`{name}` can't be used as a value");
            self.error(at, message, Some(format!("call its functions: `{name}.…(…)`")));
        } else if let Some(local) = self.local(name) {
            local.used = true;
        } else if self.script.headers().iter().all(|h| h.name != name) && !self.leads_to(name) {
            self.unknown_variable(name, at);
        }
    }

    fn assigned(&mut self, name: &str, at: Position) {
        if self.local(name).is_some() {
            return;
        }
        if self.script.headers().iter().any(|h| h.name == name) {
            self.error(at, format!("the constant `{name}` can't be changed"), None);
        } else {
            self.unknown_variable(name, at);
        }
    }

    fn unknown_variable(&mut self, name: &str, at: Position) {
        let locals = self.scopes.iter().flatten().map(|local| local.name.as_str());
        let constants = self.script.headers().iter().map(|h| h.name.as_str());
        let near = nearest(name, locals.chain(constants).chain(self.known.namespaces()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        self.error(at, format!("there is no variable `{name}` here"), hint);
    }

    /// Notes that a function of the script is used as a value; false if there is none of this name.
    fn leads_to(&mut self, name: &str) -> bool {
        let ids: Vec<_> = self
            .script
            .definitions
            .keys()
            .filter(|(n, _)| n == name)
            .cloned()
            .collect();
        let found = !ids.is_empty();
        self.links.functions.extend(ids);
        found
    }
}
