//! Which folders a mailbox has, and which of them are read.
//!
//! Invariant: no mail is read by a folder that shows what lies in others, unless only by that. Begin with [`list`].

use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response};
use spine::ports::SyncError;

use super::line::{Line, PATIENCE, TALK_BYTES};
use super::names::{decoded, encoded};
use super::settings::Settings;

/// More are not read.
const FOLDERS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 1_000;

/// What a folder is for (RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Plain,
    /// Everything but, perhaps, what is thrown away or unwanted.
    All,
    /// Shows what lies in others.
    View,
    Drafts,
    Junk,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Folder {
    name: String,
    is_for: Use,
}

/// The folders that are there, by whether they are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Folders {
    pub(super) read: Vec<String>,
    pub(super) others: Vec<String>,
    /// The one that shows everything, if it is read.
    pub(super) all: Option<String>,
}

impl Folders {
    /// Where what comes into the INBOX is read: there, or in the folder that shows everything. None if it isn't.
    pub(super) fn watched(&self) -> Option<String> {
        let is_inbox = |name: &&String| name.eq_ignore_ascii_case("INBOX");
        let inbox = self.read.iter().find(is_inbox);
        inbox.or(self.all.as_ref()).cloned()
    }
}

/// Asks the server.
pub(super) async fn list(line: &mut Line, settings: &Settings) -> Result<Folders, SyncError> {
    let question = match line.can("SPECIAL-USE") && line.can("LIST-EXTENDED") {
        true => "LIST \"\" \"*\" RETURN (SPECIAL-USE)",
        false => "LIST \"\" \"*\"",
    };
    let mut found = Vec::new();
    line.ask(question, TALK_BYTES, PATIENCE, |response| {
        if let Response::MailboxData(MailboxDatum::List(list)) = response
            && let Some(is_for) = used(&list.name_attributes)
            && let Some(name) = decoded(&list.name)
            // Whoever asks for it again must name what the server named.
            && encoded(&name) == *list.name
            && name.len() <= NAME_BYTES_MAX
        {
            found.push(Folder { name, is_for });
        }
    })
    .await?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found.dedup();
    found.truncate(FOLDERS_MAX);
    Ok(choose(found, settings))
}

/// What a folder is for; none if it holds no mails itself.
fn used(attributes: &[NameAttribute<'_>]) -> Option<Use> {
    let mut is_for = Use::Plain;
    for attribute in attributes {
        match attribute {
            NameAttribute::NoSelect => return None,
            NameAttribute::Extension(name) if name.eq_ignore_ascii_case("\\NonExistent") => return None,
            NameAttribute::Extension(name) if name.eq_ignore_ascii_case("\\Important") => is_for = Use::View,
            NameAttribute::All => is_for = Use::All,
            NameAttribute::Flagged => is_for = Use::View,
            NameAttribute::Drafts => is_for = Use::Drafts,
            NameAttribute::Junk | NameAttribute::Trash => is_for = Use::Junk,
            _ => {}
        }
    }
    Some(is_for)
}

fn choose(found: Vec<Folder>, settings: &Settings) -> Folders {
    let is_excluded = |name: &str| settings.exclude.iter().any(|pattern| matches(pattern, name));
    let has_all = found
        .iter()
        .any(|one| one.is_for == Use::All && !is_excluded(&one.name));
    let mut folders = Folders::default();
    for Folder { name, is_for } in found {
        let is_read = match is_for {
            Use::All => true,
            Use::Plain => !has_all,
            Use::Junk => settings.with_junk,
            Use::View | Use::Drafts => false,
        };
        if is_read && !is_excluded(&name) {
            if is_for == Use::All {
                folders.all = Some(name.clone());
            }
            folders.read.push(name);
        } else {
            folders.others.push(name);
        }
    }
    folders
}

/// `Name`, or `Name*` for all whose names begin so. Case counts for nobody.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(exclude: &[&str], with_junk: bool) -> Settings {
        Settings {
            host: String::new(),
            port: 993,
            tls: super::super::settings::Tls::Implicit,
            user: String::new(),
            password: zeroize::Zeroizing::new(String::new()),
            ranges: Vec::new(),
            exclude: exclude.iter().map(|one| (*one).to_owned()).collect(),
            with_junk,
        }
    }

    fn chosen(found: &[(&str, Use)], exclude: &[&str], with_junk: bool) -> Vec<String> {
        let found = found.iter().map(|(name, is_for)| Folder {
            name: (*name).to_owned(),
            is_for: *is_for,
        });
        choose(found.collect(), &settings(exclude, with_junk)).read
    }

    #[test]
    fn all_folders_are_read_but_drafts_junk_and_those_that_the_owner_left_out() {
        let found = [
            ("Archive", Use::Plain),
            ("Drafts", Use::Drafts),
            ("INBOX", Use::Plain),
            ("Junk", Use::Junk),
            ("Lists/rust", Use::Plain),
            ("Starred", Use::View),
        ];
        assert_eq!(chosen(&found, &[], false), ["Archive", "INBOX", "Lists/rust"]);
        assert_eq!(chosen(&found, &["lists/*", "archive"], true), ["INBOX", "Junk"]);
    }

    #[test]
    fn where_one_folder_shows_everything_the_others_are_not_read_a_second_time() {
        let found = [
            ("INBOX", Use::Plain),
            ("[Gmail]/All Mail", Use::All),
            ("[Gmail]/Important", Use::View),
            ("[Gmail]/Spam", Use::Junk),
            ("Work", Use::Plain),
        ];
        assert_eq!(chosen(&found, &[], false), ["[Gmail]/All Mail"]);
        assert_eq!(chosen(&found, &["[Gmail]/All Mail"], false), ["INBOX", "Work"]);
    }

    #[test]
    fn a_folder_that_holds_no_mails_is_none() {
        assert_eq!(used(&[NameAttribute::NoSelect]), None);
        assert_eq!(used(&[NameAttribute::Extension("\\NonExistent".into())]), None);
        assert_eq!(
            used(&[NameAttribute::Marked, NameAttribute::Trash]),
            Some(Use::Junk)
        );
    }
}
