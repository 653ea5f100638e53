//! A mailbox by IMAP into the graph: generated mails lie in a Dovecot beside a real hub, which reads all of them for the
//! first time. From the moment at which it is connected to the one at which the reading is at its end.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::dovecot::Dovecot;
use crate::hub::{Home, Hub};
use crate::mailbox::{Mailbox, OWNER};
use crate::mails::{Sample, memory};
use crate::measure::Measure;

const MAILS: u64 = 50_000;
const PATIENCE: Duration = Duration::from_secs(3 * 3600);

pub(crate) async fn run(size: f64) -> Vec<Measure> {
    let mails = ((MAILS as f64 * size) as u64).max(1_000);
    let server = Dovecot::start();
    let (mut mailbox, mut bytes) = (Mailbox::new(mails), 0);
    while let Some(mail) = mailbox.one() {
        bytes += mail.len();
        server.deliver("INBOX", &mail, "S");
    }
    let home = Home::new();
    let hub = Hub::start(&home).await;
    hub.client
        .post("/accounts", &json!({ "handle": "bench" }))
        .await
        .unwrap();
    let client = hub.client.with_account("bench");
    let address = json!({ "identifiers": [{ "scheme": "email", "value": OWNER }] });
    client.patch("/entities/me", &address).await.unwrap();
    let new = json!({
        "plugin": "imap", "name": "mail", "secrets": { "password": server.password() },
        "settings": { "host": "127.0.0.1", "port": server.port, "tls": "none", "user": "alice" },
        "allowed_ranges": ["127.0.0.0/8"],
    });
    let (before, begun) = (hub.cpu_seconds(), Instant::now());
    let made = client.post("/connections", &new).await.unwrap();
    let path = format!("/connections/{}", made["id"].as_str().unwrap());
    let mut samples = Vec::new();
    let stream = tokio::time::timeout(PATIENCE, async {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let shown = client.get(&path).await.unwrap();
            let streams = shown["streams"].as_array().unwrap();
            let Some(stream) = streams.iter().find(|stream| stream["part"] == "INBOX") else {
                continue;
            };
            let (resident, anonymous) = hub.memory();
            samples.push(Sample {
                done: stream["done"].as_f64().unwrap() / mails as f64,
                resident,
                anonymous,
            });
            assert_eq!(stream["failures"], 0, "{stream}");
            if stream["read_at"].is_string() {
                break stream.clone();
            }
        }
    })
    .await
    .expect("the reading ends");
    let (seconds, after) = (begun.elapsed().as_secs_f64(), hub.cpu_seconds());
    assert_eq!(
        (&stream["taken"], &stream["parked"]),
        (&json!(mails), &json!(0)),
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
    hub.stop().await;
    let per_mail = |cpu: f64| cpu * 1_000.0 / mails as f64;
    let mut measures = vec![
        Measure::per_second("mails by IMAP into the finished graph, the first reading", mails as f64 / seconds).note(format!(
            "{mails} mails, {:.0} MB, in {seconds:.0} s; processor time a mail: hub {:.2} ms, database {:.2} ms",
            bytes as f64 / 1e6,
            per_mail(after.0 - before.0),
            per_mail(after.1 - before.1)
        )),
    ];
    measures.extend(memory(&samples));
    measures
}
