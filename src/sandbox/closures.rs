//! Where a closure may stand: given straight to a function of lists such as `map` or `filter`.
//!
//! A closure that is kept in a variable can capture that variable and so itself, which is a leak for every
//! run; and captures nest without a bound that any size limit sees, until dropping them overflows the stack.
//! Invariant: no variable, field or element ever holds a closure. (Names of functions are values too, but
//! they capture nothing.)

use rhai::{AST, ASTNode, Expr, FnPtr, Stmt};

use crate::error::Position;

/// Methods that call a closure and forget it.
const TAKERS: [&str; 15] = [
    "all",
    "dedup",
    "drain",
    "filter",
    "find",
    "find_map",
    "index_of",
    "map",
    "order",
    "reduce",
    "reduce_rev",
    "retain",
    "some",
    "sort",
    "zip",
];

/// Refuses closures elsewhere, with place and reason.
pub(crate) fn check(ast: &AST) -> Result<(), (Position, String)> {
    let mut refused = None;
    ast.walk(&mut |path| {
        if let Some(ASTNode::Expr(Expr::DynamicConstant(value, at))) = path.last()
            && value.is::<FnPtr>()
            && !is_given_to_taker(ast, path)
        {
            let message = format!(
                "a closure can only be given straight to a method: {}",
                TAKERS.join(", ")
            );
            refused = Some(((*at).into(), message));
        }
        refused.is_none()
    });
    refused.map_or(Ok(()), Err)
}

fn is_given_to_taker(ast: &AST, path: &[ASTNode<'_>]) -> bool {
    // A closure that captures is a block: mark the variables as shared, then `curry(closure, captured…)`.
    let (closure, around) = match path {
        [
            around @ ..,
            ASTNode::Expr(block @ Expr::Stmt(_)),
            ASTNode::Stmt(_),
            ASTNode::Expr(Expr::FnCall(curry, _)),
            _,
        ]
        | [
            around @ ..,
            ASTNode::Expr(block @ Expr::Stmt(_)),
            ASTNode::Stmt(Stmt::FnCall(curry, _)),
            _,
        ] if curry.name == "curry" => (*block, around),
        [around @ .., ASTNode::Expr(plain)] => (*plain, around),
        _ => return false,
    };
    let Some(ASTNode::Expr(Expr::MethodCall(call, _))) = around.last() else {
        return false;
    };
    let place = usize::from(call.name == "zip");
    TAKERS.contains(&call.name.as_str())
        && ast.iter_functions().all(|f| f.name != call.name)
        && call.args.get(place).is_some_and(|arg| std::ptr::eq(arg, closure))
}
