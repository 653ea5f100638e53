//! Packs at the command line: a new one is written and checked, those that are installed say what they want.

use crate::command_line::{alices, holds, refused};

#[test]
fn somebody_writes_a_pack_and_is_told_where_its_mistakes_are() {
    let dir = spine::testing::TempDir::new();
    let allod = |arguments: &[&str]| {
        let ended = std::process::Command::new(crate::support::binary())
            .args(arguments)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        (ended.status.code(), text)
    };
    let (code, said) = allod(&["plugin", "new", "my-shop"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = allod(&["plugin", "check", "my-shop"]);
    assert_eq!(code, Some(0), "{said}");
    holds(
        &said,
        &[
            "may reach: {settings.base_url}",
            "token (needed)",
            "items (every 60 min)",
            "no mistakes",
        ],
    );
    for (name, why) in [
        ("my-shop", "exists"),
        ("../out", "can't be the name"),
        ("My", "can't be the name"),
    ] {
        let (code, said) = allod(&["plugin", "new", name]);
        assert!(code != Some(0) && said.contains(why), "{name}: {said}");
    }
    for (file, from, to, expected) in [
        (
            "plugin.toml",
            "entities =",
            "entitys =",
            "my-shop/plugin.toml:8:1: unknown key `entitys`; did you mean `entities`?",
        ),
        (
            "plugin.toml",
            "\"read_page\"",
            "\"read_pages\"",
            "there is no function `read_pages`, which plugin.toml names; did you mean `read_page`?",
        ),
        (
            "my-shop.rhai",
            "fn record(item) {",
            "fn record(item) {{",
            "my-shop/my-shop.rhai:",
        ),
        (
            "my-shop.rhai",
            "fn test(ctx)",
            "fn test(ctx, more)",
            "`test` takes 2 arguments; the hub gives it 1",
        ),
    ] {
        let path = dir.path().join("my-shop").join(file);
        let right = std::fs::read_to_string(&path).unwrap();
        let wrong = right.replacen(from, to, 1);
        assert_ne!(right, wrong);
        std::fs::write(&path, wrong).unwrap();
        let (code, said) = allod(&["plugin", "check", "my-shop"]);
        assert_eq!(code, Some(1), "{said}");
        holds(&said, &[expected]);
        std::fs::write(&path, right).unwrap();
    }
}

#[test]
fn what_is_installed_says_what_it_wants() {
    let hub = alices();
    hub.cli(&["connection", "add", "log", "--name", "diary"]);
    let shown = hub.person(&["plugin", "list"]);
    holds(&shown.out, &["stripe", "diary", "CONNECTIONS"]);
    let shown = hub.person(&["plugin", "show", "stripe"]);
    holds(
        &shown.out,
        &[
            "stripe 1.0.0",
            "signing_secret (needed)",
            "charges (every 60 min)",
            "brings: Transaction",
        ],
    );
    refused(
        &hub,
        &["plugin", "show", "strip"],
        1,
        &["there is no plugin `strip`", "did you mean `stripe`?"],
    );
}
