//! The set-up pages: plain HTML that works without scripts, by keyboard and in a screen reader.
//!
//! Invariant: whatever somebody typed is escaped by [`Text`] before it stands in a page.

use std::fmt::{self, Display, Formatter};

use axum::http::{HeaderName, header};
use axum::response::{AppendHeaders, Html, IntoResponse};

use crate::model::Account;

/// Text from outside, escaped for element content and quoted attributes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// A page is never kept: its address or its form holds the set-up token.
type Page = (AppendHeaders<[(HeaderName, &'static str); 1]>, Html<String>);

fn page(title: &str, body: &str) -> Page {
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title} · allod</title>
<link rel="stylesheet" href="/allod.css">
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"#
    );
    (AppendHeaders([(header::CACHE_CONTROL, "no-store")]), Html(html))
}

/// What somebody typed before; passwords are typed again.
#[derive(Debug, Default)]
pub(crate) struct Filled<'a> {
    pub(crate) token: &'a str,
    pub(crate) handle: &'a str,
    pub(crate) display_name: &'a str,
    pub(crate) zone: &'a str,
}

/// The form, with what was wrong the last time.
pub(crate) fn form(filled: &Filled<'_>, wrong: Option<&str>) -> impl IntoResponse + use<> {
    let alert = wrong.map_or_else(String::new, |wrong| {
        format!(r#"<p role="alert" class="wrong">Not yet: {}.</p>"#, Text(wrong))
    });
    let zones: String = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| format!("<option value=\"{}\">", zone.name()))
        .collect();
    let zone = if filled.zone.is_empty() {
        "UTC"
    } else {
        filled.zone
    };
    page(
        "Set up your hub",
        &format!(
            r#"<p>This hub belongs to nobody yet. Make its first account: yours.</p>
{alert}
<form method="post" action="/setup">
<input type="hidden" name="token" value="{token}">
<p><label for="handle">Handle</label>
<input id="handle" name="handle" required maxlength="30" autocomplete="username" autocapitalize="none"
 spellcheck="false" aria-describedby="handle-help" value="{handle}">
<small id="handle-help">By which you sign in: letters, digits, dots, hyphens, underscores.</small></p>
<p><label for="display_name">Name</label>
<input id="display_name" name="display_name" required maxlength="100" autocomplete="name" value="{name}"></p>
<p><label for="zone">Time zone</label>
<input id="zone" name="zone" required list="zones" autocomplete="off" aria-describedby="zone-help" value="{zone}">
<small id="zone-help">Such as Europe/Vienna. Your rules and reminders follow it.</small>
<datalist id="zones">{zones}</datalist></p>
<p><label for="password">Password</label>
<input id="password" name="password" type="password" required minlength="10" autocomplete="new-password"
 aria-describedby="password-help">
<small id="password-help">At least 10 characters. Length counts, not signs.</small></p>
<p><label for="password_again">Password again</label>
<input id="password_again" name="password_again" type="password" required minlength="10"
 autocomplete="new-password"></p>
<p><button type="submit">Make the account</button></p>
</form>"#,
            token = Text(filled.token),
            handle = Text(filled.handle),
            name = Text(filled.display_name),
            zone = Text(zone),
        ),
    )
}

/// The link is wrong, used or old.
pub(crate) fn link_is_dead() -> impl IntoResponse + use<> {
    page(
        "This set-up link no longer works",
        "<p>It was used, it is older than a day, or a newer one took its place.</p>
<p>If the hub is not set up yet, get a new link on the hub's machine:</p>
<pre><code>allod account setup-link</code></pre>",
    )
}

/// The account is there.
pub(crate) fn next_steps(account: &Account) -> impl IntoResponse + use<> {
    page(
        "Your hub is set up",
        &format!(
            r#"<p>Welcome, {name}. The hub is yours; you sign in as <strong>{handle}</strong>.</p>
<h2>Next steps</h2>
<ul>
<li>Let your phone report where it is: <code>allod token create --kind device phone</code></li>
<li>Connect a service: <code>allod connection --help</code></li>
<li>See what runs: <code>allod status</code></li>
<li>Build on it: <a href="/api/v1/openapi.json">the API's description</a></li>
</ul>
<p><a href="/">To the front page</a></p>"#,
            name = Text(&account.display_name),
            handle = Text(&account.handle),
        ),
    )
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn html(page: impl IntoResponse) -> String {
        let body = page.into_response().into_body();
        String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_somebody_typed_does_not_become_markup() {
        let evil = r#""><script>alert('x')</script>&"#;
        let filled = Filled {
            token: evil,
            handle: evil,
            display_name: evil,
            zone: evil,
        };
        let html = html(form(&filled, Some(evil))).await;
        assert!(!html.contains("<script"));
        assert_eq!(
            html.matches("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)").count(),
            5
        );
    }

    #[tokio::test]
    async fn every_field_has_a_label_and_a_mistake_is_announced() {
        let html = html(form(&Filled::default(), Some("a handle has letters"))).await;
        for field in ["handle", "display_name", "zone", "password", "password_again"] {
            assert!(html.contains(&format!(r#"<label for="{field}">"#)), "{field}");
            assert!(html.contains(&format!(r#"id="{field}""#)), "{field}");
        }
        assert!(html.contains(r#"role="alert""#));
        assert!(html.contains("Europe/Vienna"));
    }

    #[tokio::test]
    async fn a_dead_link_says_how_to_get_a_new_one() {
        assert!(html(link_is_dead()).await.contains("allod account setup-link"));
    }
}
