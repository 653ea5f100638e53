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
    read("shop/plugin.toml", "shop", &GOOD.replacen(from, to, 1))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_sound_manifest_is_read() {
    let manifest = read("shop/plugin.toml", "shop", GOOD).unwrap();
    assert_eq!(manifest.hosts[0], HostSpec::Setting("base_url".into()));
    assert_eq!(
        manifest.auth,
        Some(Auth::Bearer {
            token: ValueRef::Secret("token".into())
        })
    );
    assert_eq!(manifest.reconcile_every, Some(Duration::from_secs(900)));
    assert_eq!(manifest.webhooks[0].body_max_bytes, 64 * 1024);
    assert!(manifest.serves("sms"));
    assert!(!manifest.serves("log"));
    assert!(
        manifest.secret("token").unwrap().required,
        "a secret is needed unless it says otherwise"
    );
}

#[test]
fn a_mistake_is_named_with_line_column_and_the_nearest_that_was_meant() {
    for (from, to, expected) in [
        (
            "hosts = ",
            "hots = ",
            "shop/plugin.toml:8:1: unknown key `hots`; did you mean `hosts`?",
        ),
        (
            "\"connector\"",
            "\"conector\"",
            "shop/plugin.toml:3:20: unknown value `conector`; did you mean `connector`?",
        ),
        (
            "{settings.base_url}",
            "{settings.bas_url}",
            "shop/plugin.toml:8:10: there is no setting `bas_url`; did you mean `base_url`?",
        ),
        (
            "{secrets.token}",
            "{secrets.tokn}",
            "shop/plugin.toml:12:9: there is no secret `tokn`; did you mean `token`?",
        ),
        (
            "scheme = \"hmac\"",
            "scheme = \"hmca\"",
            "shop/plugin.toml:34:24: unknown signature scheme `hmca`; did you mean `hmac`?",
        ),
        (
            "\"sha256\"",
            "\"sha265\"",
            ": unknown algorithm `sha265`; did you mean `sha256`?",
        ),
        (
            "type = \"url\"",
            "type = \"uri\"",
            ": unknown value `uri`; did you mean `url`?",
        ),
        (
            "https://api.example.com",
            "api.example.com",
            "shop/plugin.toml:24:11: the default must be an address",
        ),
        ("files.example.com", "*.com", "is not a host"),
        (
            "version = \"1.0.0\"",
            "version = \"1.0\"",
            "shop/plugin.toml:2:11: a version is three numbers",
        ),
        (
            "id = \"shop\"",
            "id = \"other\"",
            "shop/plugin.toml:1:6: the id must be the folder's name, `shop`",
        ),
        ("id = \"shop\"", "id = \"Shop\"", "shop/plugin.toml:1:6: an id is"),
        (
            "script = \"shop.rhai\"",
            "script = \"../shop.rhai\"",
            "the script is a file of the pack itself",
        ),
        (
            "reconcile = \"reconcile\"\n",
            "",
            "there is a schedule, but no function `reconcile`",
        ),
        (
            "send = \"send\"\n",
            "",
            "a channel names its `channels` and a function `send`",
        ),
        ("= 15", "= 0", "the schedule is 1 to 1440 minutes"),
        ("version = \"1.0.0\"\n", "", "missing field `version`"),
        ("[auth]", "[auth", "shop/plugin.toml:10:"),
    ] {
        let refusal = refusal(from, to);
        assert!(
            refusal.contains(expected),
            "{to}:\n got {refusal}\nwant {expected}"
        );
    }
}

