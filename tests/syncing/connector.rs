//! A connector in Rust by the same streams: a mailbox with folders, whose mails are understood as those of a file are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use spine::ports::{Ask, Brought, Connected, Connector, Gone, Identifier, Mode, Page, RawRecord, SyncError};
use spine::testing::{TempDir, TestHub};

use super::{Alice, elsewhere, services};

const MANIFEST: &str = r#"id = "mailbox"
version = "1.0.0"
kind = ["connector"]
description = "A mailbox."
connector = "mailbox"
entities = ["Message"]

[[secret]]
name = "password"
description = "The password."

[[stream]]
name = "folders"
modes = ["full"]
every_minutes = 60

[[stream]]
name = "mail"
modes = ["full", "incremental"]
every_minutes = 5
found_by = "folders"
"#;

/// Folders of mails, by their places; none: it was removed.
#[derive(Default)]
struct Mailbox {
    folders: Mutex<BTreeMap<String, Vec<Option<String>>>>,
    forgets: Mutex<bool>,
}

#[async_trait]
impl Connector for Mailbox {
    fn name(&self) -> &'static str {
        "mailbox"
    }

    async fn test(&self, connected: &Connected) -> Result<String, SyncError> {
        match connected.secret("password")? {
            "right" => Ok("the mailbox opens".to_owned()),
            _ => Err(SyncError::Refused("the mailbox refused the password".to_owned())),
        }
    }

    async fn sync(&self, connected: &Connected, ask: &Ask) -> Result<Page, SyncError> {
        self.test(connected).await?;
        let folders = self.folders.lock().unwrap();
        if ask.stream == "folders" {
            let parts = BTreeMap::from([("mail".to_owned(), folders.keys().cloned().collect())]);
            let opened = connected.kept.get("opened").and_then(Value::as_i64).unwrap_or(0) + 1;
            let keep = serde_json::Map::from_iter([("opened".to_owned(), json!(opened))]);
            return Ok(Page {
                parts,
                keep,
                ..Page::default()
            });
        }
        if ask.cursor.is_some() && std::mem::take(&mut *self.forgets.lock().unwrap()) {
            return Err(SyncError::CursorLost("UIDVALIDITY changed".to_owned()));
        }
        // It was removed while somebody asked for it.
        let Some(mails) = folders.get(&ask.part) else {
            return Ok(Page::default());
        };
        let from = ask.cursor.as_ref().and_then(Value::as_u64).unwrap_or(0) as usize;
        let to = (from + 2).min(mails.len());
        let records = (from..to).map(|uid| {
            let record = |body: &str| RawRecord {
                connection: Some(connected.id),
                stream: format!("mail/{}", ask.part),
                remote_id: uid.to_string(),
                revision: String::new(),
                media_type: "message/rfc822".to_owned(),
                body: body.as_bytes().to_vec(),
            };
            match &mails[uid] {
                Some(mail) if mail.is_empty() => {
                    Brought::Unfit(record(mail), "the server gave no bytes of it".into())
                }
                Some(mail) => Brought::Received(record(mail)),
                None => Brought::Gone(Gone {
                    stream: format!("mail/{}", ask.part),
                    kind: "Message".into(),
                    identifier: Identifier::new("message-id", format!("{uid}@example.org")),
                }),
            }
        });
        assert!(ask.mode != Mode::Incremental || ask.cursor.is_some());
        Ok(Page {
            records: records.collect(),
            cursor: Some(json!(to)),
            more: to < mails.len(),
            estimate: Some(mails.len() as u64),
            ..Page::default()
        })
    }
}

fn mail(number: usize) -> Option<String> {
    Some(format!(
        "Message-ID: <{number}@example.org>\r\nFrom: Sam <sam@example.org>\r\nTo: alice@example.org\r\n\
         Date: Mon, 4 May 2026 10:00:00 +0000\r\nSubject: Letter {number}\r\n\r\nHello\r\n"
    ))
}

async fn hub(dir: &TempDir, mailbox: &Arc<Mailbox>) -> TestHub {
    let folder = dir.path().join("mailbox");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("plugin.toml"), MANIFEST).unwrap();
    spine::testing::hub(|context| {
        context.ports.provide_connector(mailbox.clone());
        services(&elsewhere(context, dir.path()))
    })
    .await
}

