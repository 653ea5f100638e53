//! `allod doctor`: finds what keeps the hub from running, and says what to do. Needs no running hub.

use std::os::unix::fs::MetadataExt;

use spine::database;

use crate::client::Client;
use crate::config::Config;
use crate::render;

/// Room that a database and its log need to grow for some days.
const SPACE_MB_MIN: u64 = 500;

/// One thing that was looked at.
struct Finding {
    well: bool,
    what: &'static str,
    detail: String,
}

/// Prints each finding; true when all is well.
pub(crate) async fn run(config: &Config, json: bool) -> bool {
    let findings = [
        data_directory(config),
        space(config),
        packs(config),
        listen(config).await,
        running(config).await,
        media(config).await,
        postgres(config),
    ];
    let well = findings.iter().all(|finding| finding.well);
    if json {
        let rows = findings
            .iter()
            .map(|finding| serde_json::json!({ "well": finding.well, "what": finding.what, "detail": finding.detail }));
        render::json(&rows.collect());
        return well;
    }
    for finding in &findings {
        let mark = if finding.well { "ok" } else { "PROBLEM" };
        render::line(format!("{mark:<8} {:<16} {}", finding.what, finding.detail));
    }
    if config.database.url.is_some()
        && !well
        && let Ok(name) = database::database_name(crate::serve::database_config(config).external.as_ref())
    {
        render::line("\nThe roles of an external database are made by `allod db init`, or by this SQL:\n");
        render::line(database::doctor_sql(&name));
    }
    well
}

fn data_directory(config: &Config) -> Finding {
    let what = "data directory";
    let shown = config.data_dir.display();
    match std::fs::metadata(&config.data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Finding {
            well: true,
            what,
            detail: format!("{shown} will be made at the first start"),
        },
        Err(error) => Finding {
            well: false,
            what,
            detail: format!("{shown}: {error}"),
        },
        Ok(meta) if meta.mode() & 0o077 != 0 => Finding {
            well: false,
            what,
            detail: format!("{shown} is open to other users: chmod 700 {shown}"),
        },
        Ok(_) => Finding {
            well: true,
            what,
            detail: shown.to_string(),
        },
    }
}

fn space(config: &Config) -> Finding {
    let what = "free space";
    let mut at = config.data_dir.as_path();
    while !at.exists() {
        let Some(parent) = at.parent() else { break };
        at = parent;
    }
    match crate::health::free_bytes(at) {
        Ok(free) => {
            let megabytes = free / 1_000_000;
            let well = megabytes >= SPACE_MB_MIN;
            let mut detail = format!("{megabytes} MB below {}", at.display());
            if !well {
                detail.push_str(
                    ": the disk is full or soon will be; make room, or stop the hub and move the data directory to a larger \
                     disk. What was taken in is safe, and the hub goes on by itself when there is room",
                );
            }
            Finding { well, what, detail }
        }
        Err(error) => Finding {
            well: false,
            what,
            detail: format!("{}: {error}", at.display()),
        },
    }
}

fn packs(config: &Config) -> Finding {
    let folders = [config.packs_dir(), config.recipes_dir()];
    let missing: Vec<_> = folders
        .iter()
        .filter(|dir| !dir.is_dir())
        .map(|dir| dir.display().to_string())
        .collect();
    if missing.is_empty() {
        return Finding {
            well: true,
            what: "packs and rules",
            detail: folders.map(|dir| dir.display().to_string()).join(", "),
        };
    }
    Finding {
        well: false,
        what: "packs and rules",
        detail: format!("not there: {}; set packs_dir and recipes_dir", missing.join(", ")),
    }
}

async fn listen(config: &Config) -> Finding {
    let what = "address";
    // A running hub may have been told another one at its start.
    if let Some(status) = status(config).await {
        let listen = render::cell(&status, "hub.listen");
        return Finding {
            well: true,
            what,
            detail: format!("the hub listens on {listen}"),
        };
    }
    match tokio::net::TcpListener::bind(config.listen).await {
        Ok(_) => Finding {
            well: true,
            what,
            detail: format!("{} is free", config.listen),
        },
        Err(error) => Finding {
            well: false,
            what,
            detail: format!(
                "{}: {error}; choose another with listen or ALLOD_LISTEN",
                config.listen
            ),
        },
    }
}

/// What the running hub says of itself; none: it doesn't run.
async fn status(config: &Config) -> Option<serde_json::Value> {
    Client::new(config.control_socket(), None)
        .get("/status")
        .await
        .ok()
}

async fn running(config: &Config) -> Finding {
    let detail = if status(config).await.is_some() {
        "a hub runs here and answers"
    } else {
        "no hub runs here now"
    };
    Finding {
        well: true,
        what: "hub",
        detail: detail.to_owned(),
    }
}

/// Whether what accounts keep lies in the store; only a running hub can say.
async fn media(config: &Config) -> Finding {
    let what = "media";
    let client = Client::new(config.control_socket(), None);
    let Ok(accounts) = client.get("/accounts").await else {
        return Finding {
            well: true,
            what,
            detail: "is looked at while the hub runs".to_owned(),
        };
    };
    let (mut kept, mut lost, mut unasked) = (0, Vec::new(), 0);
    for account in render::list(&accounts) {
        let id = render::cell(account, "id");
        match client.with_account(&id).get("/media/check").await {
            Ok(report) => {
                kept += report["contents"].as_u64().unwrap_or(0);
                if report["well"] == false {
                    lost.push(render::cell(account, "handle"));
                }
            }
            Err(_) => unasked += 1,
        }
    }
    let detail = match (lost.is_empty(), unasked) {
        (true, 0) => format!("{kept} files, all of them there"),
        (true, _) => "the store can't be asked: the hub's log says why".to_owned(),
        (false, _) => format!(
            "files are missing in the store for {}: `allod media check --account HANDLE` names them; put the store back, or \
             add them again",
            lost.join(", ")
        ),
    };
    Finding {
        well: lost.is_empty() && unasked == 0,
        what,
        detail,
    }
}

fn postgres(config: &Config) -> Finding {
    let what = "PostgreSQL";
    if config.database.url.is_some() {
        return Finding {
            well: true,
            what,
            detail: "an external one, by DATABASE_URL".to_owned(),
        };
    }
    match database::installed(config.postgres_bin.as_deref()) {
        Ok(found) => Finding {
            well: true,
            what,
            detail: found,
        },
        Err(error) => Finding {
            well: false,
            what,
            detail: error.to_string(),
        },
    }
}