const STREAM: &str = "
[[stream]]
name = \"sales\"
function = \"sync_sales\"
modes = [\"full\", \"incremental\", \"push\"]
every_minutes = 30
";

#[test]
fn a_stream_is_read_and_a_mistake_in_it_named_where_it_stands() {
    let with = |stream: &str| read("shop/plugin.toml", "shop", &format!("{GOOD}{stream}"));
    let manifest = with(STREAM).unwrap();
    let stream = manifest.stream("sales").unwrap();
    assert_eq!(stream.modes, [Mode::Full, Mode::Incremental]);
    assert!(stream.pushed && stream.every == Some(Duration::from_secs(1800)));
    for (from, to, expected) in [
        (
            "\"incremental\"",
            "\"incremental_\"",
            "shop/plugin.toml:40:18: unknown mode `incremental_`; did you mean `incremental`?",
        ),
        ("\"full\", ", "", "every stream can be read from its beginning"),
        (
            "every_minutes = 30",
            "evry_minutes = 30",
            "shop/plugin.toml:41:1: unknown key `evry_minutes`; did you mean `every_minutes`?",
        ),
        (
            "every_minutes = 30",
            "every_minutes = 0",
            "shop/plugin.toml:41:17: this is 1 to 44640 minutes",
        ),
        (
            "every_minutes = 30",
            "reconcile_every_hours = 3",
            "`modes` does not name \"reconcile\"",
        ),
        (
            "every_minutes = 30",
            "lane = \"alive\"",
            "unknown lane `alive`; did you mean `live`?",
        ),
        (
            "every_minutes = 30",
            "found_by = \"sale\"",
            "there is no stream `sale`; did you mean `sales`?",
        ),
        (
            "every_minutes = 30",
            "found_by = \"sales\"",
            "a stream is found by another one",
        ),
        ("function = \"sync_sales\"\n", "", "a stream names the `function`"),
    ] {
        assert!(STREAM.contains(from), "{from}");
        let refusal = with(&STREAM.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(
            refusal.contains(expected),
            "{to}:\n got {refusal}\nwant {expected}"
        );
    }
}

#[test]
fn a_manifest_has_a_script_or_names_a_connector_that_is_built_in() {
    let mailbox = "id = \"mailbox\"\nversion = \"1.0.0\"\nkind = [\"connector\"]\ndescription = \"x\"\n";
    let with = |more: &str| read("mailbox/plugin.toml", "mailbox", &format!("{mailbox}{more}"));
    assert_eq!(
        with("connector = \"imap\"\n").unwrap().code,
        Code::BuiltIn("imap".into())
    );
    for (more, expected) in [
        ("", "missing field `script`"),
        (
            "connector = \"imap\"\nscript = \"x.rhai\"\n",
            "mailbox/plugin.toml:5:13: a plugin has a `script` or",
        ),
        (
            "connector = \"imap\"\n[[stream]]\nname = \"mail\"\nmodes = [\"full\"]\nfunction = \"f\"\n",
            "no functions of its own",
        ),
    ] {
        let refusal = with(more).unwrap_err().to_string();
        assert!(
            refusal.contains(expected),
            "{more}:\n got {refusal}\nwant {expected}"
        );
    }
}

#[test]
fn a_signature_scheme_says_what_it_lacks() {
    let hmac = "scheme = \"hmac\", secret = \"token\", header = \"X-Signature\", algorithm = \"sha256\", prefix = \"sha256=\"";
    for (scheme, expected) in [
        ("scheme = \"token\", secret = \"token\"", "needs `query`"),
        (
            "scheme = \"token\", secret = \"tokn\", query = \"t\"",
            "there is no secret `tokn`; did you mean `token`?",
        ),
        (
            "scheme = \"stripe\", secret = \"token\", tolerance_s = 5",
            "the tolerance is 10 to 3600 seconds",
        ),
        (
            "scheme = \"strype\", secret = \"token\"",
            "did you mean `stripe`?",
        ),
        (
            "scheme = \"hmac\", secret = \"token\", header = \"X-S\", template = \"{body}\"",
            "needs `timestamp_header`",
        ),
        (
            "scheme = \"hmac\", secret = \"token\", header = \"X-S\", timestamp_header = \"X-T\", template = \"{body}\"",
            "each once",
        ),
    ] {
        let refusal = refusal(hmac, scheme);
        assert!(
            refusal.contains(expected),
            "{scheme}:\n got {refusal}\nwant {expected}"
        );
    }
    for scheme in [
        "scheme = \"stripe\", secret = \"token\"",
        "scheme = \"msgraph\", secret = \"token\"",
    ] {
        assert!(
            read("shop/plugin.toml", "shop", &GOOD.replacen(hmac, scheme, 1)).is_ok(),
            "{scheme}"
        );
    }
}

#[test]
fn a_default_answer_that_is_no_xml_is_refused() {
    let text = format!("{GOOD}answer = {{ content_type = \"text/xml\", body = \"<Response>\" }}\n");
    let refusal = read("shop/plugin.toml", "shop", &text).unwrap_err().to_string();
    assert!(refusal.contains("the body is not XML"), "{refusal}");
}
