//! The rules that come with the hub: files in a folder, of which an owner enables what she likes.
//!
//! Invariant: a recipe never runs by itself; enabling it copies its text into the account, which then keeps it.

use std::path::PathBuf;

use crate::engine::header::{RuleHeader, is_rule_id};
use crate::engine::rule::engine;

/// The folder of shipped rules.
#[derive(Debug, Clone)]
pub(crate) struct Recipes {
    pub(crate) folder: PathBuf,
}

/// A shipped rule that can be enabled.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) header: RuleHeader,
    pub(crate) description: String,
    pub(crate) source: String,
}

impl Recipes {
    /// The recipe of this id.
    pub(crate) async fn by_id(&self, id: &str) -> Option<Recipe> {
        if !is_rule_id(id) {
            return None;
        }
        let source = tokio::fs::read_to_string(self.folder.join(format!("{id}.rhai")))
            .await
            .ok()?;
        read(&format!("{id}.rhai"), source).filter(|recipe| recipe.header.id == id)
    }

    /// All recipes, in order of id. A folder that is not there holds none.
    pub(crate) async fn list(&self) -> Vec<Recipe> {
        let Ok(mut folder) = tokio::fs::read_dir(&self.folder).await else {
            return Vec::new();
        };
        let mut recipes = Vec::new();
        while let Ok(Some(file)) = folder.next_entry().await {
            let name = file.file_name().to_string_lossy().into_owned();
            if let Some(id) = name.strip_suffix(".rhai") {
                recipes.extend(self.by_id(id).await);
            }
        }
        recipes.sort_by(|a, b| a.header.id.cmp(&b.header.id));
        recipes
    }
}

fn read(name: &str, source: String) -> Option<Recipe> {
    let script = engine().compile(name, &source).ok()?;
    let header = RuleHeader::read(&script).ok()?;
    Some(Recipe {
        header,
        description: script.doc().to_owned(),
        source,
    })
}
