//! `allod plugin`.

use std::path::Path;

use serde_json::{Value, json};

use super::{CommandError, Session};
use crate::cli::Plugin;
use crate::client::escape;
use crate::render;

pub(super) async fn run(session: &Session, command: Plugin) -> Result<(), CommandError> {
    match command {
        Plugin::List => {
            let mut plugins = session.client.get("/plugins").await?;
            let connections = session.client.get("/connections").await?;
            for plugin in plugins.as_array_mut().into_iter().flatten() {
                let of = render::list(&connections).iter();
                let names: Vec<Value> = of
                    .filter(|one| one["plugin"] == plugin["id"])
                    .map(|one| one["name"].clone())
                    .collect();
                plugin["connections"] = Value::Array(names);
            }
            let columns = [
                ("PLUGIN", "id"),
                ("VERSION", "version"),
                ("KIND", "kind"),
                ("CONNECTIONS", "connections"),
                ("WHAT", "description"),
                ("ERROR", "error"),
            ];
            session.show(&plugins, |plugins| {
                render::table(plugins, &columns, "no plugin packs are installed");
            });
        }
        Plugin::Show { id } => {
            let plugin = session.client.get(&format!("/plugins/{}", escape(&id))).await?;
            session.show(&plugin, show);
        }
        Plugin::Check { .. } | Plugin::New { .. } => {
            return Err(CommandError::Usage("this command runs without a hub".to_owned()));
        }
    }
    Ok(())
}

/// Checks the pack in a folder without a hub.
pub(crate) fn check(session: &Session, folder: &Path) -> Result<(), CommandError> {
    match plugins::check(folder) {
        Ok(plugin) => {
            session.show(&plugin, |plugin| {
                show(plugin);
                render::line("no mistakes");
            });
            Ok(())
        }
        Err(reason) => {
            session.show(&json!({ "error": reason }), |_| render::line(&reason));
            Err(CommandError::Unwell)
        }
    }
}

/// Makes the folder of a new pack where we are.
pub(crate) fn new(session: &Session, name: &str) -> Result<(), CommandError> {
    plugins::create(Path::new("."), name).map_err(CommandError::Failed)?;
    session.show(&json!({ "folder": name }), |_| {
        render::line(format!(
            "made {name}/: edit its files, then `allod plugin check {name}`"
        ));
    });
    Ok(())
}

/// What a plugin is, and what it wants.
fn show(plugin: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&plugin["version"]);
    render::line(format!(
        "{} {version}: {}",
        text(&plugin["id"]),
        text(&plugin["description"])
    ));
    if let Some(error) = plugin["error"].as_str() {
        render::line(format!("it can't be used: {error}"));
        return;
    }
    for (what, key) in [
        ("kind", "kind"),
        ("may reach", "hosts"),
        ("brings", "entities"),
        ("serves the channels", "channels"),
    ] {
        let words: Vec<String> = plugin[key].as_array().into_iter().flatten().map(text).collect();
        if !words.is_empty() {
            render::line(format!("{what}: {}", words.join(", ")));
        }
    }
    for (what, key) in [
        ("settings", "settings"),
        ("secrets", "secrets"),
        ("webhooks", "webhooks"),
        ("streams", "streams"),
    ] {
        let all = plugin[key].as_array().map(Vec::as_slice).unwrap_or_default();
        if !all.is_empty() {
            render::line(format!("{what}:"));
        }
        for one in all {
            let needed = if one["required"] == true { " (needed)" } else { "" };
            let often = one["every_minutes"].as_u64();
            let often = often.map_or_else(String::new, |often| format!(" (every {often} min)"));
            let (name, description) = (text(&one["name"]), text(&one["description"]));
            render::line(format!("  {name}{needed}{often}: {description}"));
        }
    }
}
