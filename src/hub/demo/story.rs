//! The story: Alice is at work, Sam calls, Sam gets a text; the same webhook again changes nothing.

mod end;
mod trace;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use contracts::Clock;
use serde_json::{Value, json};

use super::provider::{Credentials, Provider};
use super::{DemoError, expect, wire};
use crate::client::Client;
use crate::render;

/// Nothing of the story takes longer than this on a slow machine, a restart of the hub included.
const PATIENCE: Duration = Duration::from_secs(60);
const SAM: &str = "+14158675309";
const ALICE: &str = "+14155550123";
/// Where Alice works: any place on earth will do.
const WORK: (f64, f64) = (38.7223, -9.1393);

/// The story's props.
#[derive(Debug)]
pub(super) struct Story {
    operator: Client,
    client: Client,
    handle: String,
    pub(super) hub: SocketAddr,
    pub(super) provider: Provider,
    device_token: String,
    connection: String,
    call_sid: String,
}

impl Story {
    /// Makes the account and everything that the story needs in it.
    pub(super) async fn begin(operator: &Client, hub: SocketAddr) -> Result<Self, DemoError> {
        let tag = uuid::Uuid::new_v4().simple().to_string();
        let handle = format!("demo-{}", &tag[..8]);
        let credentials = Credentials {
            account_sid: format!("AC{tag}"),
            auth_token: uuid::Uuid::new_v4().simple().to_string(),
            public_url: "https://hub.demo.invalid".to_owned(),
        };
        let provider = Provider::start(credentials, hub).await?;
        step("Alice gets an account of her own, which the demo removes again");
        operator
            .post(
                "/accounts",
                &json!({ "handle": handle, "display_name": "Alice (demo)" }),
            )
            .await?;
        let mut story = Self {
            operator: operator.clone(),
            client: operator.with_account(&handle),
            handle,
            hub,
            provider,
            device_token: String::new(),
            connection: String::new(),
            call_sid: format!("CA{tag}"),
        };
        if let Err(error) = story.furnish().await {
            story.clean_up().await?;
            return Err(error);
        }
        Ok(story)
    }

    async fn furnish(&mut self) -> Result<(), DemoError> {
        step("her graph learns of Sam, her partner, and of Work, a place");
        let sam = json!({
            "type": "Person", "title": "Sam", "props": { "name": "Sam" },
            "identifiers": [{ "scheme": "tel", "value": "+1 (415) 867-5309" }],
            "relation": { "predicate": "partner", "from": "me" },
        });
        self.client.post("/entities", &sam).await?;
        let work = json!({
            "type": "Place", "title": "Work", "identifiers": [],
            "props": { "name": "Work", "latitude": WORK.0, "longitude": WORK.1, "radius_m": 150 },
        });
        self.client.post("/entities", &work).await?;
        step("a Twilio connection and a device token are made, the shipped rule partner-at-work is enabled");
        let connection = json!({
            "plugin": "twilio",
            "name": "demo number",
            "settings": {
                "from": ALICE,
                "account_sid": self.provider.credentials.account_sid,
                "base_url": self.provider.base_url,
                "public_url": self.provider.credentials.public_url,
                "grace_s": 2,
            },
            "secrets": { "auth_token": self.provider.credentials.auth_token },
            "allowed_ranges": ["127.0.0.0/8"],
        });
        self.connection = render::cell(&self.client.post("/connections", &connection).await?, "id");
        let token = self
            .client
            .post("/tokens", &json!({ "kind": "device", "name": "Alice's phone" }))
            .await?;
        self.device_token = render::cell(&token, "secret");
        self.client
            .post("/rules/partner-at-work/enable", &json!({ "inputs": {} }))
            .await?;
        Ok(())
    }

    /// The whole story, without interruption.
    pub(super) async fn play(&mut self) -> Result<(), DemoError> {
        self.arrive_at_work().await?;
        let started = Instant::now();
        self.sam_calls().await?;
        self.sam_is_texted().await?;
        step(&format!(
            "{} ms from the call to the text's acceptance",
            started.elapsed().as_millis()
        ));
        self.text_is_delivered().await?;
        self.same_call_again_changes_nothing().await?;
        self.show_trace().await
    }

    /// Her phone reports where she is; the present state follows.
    pub(super) async fn arrive_at_work(&self) -> Result<(), DemoError> {
        step("her phone reports a position at Work (OwnTracks over HTTP, signed in by the device token)");
        let now = contracts::SystemClock.now().timestamp();
        let report = json!({ "_type": "location", "lat": WORK.0, "lon": WORK.1, "acc": 12, "batt": 81, "tst": now, "tid": "al" });
        let answer = wire::send(self.hub, wire::position(&self.device_token, &report)?).await?;
        expect(
            "the position was taken in",
            answer.status.is_success(),
            &answer.text,
        )?;
        let place = self
            .wait("me.place becomes Work", async |story| {
                let fact = story.client.get("/state/me.place").await.ok()?;
                (fact["value"] == "Work").then_some(fact)
            })
            .await?;
        seen(&format!(
            "me.place = {} since {}",
            place["value"],
            render::time(&place["since"])
        ));
        Ok(())
    }

