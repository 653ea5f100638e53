//! A call comes in, a text goes out: from the moment at which a signed webhook is accepted (its answer is there: call and
//! event are on disk) to the moment at which the provider's stand-in has the request for the text. A real hub, everything durable, many callers, by the shipped
//! rule `partner-at-work`; the stand-in's status callbacks come in beside.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::hub::{Home, Hub};
use crate::machine::SyncWatch;
use crate::measure::{Measure, percentile};
use crate::provider::{Credentials, Provider};
use crate::wire;

const PER_SECOND: u32 = 50;
const TIME: Duration = Duration::from_secs(20);
/// Calls before it counts: caches fill, connections are made.
const WARM: usize = 150;
/// Calls one after the other, each when the text for the one before is out and all is calm.
const ALONE: usize = 40;
const ACCOUNT: &str = "bench";
const OWNER: &str = "+14155550123";
const WORK: (f64, f64) = (38.7223, -9.1393);
/// What is committed to disk between a webhook's acceptance and the request: the log's batch; run, Message and job; the
/// attempt to send. (Call and event were, before it was accepted.) That the job is active is committed too, without
/// waiting for the disk.
const COMMITS: u32 = 3;
/// By then the database has looked at what is new in it, as it has on a hub that is not minutes old.
const UPKEEP: Duration = Duration::from_secs(35);
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    hub: Hub,
    provider: Provider,
    connection: String,
}

/// When a call's webhook was sent, and when it was answered.
type Moments = (DateTime<Utc>, DateTime<Utc>);

/// Milliseconds from a moment of each call to the request for its text.
struct Latencies {
    since_sent: Vec<f64>,
    since_answered: Vec<f64>,
    /// Calls for which no text was asked.
    missing: usize,
}

