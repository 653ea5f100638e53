//! Asking the person at the terminal: secrets are not shown while they are typed.
//!
//! Invariant: what the terminal was set to before is set again, whatever comes of the question.

use std::io::{BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::commands::CommandError;

/// True if somebody is there to be asked.
pub(crate) fn is_there() -> bool {
    std::io::stdin().is_terminal()
}

/// One line of the standard input, without its end; at a terminal it is asked for and not shown.
pub(crate) fn secret(name: &str) -> std::io::Result<String> {
    let hidden = if is_there() {
        Some(Hidden::begin(name)?)
    } else {
        None
    };
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if hidden.is_some() {
        say("\n")?;
    }
    drop(hidden);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether the person at the terminal really means to erase something: she types `word` for it.
pub(crate) fn confirmed(what: &str, word: &str) -> Result<bool, CommandError> {
    let usage = |error: std::io::Error| CommandError::Usage(error.to_string());
    if !is_there() {
        return Err(CommandError::Usage(
            "erasing needs --yes when nobody is there to ask".to_owned(),
        ));
    }
    say(&format!(
        "This erases everything of {what}, for ever. Type {word} to go on: "
    ))
    .map_err(usage)?;
    let mut typed = String::new();
    std::io::stdin().lock().read_line(&mut typed).map_err(usage)?;
    Ok(typed.trim() == word)
}

/// While it lives, the terminal shows nothing that is typed.
struct Hidden(Termios);

impl Hidden {
    fn begin(name: &str) -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent)?;
        let hidden = Self(before);
        say(&format!("{name} (not shown while you type): "))?;
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

fn say(text: &str) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    err.write_all(text.as_bytes())?;
    err.flush()
}
