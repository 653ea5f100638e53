//! Mistakes in a manifest are named where they stand.

use super::*;

const GOOD: &str = r#"id = "shop"
version = "1.0.0"
kind = ["channel", "connector"]
description = "A shop."
script = "shop.rhai"
channels = ["sms"]
entities = ["Message"]
hosts = ["{settings.base_url}", "files.example.com"]

[auth]
scheme = "bearer"
token = "{secrets.token}"

[functions]
send = "send"
reconcile = "reconcile"

[schedule]
reconcile_every_minutes = 15

[[setting]]
name = "base_url"
type = "url"
default = "https://api.example.com"
description = "Where it is."

[[secret]]
name = "token"
description = "The token."

[[webhook]]
name = "sale"
body = "json"
signature = { scheme = "hmac", secret = "token", header = "X-Signature", algorithm = "sha256", prefix = "sha256=" }
function = "on_sale"
"#;

fn refusal(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from} is not in the example");
    read("shop/plugin.toml", "shop", &GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn a_sound_manifest_is_read() {
    let manifest = read("shop/plugin.toml", "shop", GOOD).unwrap();
    assert_eq!(manifest.hosts[0], HostSpec::Setting("base_url".into()));
    assert_eq!(manifest.auth, Some(Auth::Bearer { token: ValueRef::Secret("token".into()) }));
    assert_eq!(manifest.reconcile_every, Some(Duration::from_secs(900)));
    assert_eq!(manifest.webhooks[0].body_max_bytes, 64 * 1024);
    assert!(manifest.serves("sms"));
    assert!(!manifest.serves("log"));
    assert!(manifest.secret("token").unwrap().required, "a secret is needed unless it says otherwise");
}

#[test]
fn a_mistake_is_named_with_line_column_and_the_nearest_that_was_meant() {
    for (from, to, expected) in [
        ("hosts = ", "hots = ", "shop/plugin.toml:8:1: unknown key `hots`; did you mean `hosts`?"),
        ("\"connector\"", "\"conector\"", "shop/plugin.toml:3:20: unknown value `conector`; did you mean `connector`?"),
        ("{settings.base_url}", "{settings.bas_url}", "shop/plugin.toml:8:10: there is no setting `bas_url`; did you mean `base_url`?"),
        ("{secrets.token}", "{secrets.tokn}", "shop/plugin.toml:12:9: there is no secret `tokn`; did you mean `token`?"),
        ("scheme = \"hmac\"", "scheme = \"hmca\"", "shop/plugin.toml:33:24: unknown signature scheme `hmca`; did you mean `hmac`?"),
        ("\"sha256\"", "\"sha265\"", ": unknown algorithm `sha265`; did you mean `sha256`?"),
        ("type = \"url\"", "type = \"uri\"", ": unknown value `uri`; did you mean `url`?"),
        ("https://api.example.com", "api.example.com", "shop/plugin.toml:24:11: the default must be an address"),
        ("files.example.com", "*.com", "is not a host"),
        ("version = \"1.0.0\"", "version = \"1.0\"", "shop/plugin.toml:2:11: a version is three numbers"),
        ("id = \"shop\"", "id = \"other\"", "shop/plugin.toml:1:6: the id must be the folder's name, `shop`"),
        ("id = \"shop\"", "id = \"Shop\"", "shop/plugin.toml:1:6: an id is"),
        ("script = \"shop.rhai\"", "script = \"../shop.rhai\"", "the script is a file of the pack itself"),
        ("reconcile = \"reconcile\"\n", "", "there is a schedule, but no function `reconcile`"),
        ("send = \"send\"\n", "", "a channel names its `channels` and a function `send`"),
        ("= 15", "= 0", "the schedule is 1 to 1440 minutes"),
        ("version = \"1.0.0\"\n", "", "missing field `version`"),
        ("[auth]", "[auth", "shop/plugin.toml:10:"),
    ] {
        let refusal = refusal(from, to);
        assert!(refusal.contains(expected), "{to}:\n got {refusal}\nwant {expected}");
    }
}

#[test]
fn a_default_answer_that_is_no_xml_is_refused() {
    let text = format!("{GOOD}answer = {{ content_type = \"text/xml\", body = \"<Response>\" }}\n");
    let refusal = read("shop/plugin.toml", "shop", &text).unwrap_err().to_string();
    assert!(refusal.contains("the body is not XML"), "{refusal}");
}