    /// Twilio tells of the call; the hub answers with TwiML.
    pub(super) async fn sam_calls(&self) -> Result<(), DemoError> {
        step("Sam calls: a voice webhook arrives, signed over the connection's public URL");
        let answer = self.deliver_call().await?;
        expect(
            "the webhook was accepted",
            answer.status.is_success(),
            &answer.text,
        )?;
        expect(
            "the answer is TwiML",
            answer.text.contains("<Response"),
            &answer.text,
        )?;
        seen(answer.text.trim());
        Ok(())
    }

    /// As a provider does: told to come again, it comes again.
    async fn deliver_call(&self) -> Result<wire::Answer, DemoError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.deliver_call_once().await?;
            if answer.status.as_u16() != 503 || Instant::now() > until {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn deliver_call_once(&self) -> Result<wire::Answer, DemoError> {
        let parameters = [
            ("AccountSid", self.provider.credentials.account_sid.clone()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("CallSid", self.call_sid.clone()),
            ("CallStatus", "ringing".to_owned()),
            ("Called", ALICE.to_owned()),
            ("Caller", SAM.to_owned()),
            ("Direction", "inbound".to_owned()),
            ("From", SAM.to_owned()),
            ("To", ALICE.to_owned()),
        ];
        let path = format!("/hooks/twilio/{}/voice", self.connection);
        let credentials = &self.provider.credentials;
        wire::send(
            self.hub,
            wire::signed_form(
                &credentials.public_url,
                &path,
                &credentials.auth_token,
                &parameters,
            )?,
        )
        .await
    }

    /// The provider has accepted exactly one text, to Sam.
    pub(super) async fn sam_is_texted(&self) -> Result<(), DemoError> {
        let messages = self
            .wait("the provider accepts a text", async |story| {
                let messages = story.provider.messages();
                (!messages.is_empty()).then_some(messages)
            })
            .await?;
        let [message] = messages.as_slice() else {
            return Err(DemoError::new(format!(
                "{} texts were accepted instead of one",
                messages.len()
            )));
        };
        expect(
            "the text goes to Sam",
            message.to == SAM && message.from == ALICE,
            &message.to,
        )?;
        step("the rule matched, and the Twilio plugin sent a text");
        seen(&format!("to {}: {}", message.to, message.body));
        Ok(())
    }

    /// The hub knows that the provider has the text.
    #[cfg(feature = "failpoints")]
    pub(super) async fn text_is_sent(&self) -> Result<(), DemoError> {
        self.wait("the hub knows that the text was sent", async |story| {
            let events = story.events().await.ok()?;
            events
                .iter()
                .any(|event| event["type"] == "communication.MessageSent")
                .then_some(())
        })
        .await
    }

    /// The provider's status callbacks reached the graph.
    pub(super) async fn text_is_delivered(&self) -> Result<(), DemoError> {
        self.wait("the status callbacks make the Message delivered", async |story| {
            let messages = story.client.get("/entities?type=Message").await.ok()?;
            let delivered = render::list(&messages)
                .iter()
                .any(|message| message["props"]["status"] == "delivered");
            delivered.then_some(())
        })
        .await?;
        step("the provider's status callbacks came: the Message is delivered");
        Ok(())
    }

    /// The provider delivers the same webhook twice.
    pub(super) async fn same_call_again_changes_nothing(&self) -> Result<(), DemoError> {
        let before = self.at_rest().await?;
        let answer = self.deliver_call().await?;
        expect(
            "the second delivery is answered alike",
            answer.text.contains("<Response"),
            &answer.text,
        )?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = self.at_rest().await?;
        expect(
            "the second delivery writes no event",
            before == after,
            &format!("{before} and then {after} events"),
        )?;
        let texts = self.provider.messages().len();
        expect(
            "the second delivery sends no text",
            texts == 1,
            &format!("{texts} texts"),
        )?;
        let runs = self.runs().await?;
        expect(
            "there is exactly one run",
            runs.len() == 1,
            &format!("{} runs", runs.len()),
        )?;
        step("the same webhook again: nothing changed, nothing was sent");
        Ok(())
    }

    /// How many events there are, once no more come.
    pub(super) async fn at_rest(&self) -> Result<usize, DemoError> {
        let mut last = usize::MAX;
        for _ in 0..40 {
            let count = self.events().await?.len();
            if count == last {
                return Ok(count);
            }
            last = count;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(DemoError::new("the log does not come to rest"))
    }

    /// What happened so far, less the audit of who looked.
    pub(super) async fn events(&self) -> Result<Vec<Value>, DemoError> {
        let events = self.client.get("/events?limit=500").await?;
        let domain = |event: &&Value| !event["type"].as_str().unwrap_or_default().starts_with("audit.");
        Ok(render::list(&events).iter().filter(domain).cloned().collect())
    }

    pub(super) async fn runs(&self) -> Result<Vec<Value>, DemoError> {
        Ok(render::list(&self.client.get("/runs?limit=50").await?).to_vec())
    }

    /// The hub was restarted.
    pub(super) fn hub_moved(&mut self, hub: SocketAddr) {
        self.hub = hub;
        self.provider.hub_moved(hub);
    }

    /// Asks again and again until it holds.
    async fn wait<T>(&self, what: &str, question: impl AsyncFn(&Self) -> Option<T>) -> Result<T, DemoError> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = question(self).await {
                return Ok(answer);
            }
            if Instant::now() > until {
                return Err(DemoError::new(format!(
                    "waited {} s in vain until {what}",
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn step(text: &str) {
    render::line(format!("· {text}"));
}

fn seen(text: &str) {
    render::line(format!("    {text}"));
}
