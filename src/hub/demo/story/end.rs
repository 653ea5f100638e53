//! The end of the demo's account, and by what it would be found again.

use super::{ALICE, SAM, Story, WORK, step};
use crate::client::ClientError;
use crate::demo::{DemoError, expect};
use crate::render;

impl Story {
    /// What of the demo is like nothing else, and stands somewhere in the hub.
    pub(in crate::demo) fn content(&self) -> Vec<String> {
        let bare = |number: &str| number.trim_start_matches('+').to_owned();
        let mut content = vec![
            self.handle.clone(),
            "Alice (demo)".to_owned(),
            bare(SAM),
            bare(ALICE),
            WORK.0.to_string(),
            self.call_sid.clone(),
            self.provider.credentials.account_sid.clone(),
            self.provider.credentials.public_url.clone(),
        ];
        content.extend(
            self.provider
                .messages()
                .into_iter()
                .flat_map(|sent| [sent.sid, sent.body]),
        );
        content
    }

    /// What stands nowhere as it is, even before the erasure.
    pub(in crate::demo) fn secrets(&self) -> Vec<String> {
        vec![
            self.provider.credentials.auth_token.clone(),
            self.device_token.clone(),
        ]
    }

    /// The account's id.
    pub(in crate::demo) async fn account_id(&self) -> Result<String, DemoError> {
        let accounts = self.operator.get("/accounts").await?;
        let mut accounts = render::list(&accounts).iter();
        let account = accounts.find(|account| account["handle"] == self.handle.as_str());
        account
            .map(|account| render::cell(account, "id"))
            .ok_or_else(|| DemoError::new("the demo's account is not listed"))
    }

    /// Erases the account.
    pub(in crate::demo) async fn clean_up(&self) -> Result<(), DemoError> {
        let path = format!("/accounts/{}", self.handle);
        match self.operator.delete(&path).await {
            Ok(answer) => {
                let rows: u64 = answer["rows"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, n)| n.as_u64())
                    .sum();
                step(&format!("the demo's account is erased: {rows} rows"));
            }
            Err(ClientError::Refused(problem)) if problem.status == 404 => {}
            Err(error) => return Err(error.into()),
        }
        let accounts = self.operator.get("/accounts").await?;
        let left = render::list(&accounts)
            .iter()
            .any(|account| account["handle"] == self.handle.as_str());
        expect("the account is gone", !left, &self.handle)
    }
}
