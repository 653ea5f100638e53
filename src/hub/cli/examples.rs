//! What `--help` of each command teaches by example.
//!
//! Invariant: every command has an example, and every example is one that the command line takes; a test parses them.

use clap::CommandFactory;

use super::Cli;

/// An id, as they look.
macro_rules! id {
    () => {
        "0197b4a2-7c1e-7d30-9a55-1f2e3d4c5b6a"
    };
}

/// Examples by command; the first word of each, `allod`, is left out.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "serve",
        &["serve", "serve --listen 127.0.0.1:8640 --domain hub.example"],
    ),
    ("status", &["status", "status --json"]),
    ("doctor", &["doctor"]),
    ("demo", &["demo", "demo --check"]),
    (
        "account create",
        &["account create alice --name \"Alice Liddell\" --zone Europe/Lisbon"],
    ),
    ("account change", &["account change alice --zone Europe/Vienna"]),
    ("account list", &["account list"]),
    ("account setup-link", &["account setup-link"]),
    ("account set-password", &["account set-password alice"]),
    ("account erase", &["account erase alice"]),
    (
        "token create",
        &[
            "token create \"Alice's phone\" --kind device",
            "token create backup",
        ],
    ),
    ("token list", &["token list"]),
    ("token revoke", &[concat!("token revoke ", id!())]),
    ("plugin list", &["plugin list"]),
    ("plugin show", &["plugin show stripe"]),
    ("plugin check", &["plugin check my-shop"]),
    ("plugin new", &["plugin new my-shop"]),
    ("connection plugins", &["connection plugins"]),
    (
        "connection add",
        &[
            "connection add twilio --name home --set account_sid=AC0123 --secret auth_token",
            "connection add feed --allow-range 192.168.1.0/24",
        ],
    ),
    ("connection list", &["connection list"]),
    ("connection show", &["connection show home"]),
    ("connection secret", &["connection secret home auth_token"]),
    ("connection reauthorise", &["connection reauthorise home"]),
    ("connection diagnose", &["connection diagnose home"]),
    ("connection test", &["connection test home"]),
    ("connection pause", &["connection pause home"]),
    ("connection resume", &["connection resume home"]),
    (
        "connection sync",
        &[
            "connection sync home",
            "connection sync shop --stream orders --whole",
        ],
    ),
    ("connection reconcile", &["connection reconcile home"]),
    ("connection remove", &["connection remove home"]),
    (
        "entity list",
        &[
            "entity list --type Person --name sam",
            "entity list --identifier tel:+14155552671",
            "entity list --deleted",
            "entity list --type Place --all --json",
        ],
    ),
    ("entity show", &["entity show me", concat!("entity show ", id!())]),
    ("entity types", &["entity types", "entity types Person"]),
    (
        "entity add",
        &[
            "entity add Person Sam --tel +14155552671 --relation partner --set birthday=1990-05-01",
            "entity add Place Work --set latitude=48.2 --set longitude=16.37 --set radius_m=100",
        ],
    ),
    (
        "entity edit",
        &[
            concat!(
                "entity edit ",
                id!(),
                " --set nickname=Sammy --email sam@example.org"
            ),
            concat!("entity edit ", id!(), " --unset nickname"),
        ],
    ),
    (
        "entity merge",
        &[concat!(
            "entity merge ",
            id!(),
            " 0197b4a2-7c1e-7d30-9a55-1f2e3d4c5b6b"
        )],
    ),
    ("entity unmerge", &[concat!("entity unmerge ", id!())]),
    (
        "entity distinct",
        &[concat!(
            "entity distinct ",
            id!(),
            " 0197b4a2-7c1e-7d30-9a55-1f2e3d4c5b6b"
        )],
    ),
    ("entity delete", &[concat!("entity delete ", id!())]),
    (
        "entity erase",
        &[concat!("entity erase ", id!(), " --with-timeline")],
    ),
    ("entity restore", &[concat!("entity restore ", id!())]),
    (
        "entity history",
        &["entity history me", "entity history me --at yesterday"],
    ),
    ("entity neighbours", &["entity neighbours me --depth 2"]),
    (
        "relation list",
        &["relation list me", "relation list me --predicate friend --all"],
    ),
    ("relation add", &[concat!("relation add me partner ", id!())]),
    ("relation remove", &[concat!("relation remove ", id!())]),
    (
        "timeline",
        &[
            "timeline --since yesterday",
            concat!(
                "timeline ",
                id!(),
                " --type Message --since 2026-05-01 --until 2026-06-01"
            ),
            "timeline --since 2h",
        ],
    ),
    (
        "upcoming",
        &[
            "upcoming",
            "upcoming --until tomorrow --kind event --kind due",
            "upcoming --until 4w --all",
        ],
    ),
    ("merges list", &["merges list", "merges list --standing merged"]),
    ("merges accept", &[concat!("merges accept ", id!())]),
    ("merges refuse", &[concat!("merges refuse ", id!())]),
    (
        "record list",
        &[
            "record list --source import/",
            "record list --status parked --all",
        ],
    ),
    (
        "record parked",
        &["record parked", "record parked --source twilio/"],
    ),
    ("record retry", &[concat!("record retry ", id!())]),
    (
        "import",
        &[
            "import contacts.vcf --wait",
            "import calendar.ics",
            "import all.mbox --type mbox",
        ],
    ),
    ("import list", &["import list"]),
    ("import show", &[concat!("import show ", id!())]),
    ("import cancel", &[concat!("import cancel ", id!())]),
    (
        "export",
        &["export --format jsonld -o allod.jsonld", "export --format ical"],
    ),
    ("media add", &["media add photo.jpg scan.pdf"]),
    (
        "media list",
        &["media list --type image/", "media list --all --json"],
    ),
    ("media show", &[concat!("media show ", id!())]),
    (
        "media get",
        &[
            concat!("media get ", id!(), " -o photo.jpg"),
            concat!("media get ", id!(), " --rendition public -o to-give-away.jpg"),
        ],
    ),
    ("media remove", &[concat!("media remove ", id!())]),
    ("media check", &["media check"]),
    (
        "etl reprocess",
        &["etl reprocess", "etl reprocess --source import/vcard"],
    ),
    (
        "task add",
        &[
            "task add \"Ring Sam\" --due \"tomorrow 9:30\" --remind 15m",
            "task add \"Water the plants\" --due monday --repeat \"FREQ=WEEKLY;BYDAY=MO,TH\"",
            concat!("task add \"Paint the wall\" --goal ", id!()),
        ],
    ),
    (
        "task list",
        &[
            "task list",
            "task list --due-before tomorrow",
            "task list --status completed --name paint",
        ],
    ),
    ("task show", &[concat!("task show ", id!())]),
    (
        "task edit",
        &[
            concat!("task edit ", id!(), " --due friday --priority 1"),
            concat!("task edit ", id!(), " --unset repeat --unset remind"),
        ],
    ),
    (
        "task done",
        &[
            concat!("task done ", id!()),
            concat!("task done ", id!(), " --occurrence 2026-05-01"),
        ],
    ),
    ("task reopen", &[concat!("task reopen ", id!())]),
    ("task cancel", &[concat!("task cancel ", id!())]),
    ("goal add", &["goal add \"Move house\" --due 2026-09-01"]),
    (
        "goal edit",
        &[
            concat!("goal edit ", id!(), " --progress 0.5"),
            concat!(
                "goal edit ",
                id!(),
                " --title \"Move to the sea\" --unset progress"
            ),
        ],
    ),
    (
        "goal move",
        &[concat!(
            "goal move ",
            id!(),
            " --parent 0197b4a2-7c1e-7d30-9a55-1f2e3d4c5b6b"
        )],
    ),
    ("goal list", &["goal list", "goal list --status all --name house"]),
    ("goal show", &[concat!("goal show ", id!())]),
    ("goal done", &[concat!("goal done ", id!())]),
    ("goal cancel", &[concat!("goal cancel ", id!())]),
    ("goal reopen", &[concat!("goal reopen ", id!())]),
    (
        "schedule add",
        &[
            "schedule add morning --cron \"0 9 * * 1-5\"",
            "schedule add last-friday --rrule \"FREQ=MONTHLY;BYDAY=-1FR\" --starts \"2026-05-29 17:00\"",
        ],
    ),
    ("schedule list", &["schedule list"]),
    ("schedule pause", &["schedule pause morning"]),
    ("schedule resume", &["schedule resume morning"]),
    ("schedule remove", &["schedule remove morning"]),
    (
        "state",
        &[
            "state",
            "state me.place --history --since yesterday",
            "state --prefix home. --follow",
        ],
    ),
    (
        "state set",
        &["state set home.temperature 21.5 --unit °C --valid-for 30m"],
    ),
    ("state retract", &["state retract me.place"]),
    (
        "state validity",
        &[
            "state validity me.place 12h",
            "state validity home.window forever",
        ],
    ),
    (
        "event tail",
        &[
            "event tail -n 20 --follow",
            "event tail --type data.EntityCreated --before 1200",
        ],
    ),
    ("event parked", &["event parked"]),
    ("event retry", &[concat!("event retry rules ", id!())]),
    ("event replay", &["event replay state --after 0"]),
    ("job list", &["job list --state failed", "job list --dead --all"]),
    ("job show", &[concat!("job show ", id!())]),
    ("job retry", &[concat!("job retry ", id!())]),
    ("job cancel", &[concat!("job cancel ", id!())]),
    ("rule list", &["rule list"]),
    ("rule check", &["rule check my-rules/"]),
    ("rule add", &["rule add my-rules/partner.rhai"]),
    ("rule show", &["rule show partner-at-work"]),
    ("rule enable", &["rule enable partner-at-work --input place=Work"]),
    ("rule disable", &["rule disable partner-at-work"]),
    ("rule remove", &["rule remove partner-at-work"]),
    ("rule run", &[concat!("rule run partner-at-work --event ", id!())]),
    (
        "rule runs",
        &["rule runs --rule partner-at-work", "rule runs --all --json"],
    ),
    ("rule trace", &[concat!("rule trace ", id!())]),
    (
        "audit list",
        &["audit list -n 20 --before 1200", "audit list --follow"],
    ),
    ("audit verify", &["audit verify"]),
    ("config show", &["config show"]),
    ("config check", &["config check"]),
    ("db init", &["db init"]),
    ("db sql", &["db sql"]),
    ("completions", &["completions bash"]),
];

/// What stands below the examples of some.
const NOTES: &[(&str, &str)] = &[
    (
        "schedule add",
        "In a rule:\n  on: \"intention.ScheduleFired\", where: #{ \"name\": \"morning\" }",
    ),
    (
        "media add",
        "What a file is, its content decides. Small pictures and a copy without metadata are made in the background.",
    ),
    (
        "event tail",
        "`allod event tail --correlation ID` shows everything that one occurrence set off.",
    ),
];

/// The command line with its examples.
pub(crate) fn command() -> clap::Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (path, examples)| {
        let lines: Vec<String> = examples.iter().map(|one| format!("  allod {one}")).collect();
        let note = NOTES.iter().find(|(of, _)| of == path);
        let note = note.map(|(_, note)| format!("\n\n{note}")).unwrap_or_default();
        let help = format!("Examples:\n{}{note}", lines.join("\n"));
        let path: Vec<&str> = path.split(' ').collect();
        taught(command, &path, help)
    })
}

fn taught(command: clap::Command, path: &[&'static str], help: String) -> clap::Command {
    match path.split_first() {
        None => command.after_help(help),
        Some((first, rest)) => command.mut_subcommand(first, |below| taught(below, rest, help)),
    }
}

#[cfg(test)]
mod tests;
