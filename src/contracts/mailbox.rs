//! Mailboxes behind which stands nobody: a role's, or a machine's.
//!
//! Invariant: there is one notion of such a mailbox; who makes people of mails and who joins people by their addresses ask
//! here. Pure. Begin with [`is_role`].

/// Mailboxes of a role rather than of a person (RFC 2142, and what firms and clubs add to it).
const ROLES: [&str; 43] = [
    "abuse",
    "accounting",
    "accounts",
    "admin",
    "administrator",
    "alerts",
    "billing",
    "booking",
    "careers",
    "contact",
    "customerservice",
    "feedback",
    "hello",
    "help",
    "helpdesk",
    "hostmaster",
    "hr",
    "info",
    "invoice",
    "jobs",
    "kontakt",
    "legal",
    "list",
    "mail",
    "marketing",
    "news",
    "office",
    "orders",
    "post",
    "postmaster",
    "press",
    "privacy",
    "reception",
    "root",
    "sales",
    "security",
    "service",
    "shop",
    "support",
    "team",
    "verwaltung",
    "webmaster",
    "welcome",
];
/// Those of machines, which add words of their own before or after: `bounces-12@`, `jobs-noreply@`.
const MACHINES: [&str; 11] = [
    "bounce",
    "bounces",
    "do-not-reply",
    "donotreply",
    "mailer-daemon",
    "newsletter",
    "newsletters",
    "no-reply",
    "noreply",
    "notification",
    "notifications",
];

/// True for an address whose mailbox is a role's or a machine's, whatever its case and what stands after a `+`.
pub fn is_role(address: &str) -> bool {
    let mailbox = address.split(['@', '+']).next().unwrap_or_default();
    let mailbox: String = mailbox
        .chars()
        .map(|c| {
            if matches!(c, '.' | '_') {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    let is_end = |rest: &str| !rest.starts_with(char::is_alphabetic);
    ROLES.contains(&mailbox.as_str())
        || MACHINES.iter().any(|machine| {
            mailbox.strip_prefix(machine).is_some_and(is_end)
                || mailbox
                    .strip_suffix(machine)
                    .is_some_and(|before| before.ends_with('-'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_machines_are_nobody_and_a_person_who_is_called_like_one_is_somebody() {
        for role in [
            "info@example.org",
            "Info+berlin@example.org",
            "accounts@example.org",
            "newsletter@example.org",
            "no-reply+7@example.org",
            "No_Reply@example.org",
            "noreply-x@example.org",
            "noreply2@example.org",
            "jobs-noreply@example.org",
            "donotreply@example.org",
            "do.not.reply@example.org",
            "bounces-12-abc@example.org",
            "notifications@example.org",
            "MAILER-DAEMON@example.org",
        ] {
            assert!(is_role(role), "{role}");
        }
        for somebody in [
            "infanta@example.org",
            "sam.sales@example.org",
            "bouncer@example.org",
            "rootes@example.org",
            "teamo@example.org",
            "",
        ] {
            assert!(!is_role(somebody), "{somebody}");
        }
    }
}
