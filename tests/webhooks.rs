//! Twilio's webhooks at a real hub: behind a proxy, signed by the vendor's own library, and what becomes of strangers.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Answer, Hub, eventually, http};

const PUBLIC: &str = "https://hub.example";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const SHA256: &str = "X-Twilio-Webhooks-Signature-Settings: algorithm=HMAC_SHA256";

/// Alice's hub, with a Twilio number connected.
pub(crate) struct Story {
    pub(crate) hub: Hub,
    pub(crate) connection: String,
}

fn story() -> Story {
    story_with(&[])
}

/// With more arguments for the connection.
pub(crate) fn story_with(more: &[&str]) -> Story {
    let hub = Hub::start();
    hub.cli(&["account", "create", "alice"]);
    hub.cli(&[
        "entity",
        "add",
        "Person",
        "Sam",
        "--tel",
        "+1 415 867 5309",
        "--relation",
        "partner",
    ]);
    let sid = format!("account_sid=AC{}", "0".repeat(32));
    let public = format!("public_url={PUBLIC}");
    let add = [
        "connection",
        "add",
        "twilio",
        "--set",
        &sid,
        "--set",
        "from=+14155550123",
        "--set",
        &public,
        "--secret",
        "auth_token",
    ];
    let add = [&add, more].concat();
    let made = hub.try_cli(&add, &format!("{TOKEN}\n")).unwrap();
    assert!(!made.to_string().contains(TOKEN), "the secret is not shown again");
    let connection = made["id"].as_str().unwrap().to_owned();
    Story { hub, connection }
}

pub(crate) fn call(sid: &str, from: &str) -> Value {
    json!({ "CallSid": sid, "CallStatus": "ringing", "Direction": "inbound", "From": from, "To": "+14155550123",
        "AccountSid": format!("AC{}", "0".repeat(32)) })
}

/// The vendor's own signature.
fn sign(url: &str, params: &Value, algorithm: &str) -> String {
    let python =
        std::env::var("ALLOD_TEST_PYTHON").expect("ALLOD_TEST_PYTHON has PyPI's twilio: run scripts/test");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/twilio/sign.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let wanted = json!({ "token": TOKEN, "url": url, "params": params, "algorithm": algorithm });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(wanted.to_string().as_bytes())
        .unwrap();
    let signed = child.wait_with_output().unwrap();
    assert!(signed.status.success());
    String::from_utf8(signed.stdout).unwrap().trim().to_owned()
}

impl Story {
    fn path(&self) -> String {
        format!("/hooks/twilio/{}/voice", self.connection)
    }

    fn deliver(&self, address: &str, params: &Value, headers: &[&str]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in params.as_object().unwrap() {
            form.append_pair(key, value.as_str().unwrap());
        }
        let headers = [&["Content-Type: application/x-www-form-urlencoded"], headers].concat();
        http(address, "POST", &self.path(), &headers, form.finish().as_bytes())
    }

    /// Signed over the public URL, as the owner entered it at Twilio.
    pub(crate) fn deliver_signed(&self, address: &str, params: &Value) -> Answer {
        let signature = sign(&format!("{PUBLIC}{}", self.path()), params, "HMAC_SHA1");
        self.deliver(address, params, &[&format!("X-Twilio-Signature: {signature}")])
    }

    pub(crate) fn calls(&self) -> usize {
        self.hub.cli(&["entity", "list", "--type", "Call"])["items"]
            .as_array()
            .unwrap()
            .len()
    }

    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        self.hub
            .cli(&["event", "tail", "--type", kind])
            .as_object()
            .map_or_else(Vec::new, |answer| answer["items"].as_array().unwrap().clone())
    }
}

/// nginx before the hub, which sees another host and another scheme than the world does.
struct Proxy(Child, std::path::PathBuf, String);

