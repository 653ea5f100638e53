//! Mailboxes by IMAP (RFC 3501 and 9051): all folders, what is new, which flags changed, what was deleted.
//!
//! Events in: `connector.ConnectionRemoved`. Events out: none; records go to whoever asks for a page (port `Connector`).
//! Invariant: nothing is changed on the server; a mail is one message in whichever folders it lies. Begin with
//! [`Imap::sync`]; `folders.rs` chooses what is read, `read.rs` reads, `watch.rs` hears of new mail at once.

mod folders;
mod line;
mod lines;
mod mail;
mod mailbox;
mod names;
mod on_connection_removed;
mod read;
mod settings;
mod store;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use spine::access::Cause;
use spine::ports::{Ask, Connected, Connector, Page, SyncError};
use spine::service::Task;
use spine::{Access, Context};

use lines::Lines;
use read::Reading;
use settings::Settings;

pub(crate) use on_connection_removed::Forget;

/// By which manifests name it.
const NAME: &str = "imap";

/// The connector.
#[derive(Debug, Clone)]
pub(crate) struct Imap {
    access: Access,
    lines: Arc<Lines>,
}

impl Imap {
    pub(crate) fn new(context: &Context) -> Self {
        Self {
            access: context.access.clone(),
            lines: Arc::new(Lines::new(context.settings.extra_ca_pem.clone())),
        }
    }

    /// Hears of new mail.
    pub(crate) fn watch(&self, context: &Context) -> Task {
        let watch = watch::Watch::new(context.clone(), Arc::clone(&self.lines));
        Box::new(move |stop| Box::pin(watch.run(stop)))
    }

    async fn folders(
        &self,
        connected: &Connected,
        settings: &Settings,
        ask: &Ask,
    ) -> Result<Page, SyncError> {
        let (line, found) = loop {
            let (mut line, was_used) = self.lines.line(connected.id, settings).await?;
            match folders::list(&mut line, settings).await {
                Err(SyncError::Transient { .. }) if was_used => {} // it broke since
                found => break (line, found?),
            }
        };
        if found.read.is_empty() && found.others.is_empty() {
            // Taken at its word, this would delete everything.
            return Err(SyncError::transient("the mail server shows no folders"));
        }
        self.lines.keep(connected.id, settings, line);
        let mut tx = self.access.begin(&ask.scope, Cause::outside()).await?;
        store::folders_set(&mut tx, connected.id, &found.read, &found.others).await?;
        tx.commit().await?;
        Ok(Page {
            parts: BTreeMap::from([(mail::STREAM.to_owned(), found.read)]),
            ..Page::default()
        })
    }

    async fn mails(&self, connected: &Connected, settings: &Settings, ask: &Ask) -> Result<Page, SyncError> {
        loop {
            let (mut line, was_used) = self.lines.line(connected.id, settings).await?;
            let reading = Reading {
                access: &self.access,
                connection: connected.id,
                ask,
                line: &mut line,
            };
            match reading.page().await {
                Err(SyncError::Transient { .. }) if was_used => {} // it broke since
                page => {
                    let page = page?;
                    self.lines.keep(connected.id, settings, line);
                    return Ok(page);
                }
            }
        }
    }
}

#[async_trait]
impl Connector for Imap {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn test(&self, connected: &Connected) -> Result<String, SyncError> {
        let settings = Settings::of(connected)?;
        let mut line = self.lines.open(&settings).await?;
        let found = folders::list(&mut line, &settings).await?;
        let mut mails: u64 = 0;
        for folder in &found.read {
            mails += u64::from(line.examine(folder).await?.exists);
        }
        Ok(format!(
            "signed in: {mails} mails in {} folders are read, {} folders are not",
            found.read.len(),
            found.others.len()
        ))
    }

    async fn sync(&self, connected: &Connected, ask: &Ask) -> Result<Page, SyncError> {
        let settings = Settings::of(connected)?;
        let reading = async {
            match ask.stream.as_str() {
                "folders" => self.folders(connected, &settings, ask).await,
                mail::STREAM => self.mails(connected, &settings, ask).await,
                other => Err(SyncError::Bug(format!("a mailbox has no stream `{other}`"))),
            }
        };
        tokio::select! {
            page = reading => page,
            () = ask.stop.cancelled() => Err(SyncError::transient("the hub stops")),
        }
    }
}
