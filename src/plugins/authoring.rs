//! What somebody who writes a pack needs without a hub: a folder to begin with, and all that is wrong with one.
//!
//! Invariant: a folder that [`create`] makes has no mistake by [`check`].

use std::path::Path;

use serde_json::{Value, json};

use crate::http_api::PluginView;
use crate::{registry, script};

/// The template's files; `NAME` in name and text is the pack's id.
const TEMPLATE: [(&str, &str); 3] = [
    ("plugin.toml", include_str!("template/plugin.toml")),
    ("NAME.rhai", include_str!("template/plugin.rhai")),
    ("README.md", include_str!("template/README.md")),
];

/// What a pack in a folder is and wants, as `GET /plugins/{id}` tells it. As a hub reads it at its start: the manifest, the
/// script, the functions that the manifest names.
///
/// # Errors
/// What is wrong with it, with file, line and column.
pub fn check(folder: &Path) -> Result<Value, String> {
    let real = folder
        .canonicalize()
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = real.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{}: this folder has no name", folder.display()))?;
    let pack = registry::load_pack(&real, name, &script::engine())?;
    Ok(json!(PluginView::of(&pack.manifest)))
}

/// Makes the folder of a new pack: `name` below `parent`.
///
/// # Errors
/// A name that can't be one, a folder that is there, what the file system says.
pub fn create(parent: &Path, name: &str) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(is_name) || name.len() > 40 {
        return Err(format!(
            "`{name}` can't be the name of a pack: it begins with a lower-case letter, and has letters, digits and hyphens, at most 40"
        ));
    }
    let folder = parent.join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir(&folder).map_err(failed)?;
    for (file, text) in TEMPLATE {
        let path = folder.join(file.replace("NAME", name));
        std::fs::write(path, text.replace("NAME", name)).map_err(failed)?;
    }
    Ok(())
}
