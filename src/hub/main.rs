//! `allod`: one binary, the hub and its command line.
//!
//! Begin with `services.rs` (the list of services), then `serve.rs` (how they start and stop), then `cli.rs`.

mod cli;
mod client;
mod commands;
mod config;
mod demo;
mod doctor;
mod health;
mod render;
mod serve;
mod services;
mod terminal;
mod times;
mod unprivileged;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::FromArgMatches;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, ConfigCommand, Db, Global, Plugin, Rule, Serve};
use crate::commands::{CommandError, Session};
use crate::config::{Config, Flags, LogFormat};

/// The standard input was closed or the arguments were wrong.
const USAGE: u8 = 2;
/// Another hub has the data directory. The sysexits' word for what may work later; scripts/run waits then.
const LOCKED: u8 = 75;

fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&cli::command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let Command::Completions { shell } = cli.command {
        clap_complete::generate(shell, &mut cli::command(), "allod", &mut std::io::stdout());
        return ExitCode::SUCCESS;
    }
    let serve = if let Command::Serve(serve) = &cli.command {
        serve.clone()
    } else {
        Serve::default()
    };
    let config = match config::load(&flags(&cli.global, &serve)) {
        Ok(config) => config,
        Err(error) => return failed(&error, USAGE),
    };
    let drops_root = match &cli.command {
        Command::Serve(_) => Some(config.data_dir.clone()),
        Command::Demo(demo) if demo.starts_a_hub() => Some(demo::CHECK_HOME.into()),
        _ => None,
    };
    if let Some(data_dir) = drops_root
        && let Err(error) = unprivileged::drop_root(&data_dir)
    {
        return failed(&error, 1);
    }
    log_to_stderr(&config);
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed before");
    }
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(dispatch(cli, config)),
        Err(error) => failed(&error, 1),
    }
}

async fn dispatch(cli: Cli, config: Config) -> ExitCode {
    let session = Session::new(config.control_socket(), &cli.global);
    match cli.command {
        Command::Serve(_) => match serve::run(&config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, if error.is_locked() { LOCKED } else { 1 }),
        },
        Command::Doctor => code(doctor::run(&config, cli.global.json).await),
        Command::Demo(demo) => {
            let played = play(&demo, &session).await;
            played.map_or_else(|error| failed(&error, 1), |()| ExitCode::SUCCESS)
        }
        Command::Config(command) => show_config(&command, &config, cli.global.json),
        Command::Db(command) => database(&command, &config).await,
        Command::Plugin(Plugin::Check { path }) => ended(commands::plugin_check(&session, &path)),
        Command::Plugin(Plugin::New { name }) => ended(commands::plugin_new(&session, &name)),
        Command::Rule(Rule::Check { files }) => ended(commands::rule_check(&session, &files)),
        command => ended(commands::run(&session, command).await),
    }
}

async fn play(demo: &cli::Demo, session: &Session) -> Result<(), demo::DemoError> {
    #[cfg(feature = "failpoints")]
    if demo.kill_points {
        return demo::kill_points().await;
    }
    if demo.check {
        demo::check().await
    } else {
        demo::play(&session.client).await
    }
}

fn ended(outcome: Result<(), CommandError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Unwell) => ExitCode::FAILURE,
        Err(error @ CommandError::Usage(_)) => failed(&error, USAGE),
        Err(error) => failed(&error, 1),
    }
}

fn code(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Says what went wrong, with everything below it.
#[expect(clippy::print_stderr, reason = "this is where a command's error goes")]
fn failed(error: &dyn std::error::Error, code: u8) -> ExitCode {
    eprintln!(
        "error: {}",
        render::printable(&render::in_zone(&error.to_string()))
    );
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {}", render::printable(&cause.to_string()));
        source = cause.source();
    }
    ExitCode::from(code)
}

fn flags(global: &Global, serve: &Serve) -> Flags {
    let mut flags = Flags {
        file: global.config.clone(),
        ..Flags::default()
    };
    let data_dir = global.data_dir.as_ref().map(|dir| dir.display().to_string());
    for (key, value) in [
        ("data_dir", data_dir),
        ("listen", serve.listen.clone()),
        ("domain", serve.domain.clone()),
    ] {
        if let Some(value) = value {
            flags.set.insert(key, value);
        }
    }
    flags
}

fn log_to_stderr(config: &Config) {
    let mut filter = EnvFilter::try_new(&config.log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    // The library logs each line that it writes to a mail server, passwords included.
    if let Ok(off) = "async_imap=off".parse() {
        filter = filter.add_directive(off);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match config.log.format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(installed); // only a second one in the same process could fail
}

fn show_config(command: &ConfigCommand, config: &Config, json: bool) -> ExitCode {
    let missing = config.missing();
    match command {
        ConfigCommand::Check if !missing.is_empty() => {
            let text = format!(
                "the configuration names what isn't there:\n  {}",
                missing.join("\n  ")
            );
            return failed(&CommandError::Usage(text), USAGE);
        }
        ConfigCommand::Check if json => render::json(&serde_json::json!({ "valid": true })),
        ConfigCommand::Check => render::line("the configuration is valid"),
        ConfigCommand::Show if json => match serde_json::to_value(config.without_secrets()) {
            Ok(value) => render::json(&value),
            Err(error) => return failed(&error, 1),
        },
        ConfigCommand::Show => match toml::to_string_pretty(&config.without_secrets()) {
            Ok(text) => render::line(text.trim_end()),
            Err(error) => return failed(&error, 1),
        },
    }
    ExitCode::SUCCESS
}

async fn database(command: &Db, config: &Config) -> ExitCode {
    let database = serve::database_config(config);
    let name = match spine::database::database_name(database.external.as_ref()) {
        Ok(name) => name,
        Err(error) => return failed(&error, 1),
    };
    match command {
        Db::Sql => render::line(spine::database::doctor_sql(&name)),
        Db::Init { reset_passwords } => {
            let (Some(external), Ok(admin)) = (database.external, std::env::var("ALLOD_DATABASE_ADMIN_URL"))
            else {
                let missing =
                    "set DATABASE_URL (the server) and ALLOD_DATABASE_ADMIN_URL (its administrator) first";
                return failed(&CommandError::Usage(missing.to_owned()), USAGE);
            };
            let order = spine::database::DbInit {
                admin_url: admin,
                external,
                data_dir: config.data_dir.clone(),
                reset_passwords: *reset_passwords,
            };
            match spine::database::db_init(&order).await {
                Ok(_) => render::line(format!(
                    "database {name} and the hub's roles are ready; start with `allod serve`"
                )),
                Err(error) => return failed(&error, 1),
            }
        }
    }
    ExitCode::SUCCESS
}
