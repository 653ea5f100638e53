//! What is set where, which wins, and what is refused.

use toml::Value;

use super::environment::KEYS;
use super::load::load_from;
use super::{Config, Database, Flags, Media};

fn load_text(
    text: &str,
    environment: &[(&str, &str)],
    set: &[(&'static str, &str)],
) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("allod.toml");
    std::fs::write(&file, text).unwrap();
    let flags = Flags {
        file: Some(file),
        set: set
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect(),
    };
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load_from(&flags, &environment)
        .map_err(|error| error.to_string().replace(&dir.path().display().to_string(), ""))
}

#[test]
fn flags_win_over_environment_and_environment_over_the_file() {
    let text = "listen = \"127.0.0.1:1\"\ndomain = \"file.example\"\n[jobs]\nrealtime = 2\n";
    let environment = [
        ("ALLOD_DOMAIN", "env.example"),
        ("ALLOD_JOBS_REALTIME", "3"),
        ("ALLOD_LISTEN", "127.0.0.1:2"),
    ];
    let config = load_text(text, &environment, &[("listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.domain.as_deref(), Some("env.example"));
    assert_eq!(config.jobs.realtime, 3);
    assert_eq!(config.public_url(config.listen), "https://env.example");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    let error = load_text("domain = \"a.example\"\nlisen = \"127.0.0.1:1\"\n", &[], &[]).unwrap_err();
    assert!(
        error.starts_with("/allod.toml:2: unknown field `lisen`"),
        "{error}"
    );
    assert!(error.contains("did you mean `listen`?"), "{error}");
    let error = load_text("[log]\n\nformt = \"json\"\n", &[], &[]).unwrap_err();
    assert!(
        error.contains("allod.toml:3:") && error.contains("did you mean `format`?"),
        "{error}"
    );
}

#[test]
fn a_bad_value_is_refused_where_it_stands() {
    let error = load_text("\nlisten = \"nowhere\"\n", &[], &[]).unwrap_err();
    assert!(error.starts_with("/allod.toml:2:"), "{error}");
    let error = load_text("", &[("ALLOD_JOBS_REALTIME", "many")], &[]).unwrap_err();
    assert!(
        error.contains("ALLOD_JOBS_REALTIME") && error.contains("`many`"),
        "{error}"
    );
    let error = load_text("", &[("ALLOD_LOG_FORMAT", "xml")], &[]).unwrap_err();
    assert!(
        error.contains("ALLOD_LOG_FORMAT") && error.contains("json"),
        "{error}"
    );
    assert!(
        load_text("domain = \"not a domain\"", &[], &[])
            .unwrap_err()
            .contains("domain")
    );
    assert!(
        load_text("[jobs]\nrealtime = 0", &[], &[])
            .unwrap_err()
            .contains("between 1 and 200")
    );
}

#[test]
fn an_unknown_variable_is_refused_with_the_nearest_one() {
    let error = load_text("", &[("ALLOD_DATADIR", "/x")], &[]).unwrap_err();
    assert!(
        error.contains("ALLOD_DATADIR") && error.contains("ALLOD_DATA_DIR"),
        "{error}"
    );
}

#[test]
fn every_key_can_be_set_from_the_environment() {
    let shown = Value::try_from(Config {
        domain: Some("a.b".into()),
        public_url: Some("x".into()),
        packs_dir: Some("x".into()),
        recipes_dir: Some("x".into()),
        postgres_bin: Some("x".into()),
        database: Database {
            url: Some("x".into()),
            ..Database::default()
        },
        media: Media {
            bucket: Some("x".into()),
            endpoint: Some("x".into()),
            access_key_id: Some("x".into()),
            secret_access_key: Some("x".into()),
            secret_access_key_file: Some("x".into()),
            ..Media::default()
        },
        ..Config::default()
    })
    .unwrap();
    let mut keys = Vec::new();
    for (key, value) in shown.as_table().unwrap() {
        match value {
            Value::Table(section) => keys.extend(section.keys().map(|inner| format!("{key}.{inner}"))),
            _ => keys.push(key.clone()),
        }
    }
    keys.sort();
    let mut listed: Vec<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    listed.sort();
    assert_eq!(keys, listed);
}

#[test]
fn proxies_are_trusted_by_range_or_address_and_nobody_by_itself() {
    assert!(load_text("", &[], &[]).unwrap().trusted_proxies.is_empty());
    let text = "trusted_proxies = [\"127.0.0.1\", \"10.1.2.3/8\"]\n";
    let config = load_text(text, &[], &[]).unwrap();
    let shown: Vec<_> = config
        .trusted_proxies
        .iter()
        .map(|range| range.0.to_string())
        .collect();
    assert_eq!(shown, ["127.0.0.1/32", "10.0.0.0/8"]);
    let environment = [
        ("ALLOD_TRUSTED_PROXIES", "::1, 192.0.2.0/24"),
        ("ALLOD_METRICS_PUBLIC", "true"),
    ];
    let config = load_text(text, &environment, &[]).unwrap();
    assert_eq!(config.trusted_proxies.len(), 2);
    assert!(config.metrics_public);
    let error = load_text("\ntrusted_proxies = [\"everybody\"]\n", &[], &[]).unwrap_err();
    assert!(
        error.contains("allod.toml:2:") && error.contains("everybody"),
        "{error}"
    );
    let error = load_text("", &[("ALLOD_METRICS_PUBLIC", "yes")], &[]).unwrap_err();
    assert!(error.starts_with("ALLOD_METRICS_PUBLIC: "), "{error}");
}

#[test]
fn a_value_that_makes_no_sense_is_refused_where_it_was_set() {
    let error = load_text("listen = \"127.0.0.1:1\"\n[jobs]\nrealtime = 0\n", &[], &[]).unwrap_err();
    assert!(
        error.starts_with("/allod.toml:3: jobs.realtime: must be between"),
        "{error}"
    );
    let error = load_text("", &[("ALLOD_JOBS_REALTIME", "201")], &[]).unwrap_err();
    assert!(error.starts_with("ALLOD_JOBS_REALTIME: "), "{error}");
    let error = load_text("", &[("DATABASE_URL", "mysql://a:secret@b/c")], &[]).unwrap_err();
    assert!(
        error.starts_with("DATABASE_URL: ") && !error.contains("secret"),
        "{error}"
    );
    for level in ["infoo", "info,=", "", "info,", "spine=loud", "=debug"] {
        let error = load_text(&format!("[log]\nlevel = \"{level}\"\n"), &[], &[]).unwrap_err();
        assert!(error.starts_with("/allod.toml:2: log.level: "), "{error}");
    }
    for level in ["info", "WARN,spine=debug", "off"] {
        assert!(
            load_text(&format!("[log]\nlevel = \"{level}\"\n"), &[], &[]).is_ok(),
            "{level}"
        );
    }
}

#[test]
fn what_is_named_and_not_there_is_told_to_who_asks() {
    let config = load_text(
        "packs_dir = \"/nowhere\"\n[fetch]\nextra_ca = [\"/dev/null\"]\n",
        &[],
        &[],
    )
    .unwrap();
    let missing = config.missing();
    assert!(
        missing[0].starts_with("packs_dir: ") && missing[1].starts_with("fetch.extra_ca: "),
        "{missing:?}"
    );
    assert!(load_text("", &[], &[]).unwrap().missing().is_empty());
}

#[test]
fn a_bucket_needs_its_key_and_the_key_is_never_shown() {
    let text =
        "[media]\nbucket = \"hub-media\"\nendpoint = \"http://10.0.0.5:9000\"\naccess_key_id = \"me\"\n";
    let error = load_text(text, &[], &[]).unwrap_err();
    assert!(error.contains("ALLOD_MEDIA_SECRET_ACCESS_KEY"), "{error}");
    let config = load_text(text, &[("ALLOD_MEDIA_SECRET_ACCESS_KEY", "hunter2")], &[]).unwrap();
    assert_eq!(config.media.secret_access_key.as_deref(), Some("hunter2"));
    let shown = toml::to_string(&config.without_secrets()).unwrap();
    assert!(
        shown.contains("hub-media") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(!format!("{config:?}").contains("hunter2"));
    for (key, value, why) in [
        ("endpoint", "\"ftp://x\"", "https://"),
        ("endpoint", "\"https://me:hunter2@x\"", "https://"),
        ("bucket", "\"a b\"", "bucket"),
        ("prefix", "\"/x\"", "prefix"),
        ("file_bytes_max", "6000000000", "file_bytes_max"),
        ("grace_days", "99999", "grace_days"),
    ] {
        let text =
            "[media]\nbucket = \"hub-media\"\naccess_key_id = \"me\"\nsecret_access_key = \"hunter2\"\n";
        let text = if key == "bucket" {
            text.replace("\"hub-media\"", value)
        } else {
            format!("{text}{key} = {value}\n")
        };
        let error = load_text(&text, &[], &[]).unwrap_err();
        assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
    }
    assert!(
        load_text("[media]\nendpoint = \"https://x.example\"\n", &[], &[]).is_err(),
        "no bucket"
    );
}
