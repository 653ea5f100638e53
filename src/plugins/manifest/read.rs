//! From the text of a `plugin.toml` to a [`Manifest`]: every mistake is named with file, line and column.

mod stream;
mod webhook;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::error::{ManifestError, hint, with_nearest};
use super::raw::{RawAuth, RawFunctions, RawManifest, RawSetting};
use super::{Auth, Code, Functions, HostSpec, Kind, Manifest, SecretSpec, Setting, SettingType, ValueRef};
use crate::settings;

const RECONCILE_MINUTES: Range<u32> = 1..24 * 60 + 1;

/// Reads a manifest. `file` is how errors name it; `folder` is what its id must be.
pub(crate) fn read(file: &str, folder: &str, text: &str) -> Result<Manifest, ManifestError> {
    let raw: RawManifest = toml::from_str(text)
        .map_err(|error| ManifestError::at(file, text, error.span(), with_nearest(error.message())))?;
    Reader { file, text }.manifest(folder, raw)
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

type Read<T> = Result<T, ManifestError>;

impl Reader<'_> {
    fn manifest(&self, folder: &str, raw: RawManifest) -> Read<Manifest> {
        self.id(&raw.id)?;
        if raw.id.get_ref() != folder {
            return self.refuse(&raw.id, format!("the id must be the folder's name, `{folder}`"));
        }
        let version: Vec<&str> = raw.version.get_ref().split('.').collect();
        if version.len() != 3 || version.iter().any(|part| part.parse::<u32>().is_err()) {
            return self.refuse(&raw.version, "a version is three numbers, such as 1.0.0");
        }
        if raw.kind.get_ref().is_empty() {
            return self.refuse(&raw.kind, "a plugin is a channel, a connector or both");
        }
        let code = self.code(&raw)?;
        let settings = raw
            .settings
            .into_iter()
            .map(|one| self.setting(one))
            .collect::<Read<Vec<_>>>()?;
        let mut manifest = Manifest {
            id: raw.id.into_inner(),
            version: raw.version.into_inner(),
            kinds: raw.kind.get_ref().clone(),
            description: raw.description,
            code,
            channels: raw.channels,
            entities: raw.entities,
            hosts: Vec::new(),
            auth: None,
            functions: functions(&raw.functions),
            reconcile_every: None,
            settings,
            secrets: Vec::new(),
            webhooks: Vec::new(),
            streams: Vec::new(),
        };
        for secret in raw.secrets {
            self.name(&secret.name)?;
            let name = secret.name.into_inner();
            manifest.secrets.push(SecretSpec {
                name,
                description: secret.description,
                required: secret.required,
            });
        }
        self.unique(
            "setting",
            manifest.settings.iter().map(|setting| setting.name.as_str()),
        )?;
        self.unique(
            "secret",
            manifest.secrets.iter().map(|secret| secret.name.as_str()),
        )?;
        for host in &raw.hosts {
            manifest.hosts.push(self.host(&manifest, host)?);
        }
        manifest.auth = raw
            .auth
            .as_ref()
            .map(|auth| self.auth(&manifest, auth))
            .transpose()?;
        for webhook in raw.webhooks {
            manifest.webhooks.push(self.webhook(&manifest, webhook)?);
        }
        self.unique(
            "webhook",
            manifest.webhooks.iter().map(|webhook| webhook.name.as_str()),
        )?;
        self.streams(&mut manifest, raw.streams)?;
        if let Some(minutes) = raw.schedule.reconcile_every_minutes {
            if !RECONCILE_MINUTES.contains(minutes.get_ref()) {
                return self.refuse(&minutes, "the schedule is 1 to 1440 minutes");
            }
            if manifest.functions.reconcile.is_none() {
                return self.refuse(
                    &minutes,
                    "there is a schedule, but no function `reconcile` that it could call",
                );
            }
            manifest.reconcile_every = Some(Duration::from_secs(u64::from(*minutes.get_ref()) * 60));
        }
        let is_channel = manifest.kinds.contains(&Kind::Channel);
        if is_channel && (manifest.channels.is_empty() || manifest.functions.send.is_none()) {
            return self.refuse(&raw.kind, "a channel names its `channels` and a function `send`");
        }
        if !is_channel && !manifest.channels.is_empty() {
            return self.refuse(&raw.kind, "there are `channels`, but the kind is not \"channel\"");
        }
        Ok(manifest)
    }

    fn code(&self, raw: &RawManifest) -> Read<Code> {
        match (&raw.script, &raw.connector) {
            (Some(script), None) => {
                if !script.get_ref().ends_with(".rhai") || script.get_ref().contains(['/', '\\']) {
                    return self.refuse(
                        script,
                        "the script is a file of the pack itself, such as twilio.rhai",
                    );
                }
                Ok(Code::Script(script.get_ref().clone()))
            }
            (None, Some(connector)) => {
                self.id(connector)?;
                if !raw.webhooks.is_empty() {
                    return self.refuse(connector, "webhooks need a script: a built-in connector has none");
                }
                Ok(Code::BuiltIn(connector.get_ref().clone()))
            }
            (Some(_), Some(connector)) => self.refuse(
                connector,
                "a plugin has a `script` or names a built-in `connector`, not both",
            ),
            (None, None) => self.refuse(
                &raw.id,
                "missing field `script`, the file with its functions (or `connector`, for one that is built in)",
            ),
        }
    }

    fn setting(&self, raw: RawSetting) -> Read<Setting> {
        self.name(&raw.name)?;
        let is_enum = raw.kind == SettingType::Enum;
        if is_enum == raw.values.is_empty() {
            return self.refuse(
                &raw.name,
                "`values` belongs to a setting of type enum, and only there",
            );
        }
        let mut setting = Setting {
            name: raw.name.get_ref().clone(),
            kind: raw.kind,
            required: raw.required,
            default: None,
            description: raw.description,
            values: raw.values,
            min: raw.min,
            max: raw.max,
            multiline: raw.multiline,
        };
        if let Some(default) = raw.default {
            let value = serde_json::to_value(default.get_ref()).map_err(|error| {
                ManifestError::at(self.file, self.text, Some(default.span()), error.to_string())
            })?;
            if value != settings::HUB_PUBLIC_URL {
                let checked = settings::check(&setting, &value);
                let checked = checked.map_err(|problem| {
                    ManifestError::at(
                        self.file,
                        self.text,
                        Some(default.span()),
                        format!("the default {problem}"),
                    )
                })?;
                setting.default = Some(checked);
            } else {
                setting.default = Some(value);
            }
        }
        Ok(setting)
    }

    fn host(&self, manifest: &Manifest, host: &Spanned<String>) -> Read<HostSpec> {
        let Some(reference) = reference(host.get_ref()) else {
            return match host.get_ref().parse() {
                Ok(pattern) => Ok(HostSpec::Pattern(pattern)),
                Err(error) => self.refuse(host, error.to_string()),
            };
        };
        let Some(name) = reference.strip_prefix("settings.") else {
            return self.refuse(
                host,
                "a host is written out or taken from a setting, as in \"{settings.base_url}\"",
            );
        };
        match manifest.setting(name) {
            // A built-in connector knows itself how an address is written, in one setting or in several.
            Some(setting)
                if setting.kind == SettingType::Url || matches!(manifest.code, Code::BuiltIn(_)) =>
            {
                Ok(HostSpec::Setting(name.to_owned()))
            }
            Some(_) => self.refuse(host, format!("the setting `{name}` is not of type url")),
            None => self.refuse(host, self.no_setting(manifest, name)),
        }
    }

    fn auth(&self, manifest: &Manifest, raw: &RawAuth) -> Read<Auth> {
        let part = |name: &str, value: &Option<Spanned<String>>| match value {
            Some(value) => self.value_ref(manifest, value),
            None => self.refuse(&raw.scheme, format!("this scheme needs `{name}`")),
        };
        match raw.scheme.get_ref().as_str() {
            "basic" => Ok(Auth::Basic {
                user: part("user", &raw.user)?,
                password: part("password", &raw.password)?,
            }),
            "bearer" => Ok(Auth::Bearer {
                token: part("token", &raw.token)?,
            }),
            other => {
                let hint = hint(other, ["basic", "bearer"]);
                self.refuse(&raw.scheme, format!("unknown scheme `{other}`{hint}"))
            }
        }
    }

    fn value_ref(&self, manifest: &Manifest, value: &Spanned<String>) -> Read<ValueRef> {
        let reference = reference(value.get_ref()).and_then(|reference| reference.split_once('.'));
        match reference {
            Some(("settings", name)) if manifest.setting(name).is_some() => {
                Ok(ValueRef::Setting(name.to_owned()))
            }
            Some(("settings", name)) => self.refuse(value, self.no_setting(manifest, name)),
            Some(("secrets", name)) => {
                self.secret(manifest, value, name)?;
                Ok(ValueRef::Secret(name.to_owned()))
            }
            _ => self.refuse(value, "write \"{settings.…}\" or \"{secrets.…}\""),
        }
    }

    fn no_setting(&self, manifest: &Manifest, name: &str) -> String {
        let hint = hint(
            name,
            manifest.settings.iter().map(|setting| setting.name.as_str()),
        );
        format!("there is no setting `{name}`{hint}")
    }

    fn secret<T>(&self, manifest: &Manifest, place: &Spanned<T>, name: &str) -> Read<String> {
        if manifest.secret(name).is_some() {
            return Ok(name.to_owned());
        }
        let hint = hint(name, manifest.secrets.iter().map(|secret| secret.name.as_str()));
        self.refuse(place, format!("there is no secret `{name}`{hint}"))
    }

    fn id(&self, id: &Spanned<String>) -> Read<()> {
        let fits = id.get_ref().len() <= 32
            && id.get_ref().starts_with(|c: char| c.is_ascii_lowercase())
            && id
                .get_ref()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(())
        } else {
            self.refuse(id, "an id is 1 to 32 lower-case letters, digits and hyphens")
        }
    }

    fn name(&self, name: &Spanned<String>) -> Read<()> {
        let fits = name.get_ref().len() <= 48
            && name.get_ref().starts_with(|c: char| c.is_ascii_lowercase())
            && name
                .get_ref()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if fits {
            Ok(())
        } else {
            self.refuse(
                name,
                "a name is 1 to 48 lower-case letters, digits and underscores",
            )
        }
    }

    fn unique<'n>(&self, what: &str, names: impl Iterator<Item = &'n str>) -> Read<()> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                let message = format!("the {what} `{name}` is declared twice");
                return Err(ManifestError::at(self.file, self.text, None, message));
            }
        }
        Ok(())
    }

    fn refuse<T, V>(&self, place: &Spanned<V>, message: impl Into<String>) -> Read<T> {
        Err(ManifestError::at(
            self.file,
            self.text,
            Some(place.span()),
            message,
        ))
    }
}

/// What stands within `{…}`, if the text is nothing else.
fn reference(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

fn functions(raw: &RawFunctions) -> Functions {
    let name = |function: &Option<Spanned<String>>| function.as_ref().map(|name| name.get_ref().clone());
    Functions {
        send: name(&raw.send),
        find: name(&raw.find),
        reconcile: name(&raw.reconcile),
        test: name(&raw.test),
        check: name(&raw.check),
    }
}
