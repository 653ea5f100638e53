//! The command line as its owner sees it at a real hub: pages, times of her clock, what is refused and what to do then.

use contracts::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::support::{Hub, Shown};

/// Alice's hub; she lives in Vienna.
pub(crate) fn alices() -> Hub {
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
pub(crate) fn holds(shown: &str, parts: &[&str]) {
    for part in parts {
        assert!(shown.contains(part), "`{part}` is not in:\n{shown}");
    }
}

pub(crate) fn refused(hub: &Hub, arguments: &[&str], code: i32, parts: &[&str]) {
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
fn what_runs_now_is_to_come_until_it_is_over() {
    let hub = alices();
    let in_days = |days: i64, form: &str| {
        let vienna = chrono::FixedOffset::east_opt(3_600).unwrap();
        let then = SystemClock.now().with_timezone(&vienna) + chrono::Duration::days(days);
        then.format(form).to_string()
    };
    let (begin, end, last) = (
        in_days(-3, "%Y%m%d"),
        in_days(4, "%Y%m%d"),
        in_days(3, "%Y-%m-%d"),
    );
    let past = in_days(-2, "%Y%m%d");
    let calendar = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Trip\r\nDTSTART;VALUE=DATE:{begin}\r\n\
         DTEND;VALUE=DATE:{end}\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nSUMMARY:Past\r\nDTSTART;VALUE=DATE:{begin}\r\n\
         DTEND;VALUE=DATE:{past}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    import(&hub, "trip.ics", &calendar);
    let shown = hub.person(&["upcoming"]).out;
    holds(&shown, &[&format!("now, to {last}"), "Trip"]);
    assert!(!shown.contains("Past"), "{shown}");
}

#[test]
fn goals_and_tasks_go_by_their_titles_and_what_can_not_be_is_told_in_words_of_the_command_line() {
    let hub = alices();
    let home = id(&hub.cli(&["goal", "add", "Home"]));
    let paint = hub.cli(&["task", "add", "Paint", "--goal", "home"]);
    assert_eq!(paint["goals"][0]["id"], json!(home));
    let dry = hub.cli(&["task", "add", "Dry", "--after", "Paint"]);
    assert_eq!(dry["depends_on"][0]["id"], paint["id"]);
    let (paint, dry) = (id(&paint), id(&dry));
    refused(
        &hub,
        &["task", "add", "x", "--goal", "nope"],
        2,
        &["no goal is called `nope`", "allod goal list"],
    );
    refused(
        &hub,
        &["task", "edit", &paint, "--after", "dry"],
        1,
        &["wait for each other", "`allod relation remove ID`"],
    );
    refused(&hub, &["task", "add", "x", "--priority", "0"], 2, &["1..=9"]);
    refused(
        &hub,
        &["goal", "edit", &home, "--progress", "2"],
        2,
        &["from 0 to 1", "--unset progress"],
    );
    hub.cli(&["task", "done", &paint]);
    refused(
        &hub,
        &["task", "cancel", &paint],
        1,
        &["is done", &format!("`allod task reopen {paint}`")],
    );
    hub.cli(&["task", "cancel", &dry]);
    refused(
        &hub,
        &["entity", "add", "Person", "Kim", "--set", "birthday=3000-01-01"],
        1,
        &["3000-01-01 hasn't"],
    );
    refused(
        &hub,
        &[
            "task",
            "add",
            "x",
            "--due",
            "2030-05-01",
            "--repeat",
            "FREQ=DAILY;UNTIL=20200101",
        ],
        1,
        &["UNTIL", "leave it out"],
    );
    refused(&hub, &["account", "change", "alice"], 2, &["nothing to change"]);
}

#[test]
fn a_history_tells_when_a_number_came_and_went_and_the_doctor_where_the_hub_listens() {
    let hub = alices();
    let card = |tel: &str| {
        format!("BEGIN:VCARD\r\nVERSION:4.0\r\nUID:sam\r\nFN:Sam\r\n{tel}NOTE:friend\r\nEND:VCARD\r\n")
    };
    import(&hub, "one.vcf", &card("TEL;VALUE=uri:tel:+4930901820\r\n"));
    import(&hub, "two.vcf", &card("TEL;VALUE=uri:tel:+4930901821\r\n"));
    let sam = hub.cli(&["entity", "list", "--type", "Person", "--name", "sam"])["items"][0].clone();
    holds(
        &hub.person(&["entity", "history", &id(&sam)]).out,
        &[
            "tel +4930901820\n",
            "tel +4930901820 taken back",
            "tel +4930901821\n",
        ],
    );
    let now = hub.person(&["entity", "history", &id(&sam), "--at", "now"]);
    holds(&now.out, &["KNOWN BY THEN", "+4930901821"]);
    assert!(!now.out.contains("+4930901820"), "{}", now.out);
    // The hub of a test listens where there was room.
    let status = hub.cli(&["status"]);
    let address = status["hub"]["listen"].as_str().unwrap().to_owned();
    holds(
        &hub.person(&["doctor"]).out,
        &[&format!("the hub listens on {address}")],
    );
}
