//! A compiled script: its headers, its functions, and their bodies ready to be called.
//!
//! At the top level a script has constants and functions, nothing else: reading it does nothing.
//! Invariant: every top-level constant is literal ([`Header`]), so the constants are known without a run and
//! functions may use them by name.
//! Begin with [`Script::header`] and [`Script::functions`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rhai::{AST, ASTFlags, ASTNode, Expr, Module, ScriptFuncDef, Stmt};

use crate::error::{ErrorKind, Position, ScriptError};
use crate::header::{self, Header};
use crate::limits::Limits;
use crate::run_state::Constants;
use crate::value::from_json;
use crate::{closures, fault, lint};

/// A function that a script defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Names of its parameters, in order.
    pub params: Vec<String>,
    /// Where its body begins.
    pub position: Position,
}

/// A function as the engine calls it: its body as a program of its own, with the parameters as variables.
/// So a parameter can be lent and taken back, and an error in the body keeps its place.
pub(crate) struct Definition {
    pub params: Vec<String>,
    pub body: AST,
    pub position: Position,
}

/// A compiled script. Cheap to share (in an `Arc`) and to call from many threads at once.
pub struct Script {
    file: Arc<str>,
    source: Arc<str>,
    doc: String,
    headers: Vec<Header>,
    functions: Vec<Function>,
    /// By name and number of parameters, closures included.
    pub(crate) definitions: BTreeMap<(String, usize), Definition>,
    pub(crate) constants: Constants,
    /// Whether it anywhere assigns to a field or an element.
    pub(crate) assigns_fields: bool,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("file", &self.file)
            .field("functions", &self.functions)
            .finish()
    }
}

impl Script {
    pub(crate) fn read(
        engine: &rhai::Engine,
        limits: &Limits,
        file: &str,
        source: &str,
    ) -> Result<Self, ScriptError> {
        if source.len() > limits.source_bytes {
            let message = format!(
                "the script has {} bytes; {} are allowed",
                source.len(),
                limits.source_bytes
            );
            return Err(ScriptError::new(
                ErrorKind::TooLong,
                file,
                Position::default(),
                message,
            ));
        }
        let ast = engine
            .compile(source)
            .map_err(|error| fault::from_parse(file, source, &error))?;
        let headers = read_headers(&ast)
            .map_err(|(kind, at, message)| ScriptError::new(kind, file, at, message).with_source(source))?;
        closures::check(&ast).map_err(|(at, message)| {
            let hint = "write a function, `fn name(x) { … }`, and use its name";
            ScriptError::new(ErrorKind::Syntax, file, at, message)
                .with_hint(hint)
                .with_source(source)
        })?;
        let constants = headers
            .iter()
            .map(|h| (h.name.clone(), from_json(&h.value)))
            .collect();
        let assigns_fields = assigns_fields(&ast);
        let definitions: BTreeMap<_, _> = ast.iter_fn_def().map(|f| define(&ast, f)).collect();
        let functions = definitions
            .iter()
            .filter(|((name, _), _)| !lint::is_closure(name))
            .map(|((name, _), entry)| Function {
                name: name.clone(),
                params: entry.params.clone(),
                position: entry.position,
            })
            .collect();
        Ok(Self {
            file: file.into(),
            source: source.into(),
            doc: doc(source),
            headers,
            functions,
            definitions,
            constants: Arc::new(constants),
            assigns_fields,
        })
    }

    /// The name it was compiled under.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of the `//!` lines at its head; empty without them.
    pub fn doc(&self) -> &str {
        &self.doc
    }

    /// The top-level constant of this name, or an error which says that it is missing.
    pub fn header(&self, name: &str) -> Result<&Header, ScriptError> {
        self.headers.iter().find(|h| h.name == name).ok_or_else(|| {
            let message = format!("the script has no header `const {name} = #{{ … }};`");
            self.error(ErrorKind::Header, Position::default(), message)
        })
    }

    /// All top-level constants, in order.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The functions that it defines, by name. Closures are not among them.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The function of this name; with several of different arity, the one with the fewest parameters.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }

    /// An error about this script, with the excerpt for [`ScriptError::render`].
    pub fn error(&self, kind: ErrorKind, position: Position, message: impl Into<String>) -> ScriptError {
        ScriptError::new(kind, Arc::clone(&self.file), position, message).with_source(&self.source)
    }

    pub(crate) fn definition(&self, name: &str, arity: usize) -> Option<&Definition> {
        self.definitions.get(&(name.to_owned(), arity))
    }

    pub(crate) fn no_such_function(&self, name: &str, arity: usize) -> ScriptError {
        match self.function(name) {
            Some(function) => {
                let (has, params) = (function.params.len(), function.params.join(", "));
                let message = format!("`{name}({params})` takes {has} arguments; the hub gives it {arity}");
                self.error(ErrorKind::NoSuchFunction, function.position, message)
            }
            None => {
                let error = self.error(
                    ErrorKind::NoSuchFunction,
                    Position::default(),
                    format!("the script has no function `{name}`"),
                );
                match contracts::nearest(name, self.functions.iter().map(|f| f.name.as_str())) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error,
                }
            }
        }
    }
}

fn read_headers(ast: &AST) -> Result<Vec<Header>, (ErrorKind, Position, String)> {
    let mut headers: Vec<Header> = Vec::new();
    for statement in ast.statements() {
        match statement {
            Stmt::Noop(_) => {}
            Stmt::Var(var, flags, at) if flags.intersects(ASTFlags::CONSTANT) => {
                let (name, expression, _) = &**var;
                if headers.iter().any(|h| h.name == name.name) {
                    let message = format!("the constant `{}` is defined twice", name.name);
                    return Err((ErrorKind::Header, (*at).into(), message));
                }
                headers.push(
                    header::read(name, expression)
                        .map_err(|fault| (ErrorKind::Header, fault.position, fault.message))?,
                );
            }
            other => {
                let message = "outside of functions only `const NAME = …;` is allowed, since a script is read without running it";
                return Err((ErrorKind::Syntax, other.position().into(), message.to_owned()));
            }
        }
    }
    Ok(headers)
}

/// The interpreter shows a function's body to its own tree walker only, so a program of this one function is
/// walked, and the statements at its surface are the body.
fn define(ast: &AST, function: &Arc<ScriptFuncDef>) -> ((String, usize), Definition) {
    let mut alone = Module::new();
    alone.set_script_fn(Arc::clone(function));
    let mut statements: Vec<Stmt> = Vec::new();
    AST::new_from_module(alone).walk(&mut |path| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    let definition = Definition {
        params: function.params.iter().map(ToString::to_string).collect(),
        body: AST::new(statements, Arc::clone(ast.shared_lib())),
        position: function.body.start_position().into(),
    };
    ((function.name.to_string(), function.params.len()), definition)
}

fn assigns_fields(ast: &AST) -> bool {
    let mut found = false;
    ast.walk(&mut |path| {
        if let Some(ASTNode::Stmt(Stmt::Assignment(assignment))) = path.last() {
            found |= !matches!(assignment.1.lhs, Expr::Variable(..));
        }
        !found
    });
    found
}

fn doc(source: &str) -> String {
    let lines = source.lines().map(str::trim).skip_while(|line| line.is_empty());
    let text: Vec<&str> = lines
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    text.join("\n")
}
