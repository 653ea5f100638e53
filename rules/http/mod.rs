//! Routes of rules and runs below `/api/v1`.
//!
//! Begin with [`routes`].

mod rules;
mod runs;

use std::sync::Arc;

use contracts::Problem;
use spine::access::{Cause, Scope, ScopedTx};
use spine::log::consumer::HandleError;
use spine::{Access, Context};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::recipes::Recipes;
use crate::runs::runner::Runner;

/// What the routes need.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    access: Access,
    runner: Runner,
    recipes: Arc<Recipes>,
}

impl Shared {
    async fn begin(&self, scope: &Scope) -> Result<ScopedTx, Problem> {
        Ok(self.access.begin(scope, Cause::outside()).await?)
    }

    /// Commits a change of rules, which holds from now on.
    async fn commit_change(&self, tx: ScopedTx) -> Result<(), Problem> {
        let account = tx.account();
        tx.commit().await?;
        self.runner.catalog.forget(account);
        Ok(())
    }
}

/// The routes.
pub(crate) fn routes(context: &Context, runner: Runner) -> OpenApiRouter {
    let recipes = Arc::new(Recipes {
        folder: context.settings.recipes_dir.clone(),
    });
    OpenApiRouter::new()
        .routes(routes!(rules::rule_list, rules::rule_add))
        .routes(routes!(rules::rule_check))
        .routes(routes!(rules::rule_get, rules::rule_put, rules::rule_delete))
        .routes(routes!(rules::rule_enable))
        .routes(routes!(rules::rule_disable))
        .routes(routes!(rules::rule_run))
        .routes(routes!(runs::run_list))
        .routes(routes!(runs::run_trace))
        .with_state(Shared {
            access: context.access.clone(),
            runner,
            recipes,
        })
}

/// How a failed read of a dry run is told.
fn problem(error: HandleError) -> Problem {
    match error {
        HandleError::Access(error) => error.into(),
        HandleError::Poison(reason) => Problem::unprocessable(reason),
    }
}
