//! What the routes are given, checked before anything is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use contracts::{ConnectionId, Problem};
use sandbox::Budget;
use serde::Deserialize;
use serde_json::{Map, Value};
use spine::ScopedTx;
use spine::access::{Principal, Scope, TokenKind};
use utoipa::ToSchema;

use super::check_context;
use crate::manager::{Manager, Ready};
use crate::manifest::hint;
use crate::model::{self, Connection, Health};
use crate::registry::Pack;
use crate::{settings, store};

pub(super) const BUDGET: Budget = Budget {
    operations: 500_000,
    time: std::time::Duration::from_secs(1),
};

const NAME_CHARS_MAX: usize = 100;
const SECRET_BYTES_MAX: usize = 4096;

/// A connection that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConnection {
    /// The plugin's id.
    pub(crate) plugin: String,
    /// What you call it.
    pub(crate) name: String,
    /// By the plugin's schema.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) settings: Map<String, Value>,
    /// By name. Stored sealed and never shown again.
    #[serde(default)]
    pub(crate) secrets: BTreeMap<String, String>,
    /// Ranges that are not public and that it may reach all the same, such as `192.168.1.0/24`.
    #[serde(default)]
    pub(crate) allowed_ranges: Vec<String>,
}

/// A change of a connection; what isn't named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionChange {
    name: Option<String>,
    /// Null takes a setting back to its default.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    allowed_ranges: Option<Vec<String>>,
    /// By name, in place of the ones before. All that are stored must be among them where a setting changes that says to
    /// which host they are sent.
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
}

/// Secrets by name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(transparent)]
pub(crate) struct NewSecrets(pub(crate) BTreeMap<String, String>);

/// What passed.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) settings: Map<String, Value>,
    pub(super) allowed_ranges: Vec<String>,
}

fn refuse(problems: Vec<String>) -> Result<(), Problem> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problem::unprocessable(problems.join("; ")))
    }
}

pub(super) async fn check_new(manager: &Manager, new: &NewConnection) -> Result<Checked, Problem> {
    let pack = pack(manager, &new.plugin)?;
    let mut problems = name_problem(&new.name);
    problems.extend(
        new.secrets
            .iter()
            .filter_map(|(name, secret)| secret_problem(name, secret)),
    );
    let names: Vec<&str> = new.secrets.keys().map(String::as_str).collect();
    let checked = check(
        manager,
        &pack,
        &new.settings,
        &new.allowed_ranges,
        &names,
        &mut problems,
    )
    .await;
    refuse(problems)?;
    Ok(checked)
}

/// The connection as it is to be, or what is wrong with it. Asks the pack, so no transaction is open meanwhile.
pub(super) async fn apply(
    manager: &Manager,
    caller: &Scope,
    old: &Connection,
    change: &ConnectionChange,
) -> Result<Connection, Problem> {
    let pack = pack(manager, &old.plugin)?;
    let mut new = old.clone();
    let mut problems = Vec::new();
    if let Some(name) = &change.name {
        problems.extend(name_problem(name));
        new.name = name.trim().to_owned();
    }
    for (name, value) in &change.settings {
        if value.is_null() && pack.manifest.setting(name).is_some() {
            new.settings.remove(name);
        } else {
            new.settings.insert(name.clone(), value.clone());
        }
    }
    // A setting that a newer pack dropped is dropped here, too; one that never was is a mistake and is named below.
    let ranges = change.allowed_ranges.as_ref().unwrap_or(&old.allowed_ranges);
    check_secrets(manager, old, &change.secrets)?;
    let names = old.secrets.keys().chain(change.secrets.keys());
    let names: Vec<&str> = names.map(String::as_str).collect();
    let checked = check(manager, &pack, &new.settings, ranges, &names, &mut problems).await;
    refuse(problems)?;
    new.settings = checked.settings;
    new.allowed_ranges = checked.allowed_ranges;
    reach_check(manager, &pack, caller, (old, &new), &change.secrets)?;
    let is_old = |range| old.allowed_ranges.contains(range);
    if !new.allowed_ranges.iter().all(is_old) {
        owner_check(manager, caller).await?;
    }
    Ok(new)
}

/// Where a connection may reach is its owner's word, not a program's; and a secret goes to no other host than the one
/// for which it was given.
fn reach_check(
    manager: &Manager,
    pack: &Pack,
    caller: &Scope,
    (old, new): (&Connection, &Connection),
    secrets: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let effective = |connection: &Connection| {
        settings::effective(&pack.manifest, &connection.settings, manager.hub_url())
    };
    let (before, after) = (effective(old), effective(new));
    let moved = pack
        .manifest
        .host_settings()
        .find(|name| before.get(*name) != after.get(*name));
    let widened = new
        .allowed_ranges
        .iter()
        .any(|range| !old.allowed_ranges.contains(range));
    if moved.is_some() || widened {
        person_check(caller)?;
    }
    let Some(setting) = moved else { return Ok(()) };
    let kept: Vec<&str> = old
        .secrets
        .keys()
        .filter(|name| !secrets.contains_key(*name))
        .map(String::as_str)
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    Err(Problem::unprocessable(format!(
        "setting `{setting}` says to which host the secrets are sent: where it changes, give them anew in the same \
         request ({})",
        kept.join(", ")
    )))
}

