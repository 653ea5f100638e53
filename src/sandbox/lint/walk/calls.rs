//! What a script calls: functions of its own, of the hub and of values, in chains such as `a.b[c].d()`.

use rhai::{ASTFlags, Expr, FnCallExpr};

use super::super::known::CallFault;
use super::Walk;
use crate::error::Position;

impl Walk<'_> {
    pub(super) fn chain_of(&mut self, head: &Expr, indexing: bool, flags: ASTFlags, rest: &Expr) {
        self.expression(head);
        let name = if let Expr::Variable(variable, ..) = head {
            variable.1.to_string()
        } else {
            String::new()
        };
        self.heads.push(name);
        self.chain(indexing, flags, rest);
        self.heads.pop();
    }

    /// What follows the head of `a.b[c].d()`: links nest to the right until one carries the break flag.
    fn chain(&mut self, indexing: bool, flags: ASTFlags, rest: &Expr) {
        match rest {
            Expr::Dot(parts, next, _) if !flags.intersects(ASTFlags::BREAK) => {
                self.link(indexing, &parts.lhs);
                self.chain(false, *next, &parts.rhs);
            }
            Expr::Index(parts, next, _) if !flags.intersects(ASTFlags::BREAK) => {
                self.link(indexing, &parts.lhs);
                self.chain(true, *next, &parts.rhs);
            }
            last => self.link(indexing, last),
        }
    }

    fn link(&mut self, indexing: bool, link: &Expr) {
        match link {
            _ if indexing => self.expression(link),
            Expr::MethodCall(call, at) => {
                call.args.iter().for_each(|arg| self.expression(arg));
                self.check_call(&call.name, call.args.len(), true, (*at).into());
            }
            _ => {}
        }
    }

    pub(super) fn namespace_call(&mut self, space: &str, at: Position, rest: &Expr, flags: ASTFlags) {
        let first = match rest {
            Expr::Dot(parts, ..) | Expr::Index(parts, ..) if !flags.intersects(ASTFlags::BREAK) => &parts.lhs,
            only => only,
        };
        let Expr::MethodCall(call, method_at) = first else {
            self.error(at, format!("`{space}` has functions only, no fields"), None);
            return;
        };
        let (name, count, method_at) = (call.name.as_str(), call.args.len(), (*method_at).into());
        match self.known.check_method(space, name, count) {
            Ok(()) => {
                self.links
                    .host
                    .entry(format!("{space}.{name}"))
                    .or_insert(method_at);
            }
            Err(CallFault::Unknown) => {
                let hint = self
                    .known
                    .nearest_method(space, name)
                    .map(|near| format!("did you mean `{near}`?"));
                self.error(method_at, format!("`{space}` has no function `{name}`"), hint);
            }
            Err(CallFault::Arity(takes)) => {
                self.error(
                    method_at,
                    format!("`{space}.{name}` takes {takes}, not {count}"),
                    None,
                );
            }
        }
        call.args.iter().for_each(|arg| self.expression(arg));
        match rest {
            Expr::Dot(parts, next, _) if !flags.intersects(ASTFlags::BREAK) => {
                self.chain(false, *next, &parts.rhs);
            }
            Expr::Index(parts, next, _) if !flags.intersects(ASTFlags::BREAK) => {
                self.chain(true, *next, &parts.rhs);
            }
            _ => {}
        }
    }

    pub(super) fn call(&mut self, call: &FnCallExpr, at: Position) {
        // A closure that captures is written down as `curry(closure, captured…)`.
        if call.name == "curry" {
            for arg in &call.args {
                match arg {
                    Expr::Variable(variable, ..) if self.is_namespace(&variable.1) => {}
                    Expr::Variable(variable, ..) if self.heads.iter().any(|head| *head == *variable.1) => {
                        let message = format!("the closure uses `{0}`, on which it is called", variable.1);
                        let hint =
                            "take what the closure needs, or the list, into a variable of its own first";
                        self.error(at, message, Some(hint.to_owned()));
                    }
                    other => self.expression(other),
                }
            }
            return;
        }
        call.args.iter().for_each(|arg| self.expression(arg));
        if call.is_qualified() {
            self.error(
                at,
                format!("there are no modules: `{}` can't be called", call.name),
                None,
            );
        } else if !call.is_operator_call() {
            self.check_call(&call.name, call.args.len(), false, at);
        }
    }

    fn check_call(&mut self, name: &str, count: usize, as_method: bool, at: Position) {
        if !as_method {
            // `helper(x)` where `helper` is a variable that holds a closure.
            if let Some(local) = self.local(name) {
                local.used = true;
                return;
            }
        }
        let id = (name.to_owned(), count);
        if self.script.definitions.contains_key(&id) {
            self.links.functions.insert(id);
            return;
        }
        let script = self.script;
        let own = script.functions().iter().find(|f| f.name == name);
        let given = if as_method { count + 1 } else { count };
        match (self.known.check(name, given, as_method), own) {
            (Ok(()), _) => {
                if self.known.is_host_function(name) {
                    self.links.host.entry(name.to_owned()).or_insert(at);
                }
            }
            (Err(_), Some(own)) => {
                let message = format!(
                    "`{name}({})` takes {} arguments, not {count}",
                    own.params.join(", "),
                    own.params.len()
                );
                self.error(at, message, None);
            }
            (Err(CallFault::Arity(takes)), None) => {
                self.error(at, format!("`{name}` takes {takes}, not {count}"), None);
            }
            (Err(CallFault::Unknown), None) => {
                let mine = script.functions().iter().map(|f| f.name.as_str());
                let near = self.known.nearest_function(name, mine);
                self.error(
                    at,
                    format!("there is no function `{name}`"),
                    near.map(|n| format!("did you mean `{n}`?")),
                );
            }
        }
    }
}
