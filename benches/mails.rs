//! A mailbox into the graph: a generated mbox is uploaded to a real hub, which reads, keeps and understands each mail.
//! From the moment at which the import begins to the one at which it is finished; the hub's memory is read each second.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};

use crate::client::Upload;
use crate::hub::{Home, Hub};
use crate::mailbox::{Mailbox, OWNER};
use crate::measure::{Measure, Spread};

const MAILS: u64 = 200_000;
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
/// Memory is compared from here on: caches are full and connections made.
const WARM: f64 = 0.1;

pub(crate) struct Sample {
    /// How much is understood, 0 to 1.
    pub(crate) done: f64,
    pub(crate) resident: f64,
    pub(crate) anonymous: f64,
}

pub(crate) async fn run(size: f64) -> Vec<Measure> {
    let mails = ((MAILS as f64 * size) as u64).max(1_000);
    let home = Home::new();
    let hub = Hub::start(&home).await;
    let account = json!({ "handle": "bench" });
    hub.client.post("/accounts", &account).await.unwrap();
    let client = hub.client.with_account("bench");
    let address = json!({ "identifiers": [{ "scheme": "email", "value": OWNER }] });
    client.patch("/entities/me", &address).await.unwrap();
    let mut counted = Mailbox::new(mails);
    let bytes: usize = counted.by_ref().map(|chunk| chunk.len()).sum();
    let frames = Mailbox::new(mails).map(|chunk| Ok::<_, std::io::Error>(Frame::data(Bytes::from(chunk))));
    let upload: Upload = StreamBody::new(stream::iter(frames)).boxed();
    let answer = client
        .stream(
            Method::POST,
            "/imports?type=mbox&filename=bench.mbox",
            Some(upload),
        )
        .await
        .unwrap();
    let answer = answer.collect().await.unwrap().to_bytes();
    let import: Value = serde_json::from_slice(&answer).unwrap();
    let path = format!("/imports/{}", import["id"].as_str().unwrap());
    let before = hub.cpu_seconds();
    let mut samples = Vec::new();
    let (import, after) = tokio::time::timeout(PATIENCE, async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let import = client.get(&path).await.unwrap();
            let (resident, anonymous) = hub.memory();
            let done = import["position"].as_f64().unwrap() / bytes as f64;
            samples.push(Sample {
                done,
                resident,
                anonymous,
            });
            match import["state"].as_str().unwrap() {
                "waiting" | "running" => {}
                "finished" => break (import, hub.cpu_seconds()),
                other => panic!("the import is {other}: {}", import["reason"]),
            }
        }
    })
    .await
    .expect("the import ends");
    let number = |name: &str| import[name].as_u64().unwrap();
    assert_eq!(
        (number("new"), number("parked")),
        (mails, 0),
        "every mail is understood"
    );
    let last = format!(
        "/entities?identifier=mail.message-id:{}",
        Mailbox::message_id(mails - 1)
    );
    let found = client.get(&last).await.unwrap();
    assert_eq!(
        found["items"].as_array().unwrap().len(),
        1,
        "the last mail is found by its id"
    );
    let time =
        |name: &str| -> chrono::DateTime<chrono::Utc> { import[name].as_str().unwrap().parse().unwrap() };
    let seconds = (time("finished_at") - time("started_at")).as_seconds_f64();
    hub.stop().await;
    let entities = mails + counted.begun + Mailbox::people();
    let per_mail = |cpu: f64| cpu * 1_000.0 / mails as f64;
    let mut measures = vec![
        Measure::per_second("mails of an mbox into the finished graph", mails as f64 / seconds)
            .note(format!(
                "{mails} mails, {:.0} MB, in {seconds:.0} s; processor time a mail: hub {:.2} ms, database {:.2} ms",
                bytes as f64 / 1e6,
                per_mail(after.0 - before.0),
                per_mail(after.1 - before.1)
            ))
            .at_least(1_000.0),
        Measure::per_second("the same in entities", entities as f64 / seconds).note(format!(
            "messages, {} conversations, {} people",
            counted.begun,
            Mailbox::people()
        )),
    ];
    measures.extend(memory(&samples));
    measures
}

/// How far memory grows once it is warm: the median of the last tenth beside that of the second.
pub(crate) fn memory(samples: &[Sample]) -> Option<Measure> {
    let median = |of: &dyn Fn(&Sample) -> bool| {
        let values: Vec<f64> = samples
            .iter()
            .filter(|one| of(one))
            .map(|one| one.anonymous)
            .collect();
        (!values.is_empty()).then(|| Spread::of(values).median)
    };
    let early = median(&|one| one.done >= WARM && one.done < 2.0 * WARM)?;
    let late = median(&|one| one.done >= 1.0 - WARM)?;
    let most = samples.iter().map(|one| one.resident).fold(0.0, f64::max);
    Some(
        Measure::new("the hub's own memory grows over these mails by", (late - early).max(0.0), "MB")
            .note(format!(
                "RssAnon {early:.0} MB in the second tenth, {late:.0} MB in the last; {most:.0} MB resident at the most"
            ))
            .at_most(16.0),
    )
}
