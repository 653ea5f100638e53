//! What the trace of the run and the chain of events must show.

use serde_json::Value;

use super::{Story, seen, step};
use crate::demo::{DemoError, expect};
use crate::render;

impl Story {
    /// What the rule saw and did.
    pub(in crate::demo) async fn show_trace(&self) -> Result<(), DemoError> {
        let runs = self.runs().await?;
        let run = runs
            .first()
            .map(|run| render::cell(run, "id"))
            .unwrap_or_default();
        let trace = self
            .wait("the job that sent the text is done", async |story| {
                let trace = crate::commands::run_trace(&story.client, &run).await.ok()?;
                (effect(&trace)["job_now"]["state"] == "completed").then_some(trace)
            })
            .await?;
        step("the trace of the run");
        crate::commands::show_trace(&trace);
        expect(
            "the trace shows that the provider accepted the attempt",
            effect(&trace)["attempts"][0]["remote_id"].is_string(),
            &trace.to_string(),
        )?;
        let answered = !render::list(&trace["answers"]).is_empty();
        expect("the trace shows what was answered", answered, &trace.to_string())?;
        let correlation = render::cell(&trace, "correlation");
        let chain = self
            .client
            .get(&format!("/events?correlation={correlation}&limit=100"))
            .await?;
        let types: Vec<_> = render::list(&chain)
            .iter()
            .map(|event| render::cell(event, "type"))
            .collect();
        seen(&format!("the chain of events: {}", types.join(" → ")));
        for wanted in [
            "communication.CallStarted",
            "rules.RunFinished",
            "communication.MessageSent",
            "communication.MessageStatusChanged",
        ] {
            expect(
                &format!("the chain holds {wanted}"),
                types.iter().any(|kind| kind == wanted),
                &types.join(" "),
            )?;
        }
        // From the sending; from its cause, if the provider was quicker than the hub's note of its answer.
        let mut told = render::list(&chain)
            .iter()
            .filter(|event| event["type"] == "communication.MessageStatusChanged");
        let of_the_chain = |id: &Value| render::list(&chain).iter().any(|event| event["id"] == *id);
        expect(
            "the provider's word follows from an event of the chain",
            told.all(|event| of_the_chain(&event["causation"])),
            &types.join(" "),
        )
    }
}

/// The step of a trace in which the text was ordered.
fn effect(trace: &Value) -> &Value {
    let mut steps = render::list(&trace["steps"]).iter();
    steps
        .find(|step| step["kind"] == "effect")
        .unwrap_or(&Value::Null)
}
