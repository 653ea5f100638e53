//! The database of a real hub hangs for some seconds. Webhooks are told to come again; the hub waits and recovers by
//! itself; and a call of which the provider speaks no second time is fetched from its history.

mod history;
mod postgres;

use std::time::Duration;

use serde_json::Value;

use crate::support::{eventually, http};
use crate::webhooks::{Story, call, story_with};
use history::History;
use postgres::Frozen;

const SAM: &str = "+14158675309";

/// A rule that texts whoever calls, unless the hub hears of it too late.
fn add_rule(story: &Story, id: &str, max_age: &str) {
    let source = format!(
        r#"//! Texts whoever calls.
const RULE = #{{
    id: "{id}", on: "communication.CallStarted", mode: "single", key: "from.address",
    limit: "5 per 1h per from.address", grants: ["sms.send"], max_age: "{max_age}",
}};

fn then(ev, inputs) {{ sms.send(ev.from, "{id}"); }}
"#
    );
    story.hub.try_cli(&["rule", "add", "-"], &source).unwrap();
    story.hub.cli(&["rule", "enable", id]);
}

/// The runs of a rule.
fn runs(story: &Story, rule: &str) -> Vec<Value> {
    let runs = story.hub.cli(&["rule", "runs", "--rule", rule]);
    runs["items"].as_array().unwrap().clone()
}

#[test]
fn a_call_that_came_while_the_database_hung_is_fetched_afterwards_and_a_rule_knows_how_late_it_is() {
    let provider = History::start();
    let base = format!("base_url={}", provider.url());
    let story = story_with(&["--set", &base, "--allow-range", "127.0.0.0/8"]);
    add_rule(&story, "patient", "10m");
    add_rule(&story, "hasty", "1s");
    let address = &story.hub.address;
    assert_eq!(http(address, "GET", "/health/ready", &[], b"").status, 200);
    std::thread::sleep(Duration::from_secs(2)); // the provider tells whole seconds: the call is after the connection

    let frozen = Frozen::of(&story.hub);
    std::thread::sleep(Duration::from_secs(2)); // what was under way hangs
    for n in 1..=2 {
        let answer = story.deliver_signed(address, &call("CA1", SAM));
        assert_eq!(answer.status, 503, "try {n}: {}", answer.body);
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
    }
    let ready = http(address, "GET", "/health/ready", &[], b"");
    assert_eq!(ready.status, 503, "{}", ready.body);
    let parts: Value = serde_json::from_str(&ready.body).unwrap();
    let parts = parts["parts"].as_array().unwrap();
    let database = parts.iter().find(|part| part["name"] == "database").unwrap();
    assert_eq!(database["ok"], false, "{database}");
    assert_eq!(
        http(address, "GET", "/health/live", &[], b"").status,
        200,
        "the hub itself is alive"
    );
    provider.has_call("CA1", SAM, "+14155550123");
    drop(frozen);

    // The provider does not come again: the hub asks.
    eventually("the call is fetched", || (story.calls() == 1).then_some(()));
    eventually("the hub is ready again", || {
        (http(address, "GET", "/health/ready", &[], b"").status == 200).then_some(())
    });
    let done = |rule| eventually("the rule looked at the call", || runs(&story, rule).pop());
    let (patient, hasty) = (done("patient"), done("hasty"));
    assert_eq!(patient["status"], "completed", "{patient}");
    assert_eq!(hasty["status"], "skipped", "{hasty}");
    assert!(
        hasty["reason"].as_str().unwrap().starts_with("too late: "),
        "{hasty}"
    );
    let trace = story.hub.cli(&["rule", "trace", hasty["id"].as_str().unwrap()]);
    assert_eq!(trace["steps"][0]["what"], "max_age 1s", "{trace}");

    // What was in time is sent, once, and its trace tells how the job ended and what the provider answered.
    let patient = patient["id"].as_str().unwrap();
    let step = eventually("the job is completed", || {
        let trace = story.hub.cli(&["rule", "trace", patient]);
        let mut steps = trace["steps"].as_array().unwrap().iter();
        let step = steps.find(|step| step["kind"] == "effect").unwrap().clone();
        (step["job_now"]["state"] == "completed").then_some(step)
    });
    assert_eq!(step["job_now"]["attempts"], 1, "{step}");
    assert_eq!(step["attempts"][0]["remote_id"], "SM1", "{step}");
    assert_eq!(provider.texts(), ["patient"]);

    // Told again, late and by both ways, it changes nothing.
    assert_eq!(story.deliver_signed(address, &call("CA1", SAM)).status, 200);
    assert_eq!(story.calls(), 1);
    assert_eq!(story.events("communication.CallStarted").len(), 1);
    assert_eq!((runs(&story, "patient").len(), provider.texts().len()), (1, 1));
}