impl Proxy {
    fn before(hub: &Hub) -> Self {
        let dir = std::env::temp_dir().join(format!("allod-proxy-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&dir).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = dir.display();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
             events {{ worker_connections 64; }}
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
               fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
               server {{ listen 127.0.0.1:{port};
                 location / {{ proxy_pass http://{}; proxy_set_header Host inside.invalid;
                   proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto http; }} }} }}",
            hub.address
        );
        std::fs::write(dir.join("nginx.conf"), config).unwrap();
        let child = Command::new("nginx")
            .arg("-c")
            .arg(dir.join("nginx.conf"))
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        eventually("nginx listens", || std::net::TcpStream::connect(&address).ok());
        Self(child, dir, address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

#[test]
fn a_call_is_taken_in_behind_a_proxy_when_it_is_signed_over_the_public_url_and_only_then() {
    let story = story();
    let proxy = Proxy::before(&story.hub);
    let url = format!("{PUBLIC}{}", story.path());

    let params = call("CA1", "+14158675309");
    let answer = story.deliver_signed(&proxy.2, &params);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body.contains("<Response>") && answer.head.contains("xml"),
        "{}",
        answer.body
    );
    assert_eq!(
        story.deliver_signed(&proxy.2, &params).body,
        answer.body,
        "the second delivery is answered alike"
    );

    let params = call("CA2", "+14158675309");
    let signature = format!("X-Twilio-Signature: {}", sign(&url, &params, "HMAC_SHA256"));
    assert_eq!(
        story.deliver(&proxy.2, &params, &[&signature, SHA256]).status,
        200
    );
    assert_eq!(
        story.deliver(&proxy.2, &params, &[&signature]).status,
        403,
        "the algorithm is part of the word"
    );

    // Whoever can reach the hub can also say these headers: they count for nothing.
    let params = call("CA3", "+14158675309");
    for seen in [
        format!("http://{}", proxy.2),
        "http://inside.invalid".to_owned(),
        "https://evil.example".to_owned(),
    ] {
        let signature = sign(&format!("{seen}{}", story.path()), &params, "HMAC_SHA1");
        let headers = [
            &format!("X-Twilio-Signature: {signature}"),
            "Host: evil.example",
            "X-Forwarded-Host: evil.example",
        ];
        assert_eq!(
            story.deliver(&proxy.2, &params, &headers).status,
            403,
            "signed over {seen}"
        );
    }
    assert_eq!(story.calls(), 2, "CA1 once though it came twice, CA2, and no CA3");
    assert_eq!(story.events("communication.CallStarted").len(), 2);
}

#[test]
fn strangers_leave_one_audit_entry_a_minute_with_the_count_and_nothing_else() {
    let mut story = story();
    let params = call("CA1", "+14158675309");
    for n in 0..5 {
        let answer = story.deliver(
            &story.hub.address,
            &params,
            &["X-Twilio-Signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
        );
        assert_eq!(answer.status, 403, "try {n}");
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
    }
    assert_eq!(
        story.deliver(&story.hub.address, &params, &[]).status,
        403,
        "a missing signature"
    );
    let path = story
        .path()
        .replace(&story.connection, &uuid::Uuid::new_v4().to_string());
    assert_eq!(
        http(&story.hub.address, "POST", &path, &[], b"CallSid=CA1").status,
        404,
        "nobody's connection"
    );
    assert_eq!(story.calls(), 0);
    assert!(
        story.events("connector.DataReceived").is_empty(),
        "no record is kept"
    );

    story.hub.restart(); // a stop writes down what was counted
    let refused = eventually("the count is written down", || {
        Some(story.events("audit.WebhooksRefused")).filter(|events| !events.is_empty())
    });
    let counts: Vec<i64> = refused
        .iter()
        .map(|event| event["body"]["count"].as_i64().unwrap())
        .collect();
    assert_eq!(counts.iter().sum::<i64>(), 6, "{refused:?}");
    assert!(
        counts.len() <= 2,
        "one a minute, and the story takes less than two: {refused:?}"
    );
}

#[test]
fn bad_input_is_refused_or_parked_and_crashes_nothing() {
    let story = story();
    let address = &story.hub.address;
    let large = vec![b'a'; 2 << 20];
    assert_eq!(http(address, "POST", &story.path(), &[], &large).status, 413);

    // A number that can't exist: the caller is answered, the record is kept with its reason.
    let answer = story.deliver_signed(address, &call("CA1", "+1999"));
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<Response>"));
    assert_eq!(story.calls(), 0);
    let token = story.hub.cli(&["token", "create", "story"])["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    let bearer = format!("Authorization: Bearer {token}");
    let parked = http(
        address,
        "GET",
        "/api/v1/raw-records?status=parked",
        &[&bearer],
        b"",
    );
    assert_eq!(parked.status, 200, "{}", parked.body);
    assert!(
        parked.body.contains("+1999") || parked.body.contains("number"),
        "the reason is told: {}",
        parked.body
    );

    // A device token opens its own door only, and a position that can't be is parked too.
    let device = story.hub.cli(&["token", "create", "--kind", "device", "phone"])["secret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        http(
            address,
            "GET",
            "/api/v1/state",
            &[&format!("Authorization: Bearer {device}")],
            b""
        )
        .status,
        401
    );
    use base64::Engine as _;
    let basic = |secret: &str| {
        format!(
            "Authorization: Basic {}",
            base64::engine::general_purpose::STANDARD.encode(format!("phone:{secret}"))
        )
    };
    let position = br#"{"_type":"location","lat":91.5,"lon":4,"tst":1790000000}"#;
    assert_eq!(
        http(address, "POST", "/device-events", &[&basic(&device)], position).status,
        200
    );
    assert_eq!(
        http(address, "POST", "/device-events", &[&basic(&token)], position).status,
        401,
        "an API token"
    );
    assert_eq!(http(address, "POST", "/device-events", &[], position).status, 401);
    assert_eq!(story.events("connector.RecordParked").len(), 2);
    assert_eq!(http(address, "GET", "/health/ready", &[], b"").status, 200);
}

#[test]
fn a_database_that_goes_away_makes_the_hub_wait_and_recover() {
    let story = story();
    let address = &story.hub.address;
    assert_eq!(
        story.deliver_signed(address, &call("CA1", "+14158675309")).status,
        200
    );
    let pid = std::fs::read_to_string(story.hub.dir().join("postgres/postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap().to_owned();
    // It hangs: the webhook is told to come again, and nothing is half done.
    assert!(
        Command::new("sh")
            .args(["-c", &format!("kill -9 {pid}")])
            .status()
            .unwrap()
            .success()
    );
    let params = call("CA2", "+14158675309");
    let answer = story.deliver_signed(address, &params);
    assert!(
        answer.status == 200 || answer.status == 503,
        "{}: {}",
        answer.status,
        answer.body
    );
    assert!(
        answer.status == 200 || answer.head.contains("retry-after: "),
        "{}",
        answer.head
    );
    eventually("the webhook is taken in", || {
        (story.deliver_signed(address, &params).status == 200).then_some(())
    });
    eventually("everything works again", || {
        (http(address, "GET", "/health/ready", &[], b"").status == 200).then_some(())
    });
    assert_eq!(story.calls(), 2, "each call once");
    let report = story.hub.cli(&["audit", "verify"]);
    assert_eq!(report["faults"], json!([]));
}
