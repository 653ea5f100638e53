//! Long lists at a real hub's command line: page by page to their end, as each page says.

use serde_json::Value;

use crate::command_line::{alices, holds, refused};
use crate::support::{Hub, Shown, eventually};

/// What it says to type for more, typed.
fn going_on(hub: &Hub, shown: &Shown) -> Shown {
    let (_, more) = shown.err.split_once("more: allod ").expect("what to type");
    let words = more.split_whitespace().take_while(|word| *word != "(or");
    // The hub's folder is among them, and the hub that is asked adds it.
    let (mut command, mut words): (Vec<&str>, _) = (Vec::new(), words);
    while let Some(word) = words.next() {
        if word == "--data-dir" {
            words.next();
        } else {
            command.push(word);
        }
    }
    hub.person(&command)
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
    let second = going_on(&hub, &first);
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
fn the_present_and_the_log_are_walked_a_page_at_a_time_to_their_ends() {
    let hub = alices();
    for key in ["home.a", "home.b", "home.c"] {
        hub.cli(&["state", "set", key, "1"]);
    }
    eventually("three facts", || {
        let facts = hub.cli(&["state"]);
        (facts["items"].as_array()?.len() == 3).then_some(())
    });
    let first = hub.person(&["state", "--prefix", "home.", "-n", "2"]);
    holds(&first.out, &["home.a", "home.b"]);
    let last = going_on(&hub, &first);
    holds(&last.out, &["home.c"]);
    assert_eq!(
        (last.out.lines().count(), last.err.as_str()),
        (2, ""),
        "{}",
        last.out
    );

    let whole = hub.cli(&["event", "tail", "-n", "500"]);
    let whole: Vec<Value> = positions(&whole);
    let (mut walked, mut before): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let mut command = vec!["event", "tail", "-n", "2"];
        command.extend(before.iter().flat_map(|before| ["--before", before]));
        let page = hub.cli(&command);
        walked.splice(0..0, positions(&page));
        before = match &page["next_before"] {
            Value::Null => break,
            next => Some(next.to_string()),
        };
    }
    assert_eq!(walked[..whole.len()], whole, "what came meanwhile is newer");
    let newest = hub.person(&["event", "tail", "-n", "2"]);
    let older = going_on(&hub, &newest);
    assert_eq!(older.code, 0, "{}", older.err);
    assert_ne!(older.out, newest.out);
}

fn positions(events: &Value) -> Vec<Value> {
    let events = events["items"].as_array().unwrap().iter();
    events.map(|event| event["position"].clone()).collect()
}
