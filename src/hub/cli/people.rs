//! Accounts, tokens and connections.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Make an account.
    Create {
        /// The handle: letters, digits, - and _.
        handle: String,
        /// The name that people read [default: the handle].
        #[arg(long)]
        name: Option<String>,
        /// The time zone, such as Europe/Lisbon [default: UTC].
        #[arg(long)]
        zone: Option<String>,
    },
    /// Change an account's name or time zone.
    Change {
        /// The handle or id.
        handle: String,
        /// The name that people read.
        #[arg(long)]
        name: Option<String>,
        /// The time zone, such as Europe/Lisbon.
        #[arg(long)]
        zone: Option<String>,
    },
    /// List accounts.
    List,
    /// Print a new one-time set-up link for the first owner.
    SetupLink,
    /// Set an account's password, read as a line from the standard input or asked for.
    SetPassword {
        /// The handle or id.
        handle: String,
    },
    /// Erase an account with everything in it: rows, bodies, jobs, secrets. There is no way back.
    Erase {
        /// The handle or id.
        handle: String,
        /// Don't ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Issue a token; its secret is shown this once.
    Create {
        /// device (reports to /device-events) or api (uses /api/v1).
        #[arg(long, default_value = "api", value_parser = ["api", "device"])]
        kind: String,
        /// What it is for, such as "Alice's phone".
        name: String,
    },
    /// List tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// The token's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// List the installed packs with their connections, those that can't be used too.
    List,
    /// Show what a pack is and wants: hosts, entities, settings, secrets, webhooks, streams.
    Show {
        /// The plugin's id, such as stripe.
        id: String,
    },
    /// Check the pack in a folder without a hub; exits 1 when it has a mistake.
    Check {
        /// The folder.
        path: PathBuf,
    },
    /// Make the folder of a new pack here, to begin with.
    New {
        /// Its id and the folder's name: lower-case letters, digits, hyphens.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Connection {
    /// List the plugins that can be connected.
    Plugins,
    /// Connect a plugin.
    Add {
        /// The plugin's id, such as twilio.
        plugin: String,
        /// What you call it [default: the plugin's id].
        #[arg(long)]
        name: Option<String>,
        /// A setting.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// A secret to ask for, or to read as a line from the standard input; never given as an argument.
        #[arg(long = "secret", value_name = "NAME")]
        secrets: Vec<String>,
        /// A private address range that it may reach, such as 192.168.1.0/24; none is allowed by itself.
        #[arg(long = "allow-range", value_name = "CIDR")]
        ranges: Vec<String>,
    },
    /// List connections with their health.
    List,
    /// Show a connection: settings, health, webhook addresses.
    Show {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Set secrets in place of the ones before, such as a rotated auth token; those not named stay.
    Secret {
        /// The connection's id, or its name where that is the only one.
        id: String,
        /// A secret to ask for, or to read as a line from the standard input; never given as an argument.
        #[arg(required = true, value_name = "NAME")]
        secrets: Vec<String>,
    },
    /// Set all secrets that the plugin needs anew, and let the connection go on.
    Reauthorise {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Print how the connection stands, for somebody whom you ask for help: no secret and no text of yours is in it.
    Diagnose {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Ask the provider whether the settings and secrets are right.
    Test {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Pause a connection.
    Pause {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Let a paused connection go on.
    Resume {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Read what the connection brings now, without waiting for its schedule.
    Sync {
        /// The connection's id, or its name where that is the only one.
        id: String,
        /// Only the stream of this name, as `connection show` lists them.
        #[arg(long)]
        stream: Option<String>,
        /// From the beginning, not from where the last reading came to.
        #[arg(long)]
        whole: bool,
    },
    /// Fetch what the provider may have said while the hub was away.
    Reconcile {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
    /// Remove a connection with its secrets; what it brought stays.
    Remove {
        /// The connection's id, or its name where that is the only one.
        id: String,
    },
}
