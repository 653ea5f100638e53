//! `allod rule trace`: a run, and what became of the messages that it ordered.
//!
//! The run is the rules' word, the job the queue's, the attempts those of the channels: each is asked where it is known.

use serde_json::Value;

use crate::client::{Client, ClientError, escape};
use crate::render;

/// A run's trace, with the job of each message as it is now and the attempts that were made.
pub(crate) async fn of_run(client: &Client, run: &str) -> Result<Value, ClientError> {
    let mut trace = client.get(&format!("/runs/{}", escape(run))).await?;
    for step in trace["steps"].as_array_mut().into_iter().flatten() {
        if let Some(job) = step["job"].as_str() {
            let path = format!("/jobs/{}", escape(job));
            step["job_now"] = known(client.get(&path).await)?;
        }
        if let Some(message) = step["message"].as_str() {
            let path = format!("/messages/{}", escape(message));
            step["attempts"] = known(client.get(&path).await)?["attempts"].take();
        }
    }
    Ok(trace)
}

/// Null for what is gone by now: jobs are removed some time after their end, and owners delete messages.
fn known(answer: Result<Value, ClientError>) -> Result<Value, ClientError> {
    match answer {
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(Value::Null),
        answer => answer,
    }
}

/// A run as people read it, in the order in which it happened.
pub(crate) fn show(run: &Value) {
    let cell = |path| render::cell(run, path);
    render::line(format!(
        "run {}  rule {}  {}  {}",
        cell("id"),
        cell("rule"),
        cell("status"),
        cell("reason")
    ));
    render::line(format!("correlation {}", cell("correlation")));
    render::line(format!(
        "came in   {}  {}",
        render::time(&run["event"]["occurred_at"]),
        render::cell(run, "event.type")
    ));
    render::line(format!("          {}", run["event"]["body"]));
    for step in render::list(&run["steps"]) {
        show_step(step);
    }
    for answer in render::list(&run["answers"]) {
        let cell = |path| render::cell(answer, path);
        render::line(format!(
            "answered  {}  {}  {}",
            render::time(&answer["at"]),
            cell("what"),
            answer["detail"]
        ));
    }
}

fn show_step(step: &Value) {
    let cell = |path| render::cell(step, path);
    render::line(format!(
        "{:<9} {}  {}",
        cell("kind"),
        render::time(&step["at"]),
        cell("what")
    ));
    if !step["value"].is_null() {
        render::line(format!("          = {}", step["value"]));
    }
    if !cell("job").is_empty() {
        render::line(format!(
            "          job {} {}",
            cell("job"),
            job_now(&step["job_now"])
        ));
    }
    for attempt in render::list(&step["attempts"]) {
        render::line(format!("          {}", attempt_now(attempt)));
    }
}

/// Where a job stands, in words.
fn job_now(job: &Value) -> String {
    let cell = |path| render::cell(job, path);
    let tries = format!("try {} of {}", cell("attempts"), cell("attempts_max"));
    let said = || {
        // The queue keeps an error as an object with a message.
        let output = &job["output"];
        render::text(output.get("message").unwrap_or(output))
    };
    let at = |key: &str| render::time(&job[key]);
    match job["state"].as_str() {
        None => "is gone: jobs are removed some time after their end".to_owned(),
        Some("created") => format!("is created, to be started from {}", at("start_after")),
        Some("active") => format!("is active since {}, {tries}", at("started_on")),
        Some("completed") => format!("is completed at {}, {tries}", at("completed_on")),
        Some("retry") => format!(
            "will be tried again at {}, {tries}: {}",
            at("start_after"),
            said()
        ),
        Some(state) => format!("is {state} at {}, {tries}: {}", at("completed_on"), said()),
    }
}

/// What became of an attempt, in words.
fn attempt_now(attempt: &Value) -> String {
    let cell = |path| render::cell(attempt, path);
    let mut said = format!(
        "attempt {} by {}: {}",
        render::time(&attempt["created_at"]),
        cell("plugin"),
        cell("state")
    );
    for (word, key) in [("as", "remote_id"), ("at", "finished_at"), ("because:", "reason")] {
        if key == "finished_at" && !attempt[key].is_null() {
            said.push_str(&format!(" {word} {}", render::time(&attempt[key])));
        } else if !attempt[key].is_null() {
            said.push_str(&format!(" {word} {}", cell(key)));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_is_gone_is_said_to_be_gone() {
        assert!(job_now(&Value::Null).starts_with("is gone"));
    }

    #[test]
    fn a_failed_job_tells_its_last_error_and_a_waiting_one_when_it_comes_again() {
        let mut job = json!({
            "state": "failed", "attempts": 2, "attempts_max": 2, "completed_on": "2026-11-21T10:00:00Z",
            "start_after": "2026-11-21T10:05:00Z", "output": { "message": "HTTP 500" },
        });
        assert_eq!(
            job_now(&job),
            "is failed at 2026-11-21 10:00:00.000 +00:00, try 2 of 2: HTTP 500"
        );
        job["state"] = json!("retry");
        let waiting = job_now(&job);
        assert_eq!(
            waiting,
            "will be tried again at 2026-11-21 10:05:00.000 +00:00, try 2 of 2: HTTP 500"
        );
    }

    #[test]
    fn a_refused_attempt_tells_why() {
        let attempt = json!({
            "created_at": "2026-11-21T10:00:00Z", "plugin": "twilio", "state": "refused", "remote_id": null,
            "finished_at": "2026-11-21T10:00:01Z", "reason": "HTTP 400",
        });
        let said = attempt_now(&attempt);
        assert_eq!(
            said,
            "attempt 2026-11-21 10:00:00.000 +00:00 by twilio: refused at 2026-11-21 10:00:01.000 +00:00 because: HTTP 400"
        );
    }
}
