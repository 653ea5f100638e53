//! Mailboxes by IMAP, against a real Dovecot with generated mails. With the real graph.
//!
//! Begin with [`Alice`], who connects her mailbox.

mod changes;
mod dovecot;
mod interrupted;
mod tls;
mod trouble;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use spine::Scope;
use spine::edge::Caller;
use spine::testing::TestHub;
use tower::ServiceExt;

use dovecot::Dovecot;

/// Longer than thousands of mails take on a busy machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

fn services(context: &spine::Context) -> Vec<spine::Service> {
    vec![
        accounts::service(context),
        graph::service(context),
        media::service(context).unwrap(),
        etl::service(context),
        connectors::service(context),
        plugins::service(context),
    ]
}

async fn hub() -> TestHub {
    spine::testing::hub(services).await
}

/// Somebody with an account and a mailbox.
struct Alice<'a> {
    hub: &'a TestHub,
    scope: Scope,
    api: Router,
}

impl<'a> Alice<'a> {
    fn new(hub: &'a TestHub) -> Self {
        let mut service = plugins::service(&hub.context);
        Self {
            hub,
            scope: hub.somebody(),
            api: std::mem::take(&mut service.api).split_for_parts().0,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .extension(Caller(self.scope.clone()));
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.api.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The new connection's id.
    async fn connect(&self, server: &Dovecot, more: Value) -> String {
        self.connect_with(server, server.password(), more).await
    }

    async fn connect_with(&self, server: &Dovecot, password: &str, more: Value) -> String {
        let mut settings =
            json!({ "host": "127.0.0.1", "port": server.port, "tls": "none", "user": "alice" });
        for (name, value) in more.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let new = json!({
            "plugin": "imap", "name": "mail", "settings": settings, "secrets": { "password": password },
            "allowed_ranges": ["127.0.0.0/8"],
        });
        let (status, made) = self.call("POST", "/connections", new).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    async fn show(&self, connection: &str) -> Value {
        self.call("GET", &format!("/connections/{connection}"), json!({}))
            .await
            .1
    }

    async fn act(&self, connection: &str, verb: &str) {
        let (status, answer) = self
            .call("POST", &format!("/connections/{connection}/{verb}"), json!({}))
            .await;
        assert!(status < 300, "{verb}: {answer}");
    }

    async fn until(&self, what: &str, connection: &str, is: impl Fn(&Value) -> bool) -> Value {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let shown = self.show(connection).await;
            if is(&shown) {
                return shown;
            }
            assert!(
                std::time::Instant::now() < until,
                "waited in vain until {what}: {shown:#}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Every folder was read to its end.
    async fn until_read(&self, connection: &str) -> Value {
        self.until("every folder is read", connection, |shown| {
            let streams = shown["streams"].as_array().unwrap();
            streams.len() > 1
                && streams
                    .iter()
                    .all(|stream| stream["read_at"].is_string() && stream["under_way"] == false)
        })
        .await
    }

    /// Everything is read again from where it stands, to the end.
    async fn read_again(&self, connection: &str) {
        let read_at = |shown: &Value| -> Vec<String> {
            let streams = shown["streams"].as_array().unwrap().iter();
            streams.map(|stream| stream["read_at"].to_string()).collect()
        };
        let before = self.show(connection).await;
        let before = read_at(&before);
        self.act(connection, "sync").await;
        self.until("every folder is read again", connection, |shown| {
            let now = read_at(shown);
            let under_way = shown["streams"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one["under_way"] == true);
            now.iter().all(|at| at != "null" && !before.contains(at)) && !under_way
        })
        .await;
    }

    /// Title and properties of the messages, as sorted lines without ids.
    async fn mails(&self) -> Vec<String> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(
            "SELECT coalesce(title, '') || ' ' || props::text FROM graph.entity
            WHERE account = $1 AND type = 'Message' AND deleted_at IS NULL AND merged_into IS NULL ORDER BY 1",
        )
        .bind(self.scope.account().0)
        .fetch_all(&mut behind)
        .await
        .unwrap()
    }

    /// The properties of the message with this subject.
    async fn mail(&self, subject: &str) -> Option<Value> {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(
            "SELECT props FROM graph.entity WHERE account = $1 AND type = 'Message' AND deleted_at IS NULL AND title = $2",
        )
        .bind(self.scope.account().0)
        .bind(subject)
        .fetch_optional(&mut behind)
        .await
        .unwrap()
    }

    async fn count(&self, sql: &str) -> i64 {
        let mut behind = self.hub.database.superuser().await;
        sqlx::query_scalar(sql)
            .bind(self.scope.account().0)
            .fetch_one(&mut behind)
            .await
            .unwrap()
    }

    /// What was told of the connection's health.
    async fn told(&self) -> Vec<String> {
        self.hub.settle().await;
        let events = self.hub.events(&self.scope).await;
        let told = events
            .into_iter()
            .filter(|event| event.kind == "connector.ConnectionHealthChanged");
        told.map(|event| event.body.unwrap()["health"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A mail by its number, in threads of three.
fn mail(number: usize) -> Vec<u8> {
    let mut mail = format!(
        "From: Person {p} <p{p}@example.org>\r\nTo: alice@example.org\r\nSubject: Letter {number}\r\n\
         Date: Fri, 1 May 2026 {hour:02}:{minute:02}:00 +0200\r\nMessage-ID: <m{number}@example.org>\r\n",
        p = number % 23,
        hour = number / 60 % 24,
        minute = number % 60,
    );
    if !number.is_multiple_of(3) {
        mail += &format!("In-Reply-To: <m{}@example.org>\r\n", number - number % 3);
    }
    mail += "\r\nHello,\r\nhere it is well.\r\n";
    mail.into_bytes()
}

const WITH_FILE: &str = "From: Kim <kim@example.org>\r\nTo: alice@example.org\r\nSubject: A file\r\n\
    Date: Fri, 1 May 2026 12:00:00 +0200\r\nMessage-ID: <file@example.org>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nsee there\r\n--x\r\n\
    Content-Type: application/pdf; name=\"plan.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: attachment; filename=\"plan.pdf\"\r\n\r\nJVBERi0xLjQKJSBub3QgbXVjaAo=\r\n--x--\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_of_thousands_comes_in_with_its_folders_threads_and_files_and_nothing_twice() {
    let (hub, server) = (hub().await, Dovecot::start());
    for number in 0..2_000 {
        server.deliver("INBOX", &mail(number), "S");
    }
    for number in 1_900..2_300 {
        server.deliver("Lists/rust", &mail(number), "S"); // a hundred of them lie in both
    }
    server.deliver("Gel&APY-scht", &mail(2_300), "S");
    server.deliver("Private", &mail(9_000), "S");
    server.deliver("Junk", &mail(9_001), "");
    server.deliver("INBOX", WITH_FILE.as_bytes(), "");
    server.deliver("INBOX", b"\0\0\0\r\nnothing that a mail has", "S");
    server.deliver(
        "INBOX",
        &[mail(2_301).as_slice(), &vec![b'x'; 300_000]].concat(),
        "FS",
    );

    let alice = Alice::new(&hub);
    let connection = alice
        .connect(&server, json!({ "exclude": "private\nnothing*" }))
        .await;
    let shown = alice.until_read(&connection).await;
    let parts: Vec<&str> = shown["streams"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|stream| stream["name"] == "mail")
        .map(|stream| stream["part"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["Gelöscht", "INBOX", "Lists/rust"]);
    let mails = alice.mails().await;
    assert_eq!(
        mails.len(),
        2_300 + 1 + 1 + 1,
        "each once, and none of the folders that aren't read"
    );
    let threads = alice
        .count("SELECT count(*) FROM graph.entity WHERE account = $1 AND type = 'Conversation' AND merged_into IS NULL")
        .await;
    assert_eq!(
        threads,
        768 + 1,
        "2,302 mails in threads of three, and the file's"
    );
    assert_eq!(
        alice
            .count("SELECT count(*) FROM graph.raw_record WHERE account = $1 AND status = 'parked'")
            .await,
        1,
        "what is no mail is kept with its reason"
    );
    let files = alice
        .count("SELECT count(*) FROM graph.entity WHERE account = $1 AND type = 'MediaObject'")
        .await;
    assert_eq!(files, 1);
    let with_file = alice.mail("A file").await.unwrap();
    assert_eq!(with_file["seen"], false, "it wasn't read yet: {with_file}");
    let large = alice.mail("Letter 2301").await.unwrap();
    assert_eq!((&large["flagged"], &large["seen"]), (&json!(true), &json!(true)));
    assert_eq!(
        alice.mail("Letter 7").await.unwrap().get("seen"),
        None,
        "a mail that was read says nothing of it"
    );

    alice.read_again(&connection).await;
    assert_eq!(alice.mails().await, mails, "reading again changes nothing");
    let (_, test) = alice
        .call("POST", &format!("/connections/{connection}/test"), json!({}))
        .await;
    assert_eq!(
        test["detail"], "signed in: 2404 mails in 3 folders are read, 2 folders are not",
        "{test}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_mail_is_heard_of_at_once() {
    let (hub, server) = (hub().await, Dovecot::start());
    server.deliver("INBOX", &mail(1), "S");
    let alice = Alice::new(&hub);
    let connection = alice.connect(&server, json!({})).await;
    alice.until_read(&connection).await;
    // The schedule comes by every quarter of an hour. The first of these may be read when somebody begins to listen.
    for number in 2..5 {
        server.deliver("INBOX", &mail(number), "");
        let subject = format!("Letter {number}");
        hub.eventually("the new mail is in", async || alice.mail(&subject).await)
            .await;
    }
    hub.settle().await;
    let live = alice
        .count("SELECT count(*) FROM spine.event_log WHERE account = $1 AND type = 'connector.DataReceived' AND lane = 'live'")
        .await;
    assert!(live >= 1, "what comes now is no history");
}