/// Ranges lead into the network of the hub's machine, to its other services and its neighbours: whoever shares a hub
/// with others asks its owner, who may act in every account by the command line.
pub(super) async fn owner_check(manager: &Manager, caller: &Scope) -> Result<(), Problem> {
    person_check(caller)?;
    if matches!(caller.principal(), Principal::Operator) {
        return Ok(());
    }
    let directory = manager.context().ports.account_directory();
    if directory.account_by_default().await? == Some(caller.account()) {
        return Ok(());
    }
    Err(Problem::forbidden(
        "which private address ranges a connection may reach is for the hub's owner to say",
    )
    .hint("ask the hub's owner, who may use `allod connection add --account … --allow-range …`"))
}

/// Refuses programs: a token of theirs that leaks must not turn the hub towards other hosts.
pub(super) fn person_check(caller: &Scope) -> Result<(), Problem> {
    match caller.principal() {
        Principal::Operator
        | Principal::Token {
            kind: TokenKind::Session,
            ..
        } => Ok(()),
        _ => Err(Problem::forbidden(
            "which hosts and ranges a connection may reach is for a person to say, not for a program",
        )
        .hint("sign in, or use `allod connection` on the hub itself")),
    }
}

pub(super) fn check_secrets(
    manager: &Manager,
    connection: &Connection,
    secrets: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    let pack = pack(manager, &connection.plugin)?;
    let mut problems: Vec<String> = secrets
        .iter()
        .filter_map(|(name, secret)| secret_problem(name, secret))
        .collect();
    for name in secrets.keys().filter(|name| pack.manifest.secret(name).is_none()) {
        let hint = hint(
            name,
            pack.manifest.secrets.iter().map(|secret| secret.name.as_str()),
        );
        problems.push(format!("there is no secret `{name}`{hint}"));
    }
    refuse(problems)
}

/// Seals and writes secrets.
pub(super) async fn seal_all(
    manager: &Manager,
    tx: &mut ScopedTx,
    connection: ConnectionId,
    secrets: &BTreeMap<String, String>,
) -> Result<(), Problem> {
    for (name, secret) in secrets {
        let place = model::secret_place(connection, name);
        let sealed = manager
            .context()
            .vault
            .seal(&place, secret.as_bytes())
            .map_err(|error| Problem::internal(&error))?;
        store::secret_put(tx, connection, name, &sealed).await?;
    }
    Ok(())
}

fn pack(manager: &Manager, plugin: &str) -> Result<Arc<Pack>, Problem> {
    let registry = manager.registry();
    if let Some(pack) = registry.pack(plugin) {
        return Ok(pack.clone());
    }
    if let Some(broken) = registry.broken().iter().find(|broken| broken.id == plugin) {
        return Err(Problem::unprocessable(format!(
            "the plugin `{plugin}` can't be used: {}",
            broken.reason
        )));
    }
    let hint = hint(plugin, registry.packs().map(|pack| pack.manifest.id.as_str()));
    Err(Problem::not_found(format!("there is no plugin `{plugin}`{hint}")))
}

/// Schema, addresses, secrets; then what only the pack knows, such as that one of two settings is needed.
async fn check(
    manager: &Manager,
    pack: &Arc<Pack>,
    settings: &Map<String, Value>,
    ranges: &[String],
    secrets: &[&str],
    problems: &mut Vec<String>,
) -> Checked {
    let allowed_ranges = model::accept_ranges(ranges).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let (settings, found) = model::problems(&pack.manifest, settings, &allowed_ranges, secrets);
    let sound = found.is_empty() && problems.is_empty();
    problems.extend(found);
    if sound && let Some(function) = &pack.manifest.functions.check {
        problems.extend(ask_pack(manager, pack, function, &settings).await);
    }
    Checked {
        settings,
        allowed_ranges,
    }
}

async fn ask_pack(
    manager: &Manager,
    pack: &Arc<Pack>,
    function: &str,
    settings: &Map<String, Value>,
) -> Vec<String> {
    let probe = Connection {
        id: ConnectionId::default(),
        plugin: pack.manifest.id.clone(),
        name: String::new(),
        settings: settings.clone(),
        allowed_ranges: Vec::new(),
        health: Health::Active,
        reason: String::new(),
        paused: false,
        created_at: manager.context().clock.now(),
        asked_at: None,
        synced_to: manager.context().clock.now(),
        secrets: BTreeMap::new(),
    };
    let hooks_url = probe.hooks_url(manager.hub_url());
    let effective = settings::effective(&pack.manifest, settings, manager.hub_url());
    let ready = Ready {
        connection: probe,
        pack: pack.clone(),
        settings: effective,
        hooks_url,
    };
    let args = [check_context(&ready, manager)];
    match manager.call(pack, function, &args, BUDGET, None).await {
        Ok(Value::Array(problems)) => problems
            .iter()
            .map(|problem| {
                problem
                    .as_str()
                    .unwrap_or("the pack refused the settings")
                    .to_owned()
            })
            .collect(),
        Ok(_) => vec!["the pack's `check` returned something else than a list of problems".to_owned()],
        Err(failure) => vec![failure.to_string()],
    }
}

fn name_problem(name: &str) -> Vec<String> {
    let name = name.trim();
    let fits =
        !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    if fits {
        Vec::new()
    } else {
        vec![format!("name: 1 to {NAME_CHARS_MAX} printable characters")]
    }
}

fn secret_problem(name: &str, secret: &str) -> Option<String> {
    let fits = !secret.trim().is_empty()
        && secret.len() <= SECRET_BYTES_MAX
        && !secret.chars().any(char::is_control);
    (!fits).then(|| format!("secret `{name}`: 1 to {SECRET_BYTES_MAX} printable bytes"))
}