pub(crate) async fn run() -> Vec<Measure> {
    let home = Home::new();
    let loaded = (TIME.as_secs() * u64::from(PER_SECOND)) as usize;
    let stage = Arc::new(Stage::furnish(&home, WARM + ALONE + loaded).await);
    let pause = Duration::from_secs(1) / PER_SECOND;
    stage.clone().calls(0..WARM, pause).await;
    let mut alone = Latencies::none();
    for caller in WARM..WARM + ALONE {
        alone.add(stage.clone().calls(caller..caller + 1, pause).await);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let syncs = SyncWatch::start();
    let mut busy = stage
        .clone()
        .calls(WARM + ALONE..WARM + ALONE + loaded, pause)
        .await;
    let sync = syncs.stop();
    let (resident, own) = stage.hub.memory();
    Arc::into_inner(stage).unwrap().hub.stop().await;
    let synced = f64::from(COMMITS) * sync.median;
    let (p50, p99) = (
        percentile(&mut busy.since_answered, 0.5),
        percentile(&mut busy.since_answered, 0.99),
    );
    let since_sent = format!(
        "p50 {:.1} ms, p99 {:.1} ms from before the webhook was sent",
        percentile(&mut busy.since_sent, 0.5),
        percentile(&mut busy.since_sent, 0.99)
    );
    let what = format!(
        "webhook accepted to text asked for, {PER_SECOND} calls/s for {} s",
        TIME.as_secs()
    );
    let path = format!(
        "{COMMITS} commits × fsync at that time, {:.2} ms = {synced:.2} ms",
        sync.median
    );
    vec![
        Measure::new(format!("{what}, p50"), p50, "ms")
            .note(path)
            .at_most(synced + 5.0),
        Measure::new(format!("{what}, p99"), p99, "ms")
            .note(since_sent)
            .at_most(synced + 40.0),
        Measure::new(
            "the same, one call at a time, p50",
            percentile(&mut alone.since_answered, 0.5),
            "ms",
        )
        .note(format!(
            "{ALONE} calls, p99 {:.1} ms; p50 {:.1} ms from before it was sent",
            percentile(&mut alone.since_answered, 0.99),
            percentile(&mut alone.since_sent, 0.5)
        )),
        Measure::new(
            "calls without their text",
            (busy.missing + alone.missing) as f64,
            "",
        )
        .note(format!("of {}", loaded + ALONE))
        .at_most(0.0),
        Measure::new("resident memory after these calls", resident, "MB")
            .note(format!("{own:.1} MB anonymous")),
    ]
}

impl Latencies {
    fn none() -> Self {
        Self {
            since_sent: Vec::new(),
            since_answered: Vec::new(),
            missing: 0,
        }
    }

    fn add(&mut self, other: Self) {
        self.since_sent.extend(other.since_sent);
        self.since_answered.extend(other.since_answered);
        self.missing += other.missing;
    }
}

impl Stage {
    /// A hub at whose owner's work so many partners may call.
    async fn furnish(home: &Home, callers: usize) -> Self {
        let hub = Hub::start(home).await;
        let tag = uuid::Uuid::new_v4().simple().to_string();
        let credentials = Credentials {
            account_sid: format!("AC{tag}"),
            auth_token: tag,
            public_url: "https://hub.bench.invalid".to_owned(),
        };
        let provider = Provider::start(credentials, hub.address).await.unwrap();
        let account = json!({ "handle": ACCOUNT, "display_name": "Bench" });
        hub.client.post("/accounts", &account).await.unwrap();
        let client = hub.client.with_account(ACCOUNT);
        let work = json!({
            "type": "Place", "title": "Work", "identifiers": [],
            "props": { "name": "Work", "latitude": WORK.0, "longitude": WORK.1, "radius_m": 150 },
        });
        client.post("/entities", &work).await.unwrap();
        people(&client, callers).await;
        let connection = connection(&client, &provider).await;
        arrive(&client, hub.address).await;
        client
            .post("/rules/partner-at-work/enable", &json!({ "inputs": {} }))
            .await
            .unwrap();
        tokio::time::sleep(UPKEEP).await;
        Self {
            hub,
            provider,
            connection,
        }
    }

    /// Lets callers call, one every `pause`, whatever becomes of the ones before; waits for all texts.
    async fn calls(self: Arc<Self>, callers: std::ops::Range<usize>, pause: Duration) -> Latencies {
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        let mut calls = JoinSet::new();
        for caller in callers.clone() {
            ticks.tick().await;
            let stage = self.clone();
            calls.spawn(async move { (number(caller), stage.call(caller).await) });
        }
        let times: HashMap<String, _> = calls.join_all().await.into_iter().collect();
        let until = SystemClock.now() + PATIENCE;
        let mut asked = self.asked(&times);
        while asked.len() < times.len() && SystemClock.now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
            asked = self.asked(&times);
        }
        let since = |moment: fn(&Moments) -> DateTime<Utc>| {
            asked
                .iter()
                .map(|(to, at)| (*at - moment(&times[to])).as_seconds_f64() * 1000.0)
                .collect()
        };
        Latencies {
            since_sent: since(|(sent, _)| *sent),
            since_answered: since(|(_, answered)| *answered),
            missing: times.len() - asked.len(),
        }
    }

    /// When the stand-in was asked for a text to each of these.
    fn asked(&self, times: &HashMap<String, Moments>) -> HashMap<String, DateTime<Utc>> {
        let messages = self.provider.messages().into_iter();
        messages
            .filter(|message| times.contains_key(&message.to))
            .map(|message| (message.to, message.created))
            .collect()
    }

    /// One call; when its webhook was sent, and when it was answered.
    async fn call(&self, caller: usize) -> Moments {
        let credentials = &self.provider.credentials;
        let parameters = [
            ("AccountSid", credentials.account_sid.clone()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("CallSid", format!("CA{}", uuid::Uuid::new_v4().simple())),
            ("CallStatus", "ringing".to_owned()),
            ("Direction", "inbound".to_owned()),
            ("From", number(caller)),
            ("To", OWNER.to_owned()),
        ];
        let path = format!("/hooks/twilio/{}/voice", self.connection);
        let (url, token) = (&credentials.public_url, &credentials.auth_token);
        let request = wire::signed_form(url, &path, token, &parameters).unwrap();
        let sent = SystemClock.now();
        let answer = wire::send(self.hub.address, request).await.unwrap();
        assert!(answer.status.is_success(), "{}: {}", answer.status, answer.text);
        (sent, SystemClock.now())
    }
}

fn number(caller: usize) -> String {
    format!("+1415{:07}", 867_0000 + caller)
}

async fn people(client: &Client, count: usize) {
    let mut made = JoinSet::new();
    for lot in 0..4 {
        let client = client.clone();
        made.spawn(async move {
            for caller in (lot..count).step_by(4) {
                let person = json!({
                    "type": "Person", "title": format!("Caller {caller}"), "props": { "name": format!("Caller {caller}") },
                    "identifiers": [{ "scheme": "tel", "value": number(caller) }],
                    "relation": { "predicate": "partner", "from": "me" },
                });
                client.post("/entities", &person).await.unwrap();
            }
        });
    }
    made.join_all().await;
}

async fn connection(client: &Client, provider: &Provider) -> String {
    let connection = json!({
        "plugin": "twilio",
        "name": "bench number",
        "settings": {
            "from": OWNER,
            "account_sid": provider.credentials.account_sid,
            "base_url": provider.base_url,
            "public_url": provider.credentials.public_url,
        },
        "secrets": { "auth_token": provider.credentials.auth_token },
        "allowed_ranges": ["127.0.0.0/8"],
    });
    text(&client.post("/connections", &connection).await.unwrap(), "id")
}

/// The owner's phone reports that it is at work, and the hub knows it.
async fn arrive(client: &Client, hub: SocketAddr) {
    let token = json!({ "kind": "device", "name": "phone" });
    let token = text(&client.post("/tokens", &token).await.unwrap(), "secret");
    let now = SystemClock.now().timestamp();
    let report = json!({ "_type": "location", "lat": WORK.0, "lon": WORK.1, "acc": 12, "batt": 81, "tst": now, "tid": "be" });
    let answer = wire::send(hub, wire::position(&token, &report).unwrap())
        .await
        .unwrap();
    assert!(answer.status.is_success(), "{}", answer.text);
    let until = SystemClock.now() + PATIENCE;
    while client
        .get("/state/me.place")
        .await
        .map_or(true, |fact| fact["value"] != "Work")
    {
        assert!(SystemClock.now() < until, "me.place does not become Work");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}
