//! The installed packs: one folder each, read at the start.
//!
//! Invariant: a pack that can't be used is listed with its reason and touches nobody else; a pack whose folder is gone is
//! gone. Begin with [`Registry::load`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sandbox::{Engine, Script, ScriptError};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::manifest::{self, Code, Manifest};
use crate::script::Session;

/// Longest `plugin.toml`, in bytes.
const MANIFEST_BYTES_MAX: u64 = 256 * 1024;

/// A pack that can be used.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) manifest: Manifest,
    /// None for a connector that is built in.
    pub(crate) script: Option<Script>,
    /// Of manifest and script; of a built-in connector with the hub's version.
    hash: [u8; 32],
}

impl Pack {
    /// By what a connection with these settings is read: another word once either changed.
    pub(crate) fn read_by(&self, settings: &Map<String, Value>) -> String {
        let settings = Value::Object(settings.clone()).to_string();
        let hash = Sha256::new().chain_update(self.hash).chain_update(settings);
        hex::encode(hash.finalize())
    }
}

/// A pack that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// All packs.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    packs: BTreeMap<String, Arc<Pack>>,
    broken: Vec<Broken>,
}

impl Registry {
    /// Reads every folder in `dir`. Never fails: what is wrong is listed.
    pub(crate) fn load(dir: &Path, engine: &Engine<Session>) -> Self {
        let mut registry = Self::default();
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, dir = %dir.display(), "the folder of plugin packs can't be read: there are no plugins");
                return registry;
            }
        };
        let mut folders: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            let Some(id) = folder.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if id.starts_with('.') {
                continue;
            }
            match load_pack(folder, id, engine) {
                Ok(pack) => drop(registry.packs.insert(id.to_owned(), Arc::new(pack))),
                Err(reason) => {
                    tracing::warn!(plugin = id, reason, "a plugin pack can't be used");
                    registry.broken.push(Broken {
                        id: id.to_owned(),
                        reason,
                    });
                }
            }
        }
        registry
    }

    pub(crate) fn pack(&self, id: &str) -> Option<&Arc<Pack>> {
        self.packs.get(id)
    }

    pub(crate) fn packs(&self) -> impl Iterator<Item = &Arc<Pack>> {
        self.packs.values()
    }

    pub(crate) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Ids of the packs that serve a channel.
    pub(crate) fn serving(&self, channel: &str) -> Vec<String> {
        self.packs()
            .filter(|pack| pack.manifest.serves(channel))
            .map(|pack| pack.manifest.id.clone())
            .collect()
    }
}

/// Reads a pack, or says what is wrong with it.
pub(crate) fn load_pack(folder: &Path, id: &str, engine: &Engine<Session>) -> Result<Pack, String> {
    // Errors name files as the owner sees them within the folder of packs.
    let file = format!("{id}/plugin.toml");
    let text = read_text(&folder.join("plugin.toml"), &file)?;
    let manifest = manifest::read(&file, id, &text).map_err(|error| error.to_string())?;
    let Code::Script(name) = &manifest.code else {
        return Ok(Pack {
            hash: hash(&text, env!("CARGO_PKG_VERSION")),
            manifest,
            script: None,
        });
    };
    let file = format!("{id}/{name}");
    let source = read_text(&folder.join(name), &file)?;
    let script = engine.compile(&file, &source).map_err(|error| one_line(&error))?;
    if let Some(error) = engine.lint(&script).errors.first() {
        return Err(one_line(error));
    }
    for (function, arity) in expected_functions(&manifest) {
        let found = script.functions().iter().find(|one| one.name == function);
        match found {
            Some(found) if found.params.len() == arity => {}
            Some(found) => {
                let (line, has) = (found.position.line, found.params.len());
                return Err(format!(
                    "{file}:{line}: `{function}` takes {has} arguments; the hub gives it {arity}"
                ));
            }
            None => {
                let names = script.functions().iter().map(|one| one.name.as_str());
                let hint = manifest::hint(&function, names);
                return Err(format!(
                    "{file}: there is no function `{function}`, which plugin.toml names{hint}"
                ));
            }
        }
    }
    Ok(Pack {
        hash: hash(&text, &source),
        manifest,
        script: Some(script),
    })
}

fn hash(manifest: &str, code: &str) -> [u8; 32] {
    let hash = Sha256::new().chain_update(Sha256::digest(manifest));
    hash.chain_update(code).finalize().into()
}

/// The functions that a manifest names, with the number of arguments that the hub gives them.
fn expected_functions(manifest: &Manifest) -> Vec<(String, usize)> {
    let functions = &manifest.functions;
    let named = [
        (&functions.send, 2),
        (&functions.find, 3),
        (&functions.reconcile, 3),
        (&functions.test, 1),
        (&functions.check, 1),
    ];
    let mut expected: Vec<(String, usize)> = named
        .into_iter()
        .filter_map(|(name, arity)| Some((name.clone()?, arity)))
        .collect();
    expected.extend(
        manifest
            .webhooks
            .iter()
            .map(|webhook| (webhook.function.clone(), 2)),
    );
    let reading = manifest
        .streams
        .iter()
        .filter_map(|stream| stream.function.clone());
    expected.extend(reading.map(|function| (function, 3)));
    let again = manifest.streams.iter().filter_map(|stream| stream.again.clone());
    expected.extend(again.map(|function| (function, 3)));
    expected
}

fn read_text(path: &Path, file: &str) -> Result<String, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("{file}: {error}"))?
        .len();
    if size > MANIFEST_BYTES_MAX {
        return Err(format!("{file} is larger than {MANIFEST_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))
}

fn one_line(error: &ScriptError) -> String {
    error.to_string()
}
