//! A real hub, killed with SIGKILL between object and row, and what it has when it lives again.

use serde_json::Value;

use crate::support::{Hub, eventually};

fn file(hub: &Hub, name: &str, bytes: &[u8]) -> String {
    let path = hub.dir().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Contents, missing ones, objects of nobody.
fn counts(report: &Value) -> [i64; 3] {
    ["contents", "missing", "orphans"].map(|name| report[name].as_i64().unwrap())
}

#[test]
fn rows_and_objects_agree_wherever_the_hub_was_killed() {
    let mut hub = Hub::start();
    hub.cli(&["account", "create", "alice"]);
    let diary = file(&hub, "diary.txt", b"dear diary");

    hub.arm("media: the object is put");
    hub.try_cli(&["media", "add", &diary], "").unwrap_err();
    hub.revive();
    assert_eq!(
        counts(&hub.cli(&["media", "check"])),
        [0, 0, 1],
        "an object without a row"
    );
    let kept = hub.cli(&["media", "add", &diary]);
    assert_eq!(
        counts(&hub.cli(&["media", "check"])),
        [1, 0, 1],
        "it is kept under another name; the sweep takes the first"
    );

    hub.arm("media: the object is removed");
    // It may be killed before it has answered.
    let _ = hub.try_cli(&["media", "remove", kept[0]["id"].as_str().unwrap()], "");
    hub.revive();
    let gone = || counts(&hub.cli(&["media", "check"])) == [0, 0, 1];
    eventually("the removal is finished", || gone().then_some(()));
    assert_eq!(hub.cli(&["media", "list"])["items"].as_array().unwrap().len(), 0);

    let pixel = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, super::PIXEL).unwrap();
    let picture = file(&hub, "pixel.png", &pixel);
    hub.arm("media: the renditions are put");
    let _ = hub.try_cli(&["media", "add", &picture], "");
    hub.revive();
    let kept = hub.cli(&["media", "list"]);
    let id = kept["items"][0]["id"].as_str().unwrap();
    let seen = eventually("it is looked into after all", || {
        let now = hub.cli(&["media", "show", id]);
        (now["processed"] == true).then_some(now)
    });
    assert_eq!(seen["width"], 1);
    let out = hub.dir().join("out.png");
    hub.cli(&["media", "get", id, "-o", out.to_str().unwrap()]);
    assert_eq!(std::fs::read(out).unwrap(), pixel);
    assert_eq!(counts(&hub.cli(&["media", "check"])), [1, 0, 1]);
}