#[tokio::test]
async fn a_mailbox_in_rust_is_read_folder_by_folder_like_any_plugin() {
    let (dir, mailbox) = (TempDir::new(), Arc::new(Mailbox::default()));
    {
        let mut folders = mailbox.folders.lock().unwrap();
        folders.insert("INBOX".into(), (0..5).map(mail).collect());
        folders.insert("Archive".into(), vec![mail(10), Some(String::new()), mail(12)]);
    }
    let hub = hub(&dir, &mailbox).await;
    let alice = Alice::with(&hub, hub.somebody(), &elsewhere(&hub.context, dir.path()));
    let connection = alice
        .connect("mailbox", json!({}), json!({ "password": "wrong" }))
        .await;
    alice
        .until("it is refused", &connection, |shown| {
            shown["health"] == "needs-reauthorisation"
        })
        .await;
    let (_, tested) = alice
        .call("POST", &format!("/connections/{connection}/test"), json!({}))
        .await;
    assert_eq!(
        tested,
        json!({ "ok": false, "detail": "the mailbox refused the password" })
    );
    let path = format!("/connections/{connection}/secrets");
    alice.call("PUT", &path, json!({ "password": "right" })).await;

    let all_read = |shown: &Value| {
        let streams = shown["streams"].as_array().unwrap();
        streams.len() == 3 && streams.iter().all(|stream| stream["read_at"].is_string())
    };
    let shown = alice.until("both folders are read", &connection, all_read).await;
    let parts: Vec<&str> = shown["streams"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["part"].as_str())
        .collect();
    assert_eq!(parts, ["Archive", "INBOX"]);
    assert_eq!(shown["health"], "active");
    assert_eq!(alice.count("Message").await, 7);
    assert_eq!(alice.parked().await, ["the server gave no bytes of it"]);

    // One more, and the place is not known any more: all is read again, and nothing doubles.
    mailbox
        .folders
        .lock()
        .unwrap()
        .get_mut("INBOX")
        .unwrap()
        .push(mail(5));
    *mailbox.forgets.lock().unwrap() = true;
    alice.act(&connection, "sync").await;
    hub.eventually("the new mail is in", async || {
        (alice.count("Message").await == 8).then_some(())
    })
    .await;

    mailbox.folders.lock().unwrap().remove("Archive");
    alice.act(&connection, "sync").await;
    alice
        .until("the folder's checkpoint is gone", &connection, |shown| {
            shown["streams"].as_array().unwrap().len() == 2
        })
        .await;
    assert_eq!(alice.count("Message").await, 8, "what the folder brought stays");
    let mut behind = hub.database.superuser().await;
    let opened: Value = sqlx::query_scalar("SELECT value FROM plugins.kept WHERE key = 'opened'")
        .fetch_one(&mut behind)
        .await
        .unwrap();
    assert!(opened.as_i64() >= Some(3), "{opened}");
}

#[tokio::test]
async fn a_connector_hears_of_its_connections_and_wakes_a_stream() {
    let (dir, mailbox) = (TempDir::new(), Arc::new(Mailbox::default()));
    mailbox
        .folders
        .lock()
        .unwrap()
        .insert("INBOX".into(), vec![mail(0)]);
    let hub = hub(&dir, &mailbox).await;
    let alice = Alice::with(&hub, hub.somebody(), &elsewhere(&hub.context, dir.path()));
    let connection = alice
        .connect("mailbox", json!({}), json!({ "password": "right" }))
        .await;
    hub.eventually("the mail is in", async || {
        (alice.count("Message").await == 1).then_some(())
    })
    .await;
    let port = hub.context.ports.connections();
    let found = port.of_connector("mailbox").await.unwrap();
    assert_eq!(found.len(), 1);
    let (scope, id) = &found[0];
    mailbox
        .folders
        .lock()
        .unwrap()
        .get_mut("INBOX")
        .unwrap()
        .push(mail(1));
    let mut tx = hub.begin(scope).await;
    let connected = port.connected(&mut tx, *id).await.unwrap().unwrap();
    assert_eq!(
        (connected.secret("password").unwrap(), id.to_string()),
        ("right", connection.clone())
    );
    assert!(!format!("{connected:?}").contains("right"));
    port.is_due(&mut tx, *id, "mail", "INBOX").await.unwrap();
    tx.commit().await.unwrap();
    hub.eventually("the new mail is in", async || {
        (alice.count("Message").await == 2).then_some(())
    })
    .await;
    alice.act(&connection, "pause").await;
    let mut tx = hub.begin(scope).await;
    assert!(
        port.connected(&mut tx, *id).await.unwrap().is_none(),
        "a paused one is not listened to"
    );
}

#[tokio::test]
async fn a_page_of_more_than_16_mib_is_refused_unless_it_is_one_record() {
    let (dir, mailbox) = (TempDir::new(), Arc::new(Mailbox::default()));
    let large = |number: usize, mib: usize| {
        let line = format!("{}\r\n", "x".repeat(70));
        mail(number).map(|mail| mail + line.repeat(mib * 1024 * 1024 / line.len()).as_str())
    };
    {
        let mut folders = mailbox.folders.lock().unwrap();
        folders.insert("Many".into(), vec![large(1, 9), large(2, 9)]);
        folders.insert("One".into(), vec![large(3, 17)]);
    }
    let hub = hub(&dir, &mailbox).await;
    let alice = Alice::with(&hub, hub.somebody(), &elsewhere(&hub.context, dir.path()));
    let connection = alice
        .connect("mailbox", json!({}), json!({ "password": "right" }))
        .await;
    let part = |shown: &Value, part: &str| {
        let streams = shown["streams"].as_array().unwrap();
        streams.iter().find(|one| one["part"] == part).cloned()
    };
    let shown = alice
        .until("one is read and one refused", &connection, |shown| {
            let is_refused = part(shown, "Many").is_some_and(|many| many["failures"] != 0);
            is_refused && part(shown, "One").is_some_and(|one| one["read_at"].is_string())
        })
        .await;
    let many = part(&shown, "Many").unwrap();
    assert_eq!((&many["class"], &many["taken"]), (&json!("bug"), &json!(0)));
    assert!(
        many["reason"]
            .as_str()
            .unwrap()
            .contains("a page of `mail` has 19 MiB, more than 16"),
        "{many}"
    );
    assert_eq!(part(&shown, "One").unwrap()["done"], 1);
}
