//! The command line as its owner sees it at a real hub: pages, times of her clock, what is refused and what to do then.

use contracts::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::{Hub, Shown};

/// Alice's hub; she lives in Vienna.
fn alices() -> Hub {
    let hub = Hub::start();
    hub.cli(&[
        "account",
        "create",
        "alice",
        "--name",
        "Alice",
        "--zone",
        "Europe/Vienna",
    ]);
    hub
}

fn id(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_owned()
}

/// All of these are in what was shown.
fn holds(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
}

fn refused(hub: &Hub, arguments: &[&str], code: i32, parts: &[&str]) {
    let Shown {
        code: ended,
        out,
        err,
    } = hub.person(arguments);
    assert_eq!((ended, out.as_str()), (code, ""), "{arguments:?}: {err}");
    holds(&err, parts);
}

/// A file that Alice imports.
fn import(hub: &Hub, name: &str, text: &str) {
    let file = hub.dir().join(name);
    std::fs::write(&file, text).unwrap();
    hub.cli(&["import", file.to_str().unwrap(), "--wait"]);
}

#[test]
fn a_long_list_says_that_there_is_more_and_what_to_type_for_it() {
    let hub = alices();
    for number in 1..=5 {
        hub.cli(&["entity", "add", "Place", &format!("Bar {number}")]);
    }
    let first = hub.person(&["entity", "list", "--type", "Place", "--name", "bar", "-n", "2"]);
    assert_eq!(first.out.lines().count(), 3, "{}", first.out);
    holds(&first.out, &["Bar 5", "Bar 4"]);
    holds(
        &first.err,
        &[
            "2 shown, there are more: allod entity list --type Place --name bar -n 2",
            "--all",
        ],
    );
    // What it says to type, typed.
    let cursor = first
        .err
        .split("--cursor ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let second = hub.person(&["entity", "list", "--type", "Place", "-n", "2", "--cursor", cursor]);
    holds(&second.out, &["Bar 3", "Bar 2"]);
    let all = hub.person(&["entity", "list", "--type", "Place", "--all"]);
    assert_eq!(
        (all.out.lines().count(), all.err.as_str()),
        (6, ""),
        "{}",
        all.out
    );
    let page = hub.cli(&["entity", "list", "--type", "Place", "-n", "2"]);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert!(page["next_cursor"].is_string(), "{page}");
    let none = hub.person(&["entity", "list", "--name", "nobody"]);
    holds(&none.out, &["nothing like that", "--deleted"]);
    for _ in 0..3 {
        hub.cli(&["task", "add", "Chore"]);
    }
    holds(
        &hub.person(&["task", "list", "--name", "CHORE", "-n", "1"]).err,
        &["there are more"],
    );
    refused(
        &hub,
        &["entity", "list", "--type", "Persn"],
        1,
        &["did you mean Person?"],
    );
    refused(&hub, &["entity", "list", "-n", "0"], 2, &["--limit"]);
}

#[test]
fn what_was_deleted_says_so_and_comes_back() {
    let hub = alices();
    let kim = id(&hub.cli(&["entity", "add", "Person", "Kim"]));
    holds(
        &hub.person(&["entity", "delete", &kim]).out,
        &["allod entity restore", &kim],
    );
    let told = hub.person(&["entity", "show", &kim]);
    assert_eq!(told.code, 1);
    holds(
        &told.err,
        &["Person Kim was deleted at 20", "allod entity restore", &kim],
    );
    assert!(
        told.err.contains(" +01:00") || told.err.contains(" +02:00"),
        "by Vienna's clock: {}",
        told.err
    );
    holds(&hub.person(&["entity", "list", "--deleted"]).out, &["Kim", "you"]);
    assert_eq!(hub.person(&["entity", "restore", &kim]).code, 0);
    assert!(
        hub.person(&["entity", "list", "--deleted"])
            .out
            .contains("nothing like that was deleted")
    );
    holds(&hub.person(&["entity", "show", &kim]).out, &["Kim  ·  Person"]);
}

#[test]
fn a_page_tells_what_is_known_who_said_so_and_how_it_came_about() {
    let hub = alices();
    let card = "BEGIN:VCARD\r\nVERSION:4.0\r\nUID:1\r\nFN:Sam Miller\r\nTEL:+14155552671\r\nNOTE:evil \u{1b}]0;x\u{7}\r\nEND:VCARD\r\n";
    import(&hub, "sam.vcf", card);
    let sam = hub.cli(&["entity", "list", "--name", "miller"]);
    let sam = id(&sam["items"][0]);
    hub.cli(&[
        "entity",
        "edit",
        &sam,
        "--set",
        "nickname=007",
        "--tel",
        "+14155552671",
    ]);
    let edge = id(&hub.cli(&["relation", "add", "me", "partner", &sam]));
    let page = hub.person(&["entity", "show", &sam]).out;
    holds(
        &page,
        &[
            "Sam Miller  ·  Person",
            "nickname  007",
            "you",
            "import/vcard",
            "partner of: Alice (",
        ],
    );
    assert!(!page.contains('{') && !page.contains('\u{1b}'), "{page}");
    assert_eq!(page.matches("+14155552671").count(), 1, "{page}");
    holds(&page, &["(import/vcard, you)"]);
    let history = hub.person(&["entity", "history", &sam]).out;
    holds(&history, &["nickname=007", "name=Sam Miller"]);
    let before = hub.person(&["entity", "history", &sam, "--at", "yesterday"]).out;
    holds(&before, &["nothing was known of it then"]);

    let listed = hub.person(&["relation", "list", "me"]).out;
    holds(&listed, &["partner", "Sam Miller", &edge]);
    assert_eq!(hub.person(&["relation", "remove", &edge]).code, 0);
    holds(
        &hub.person(&["relation", "list", "me"]).out,
        &["allod relation add me"],
    );
}

#[test]
fn what_is_typed_wrong_is_told_with_what_would_be_right() {
    let hub = alices();
    let sam = id(&hub.cli(&["entity", "add", "Person", "Sam"]));
    for (set, parts) in [
        ("birthday=notadate", ["`birthday` must be a day", "1990-05-01"]),
        ("birthdy=1990-05-01", ["did you mean `birthday`?", "birthdy"]),
    ] {
        refused(&hub, &["entity", "edit", &sam, "--set", set], 1, &parts);
    }
    for set in ["nickname=", "nickname=null"] {
        refused(
            &hub,
            &["entity", "edit", &sam, "--set", set],
            2,
            &["--unset nickname"],
        );
    }
    refused(&hub, &["entity", "merge", &sam, &sam], 1, &["merged into itself"]);
    hub.cli(&[
        "entity",
        "edit",
        &sam,
        "--set",
        "birthday=1990-05-01",
        "--set",
        "name=Samuel",
    ]);
    assert_eq!(hub.cli(&["entity", "show", &sam])["title"], "Samuel");
    let unset = hub.cli(&["entity", "edit", &sam, "--unset", "birthday"]);
    assert!(unset["props"].get("birthday").is_none(), "{unset}");
    holds(
        &hub.person(&["entity", "types", "Person"]).out,
        &["birthday", "a day, such as"],
    );

    refused(
        &hub,
        &["timeline", "--since", "yesterdy"],
        2,
        &["--since", "`yesterdy`", "did you mean `yesterday`?", "2h"],
    );
    refused(
        &hub,
        &["entity", "history", "me", "--at", "2026-13-01"],
        2,
        &["--at", "`2026-13-01`"],
    );
    refused(
        &hub,
        &["merges", "list", "--standing", "sugested"],
        2,
        &["--standing", "distinct", "suggested"],
    );
    refused(
        &hub,
        &["entity", "show", "nope"],
        2,
        &["`nope`", "allod entity list"],
    );
    for since in ["2020-10-01", "yesterday", "2h", "monday 9:30"] {
        assert_eq!(hub.person(&["timeline", "--since", since]).code, 0, "{since}");
    }
}

#[test]
fn tasks_and_goals_are_changed_given_up_and_opened_again() {
    let hub = alices();
    let goal = id(&hub.cli(&["goal", "add", "Move house", "--due", "2030-09-01"]));
    let task = hub.cli(&[
        "task",
        "add",
        "Pack",
        "--due",
        "2030-05-01 09:30",
        "--remind",
        "15m",
        "--goal",
        &goal,
    ]);
    assert_eq!(task["due_at"], "2030-05-01T07:30:00Z", "read by Vienna's clock");
    let task = id(&task);
    holds(
        &hub.person(&["task", "list"]).out,
        &["Pack", "2030-05-01 09:30 +02:00"],
    );
    let edit = [
        "task",
        "edit",
        &task,
        "--title",
        "Pack boxes",
        "--due",
        "2030-05-02",
        "--unset",
        "remind",
    ];
    let edited = hub.cli(&edit);
    assert_eq!(
        (&edited["title"], &edited["reminders"]),
        (&json!("Pack boxes"), &json!([]))
    );
    holds(
        &hub.person(&["task", "show", &task]).out,
        &["Pack boxes  ·  open", "due: 2030-05-02\n", "Move house"],
    );
    refused(&hub, &["task", "edit", &task], 2, &["nothing to change"]);
    refused(
        &hub,
        &["task", "edit", &task, "--due", "friday", "--unset", "due"],
        2,
        &["exclude each other"],
    );
    hub.cli(&["task", "cancel", &task]);
    assert_eq!(hub.cli(&["task", "show", &task])["state"], "cancelled");
    hub.cli(&["task", "reopen", &task]);
    assert_eq!(hub.cli(&["task", "show", &task])["state"], "open");

    hub.cli(&["goal", "edit", &goal, "--progress", "0.5", "--title", "Move away"]);
    holds(
        &hub.person(&["goal", "show", &goal]).out,
        &["Move away", "50 %", "Pack boxes", "due: 2030-09-01"],
    );
    assert_eq!(hub.cli(&["goal", "done", &goal])["status"], "completed");
    holds(&hub.person(&["goal", "list"]).out, &["no goals here"]);
    assert_eq!(hub.cli(&["goal", "reopen", &goal])["status"], "needs-action");

    let weekly = [
        "task",
        "add",
        "Water the plants",
        "--due",
        "2030-05-06",
        "--repeat",
        "FREQ=WEEKLY",
    ];
    let weekly = id(&hub.cli(&weekly));
    holds(
        &hub.person(&["task", "reopen", &weekly]).out,
        &["no occurrence of it was done"],
    );
    holds(
        &hub.person(&["task", "done", &weekly]).out,
        &["the next one is due 2030-05-13"],
    );
    holds(
        &hub.person(&["task", "reopen", &weekly]).out,
        &["due 2030-05-06 again"],
    );
    assert_eq!(hub.cli(&["task", "show", &weekly])["due"], "2030-05-06");
}

#[test]
fn what_is_to_come_stands_together_by_the_owners_clock() {
    let hub = alices();
    let in_days = |days: i64| {
        (SystemClock.now() + chrono::Duration::days(days))
            .format("%Y%m%d")
            .to_string()
    };
    let (fair, first, moved) = (in_days(2), in_days(-12), in_days(9));
    let calendar = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Fair\r\nDTSTART;VALUE=DATE:{fair}\r\nEND:VEVENT\r\n\
         BEGIN:VEVENT\r\nUID:2\r\nSUMMARY:Choir\r\nDTSTART;TZID=Europe/Vienna:{first}T190000\r\nRRULE:FREQ=WEEKLY\r\nEND:VEVENT\r\n\
         BEGIN:VEVENT\r\nUID:2\r\nRECURRENCE-ID;TZID=Europe/Vienna:{moved}T190000\r\nSUMMARY:Late choir\r\n\
         DTSTART;TZID=Europe/Vienna:{moved}T203000\r\nEND:VEVENT\r\n\
         END:VCALENDAR\r\n"
    );
    import(&hub, "all.ics", &calendar);
    hub.cli(&[
        "task",
        "add",
        "Ring Sam",
        "--due",
        "tomorrow 9:30",
        "--remind",
        "1h",
    ]);
    let shown = hub.person(&["upcoming"]).out;
    let day = format!("{}-{}-{}  event", &fair[..4], &fair[4..6], &fair[6..]);
    let fair_line = shown.lines().find(|line| line.contains("Fair")).unwrap();
    assert!(
        fair_line
            .split_whitespace()
            .collect::<Vec<_>>()
            .join("  ")
            .starts_with(&day),
        "{shown}"
    );
    holds(
        &shown,
        &[
            "Choir",
            " 19:00 +0",
            " 09:30 +0",
            " 08:30 +0",
            "reminder",
            "Ring Sam",
        ],
    );
    let events = hub.cli(&["upcoming", "--kind", "event", "--until", "3w", "--all"]);
    let count = |title: &str| {
        let items = events["items"].as_array().unwrap();
        items.iter().filter(|one| one["title"] == title).count()
    };
    let counts = (count("Fair"), count("Choir"), count("Late choir"));
    assert_eq!(
        counts,
        (1, 2, 1),
        "a series in its occurrences, the moved one once: {events}"
    );
    let first = hub.cli(&["upcoming", "-n", "1"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = hub.cli(&["upcoming", "-n", "1", "--cursor", cursor]);
    assert_ne!(first["items"][0], second["items"][0]);
}

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
