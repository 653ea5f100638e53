//! `allod export`: everything of the account in one format, to a file or to the standard output.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use http::Method;
use http_body_util::BodyExt;

use super::{CommandError, Session};
use crate::cli::Export;
use crate::client::escape;
use crate::render;

pub(super) async fn run(session: &Session, export: Export) -> Result<(), CommandError> {
    if export.format == "archive"
        && file(export.output.as_deref()).is_none()
        && std::io::stdout().is_terminal()
    {
        return Err(CommandError::Usage(
            "an archive is no text: name a file, such as `-o allod.tar`".to_owned(),
        ));
    }
    let target = format!("/export?format={}", escape(&export.format));
    let body = session.client.stream(Method::GET, &target, None).await?;
    save(body, export.output.as_deref()).await
}

/// The file that is meant; none: the standard output, which is also called `-`.
fn file(output: Option<&Path>) -> Option<&Path> {
    output.filter(|path| *path != Path::new("-"))
}

/// Writes what comes to a file that nobody else may read, or to the standard output.
pub(super) async fn save(body: hyper::body::Incoming, output: Option<&Path>) -> Result<(), CommandError> {
    match file(output) {
        None if std::io::stdout().is_terminal() => write(body, &mut Harmless::default()).await.map(drop),
        None => write(body, &mut std::io::stdout().lock()).await.map(drop),
        Some(path) => {
            let failed = |error: std::io::Error| {
                CommandError::Failed(format!("{} can't be written: {error}", path.display()))
            };
            let bytes = replace(body, path, failed).await?;
            render::line(format!("{bytes} bytes in {}", path.display()));
            Ok(())
        }
    }
}

/// Writes beside the file and takes its place at the end: nobody but its owner reads what she exports, whoever could read
/// the file before; and one that breaks off leaves the one before as it was.
async fn replace(
    body: hyper::body::Incoming,
    path: &Path,
    failed: impl Fn(std::io::Error) -> CommandError,
) -> Result<u64, CommandError> {
    // What a link leads to is replaced, not the link; a device or a pipe is no file that could be.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        return write(body, &mut options.open(&path).map_err(failed)?).await;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let mut file = options.create_new(true).open(&beside).map_err(&failed)?;
    let written = write(body, &mut file).await;
    let moved = written.and_then(|bytes| {
        file.sync_all().map_err(&failed)?;
        std::fs::rename(&beside, path).map_err(&failed)?;
        Ok(bytes)
    });
    if moved.is_err() {
        // It may not be there any more.
        let _ = std::fs::remove_file(&beside);
    }
    moved
}

/// Writes what comes as it comes; the command does nothing else meanwhile.
async fn write(mut body: hyper::body::Incoming, out: &mut impl Write) -> Result<u64, CommandError> {
    let failed = |error: std::io::Error| CommandError::Failed(format!("it can't be written: {error}"));
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            CommandError::Failed("the hub broke it off; what was written is not whole".to_owned())
        })?;
        if let Ok(data) = frame.into_data() {
            bytes += data.len() as u64;
            out.write_all(&data).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(bytes)
}

/// The terminal, as a place for bytes of strangers: it gets them as text that it doesn't obey.
#[derive(Default)]
struct Harmless {
    /// The beginning of a character whose end has not come.
    rest: Vec<u8>,
}

impl Harmless {
    fn text(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let left = self.rest.split_off(whole);
        let text = String::from_utf8_lossy(&self.rest).replace("\r\n", "\n");
        self.rest = left;
        render::printable(&text)
    }
}

impl Write for Harmless {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = self.text(bytes);
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stdout().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_text_that_it_does_not_obey_wherever_the_pieces_are_cut() {
        let bytes = "Ä\u{1b}]0;evil\u{7}\r\nb".as_bytes();
        for cut in 0..bytes.len() {
            let mut out = Harmless::default();
            let text = [out.text(&bytes[..cut]), out.text(&bytes[cut..])].concat();
            assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
            assert!(text.starts_with("Ä\\u{1b}]0;evil\\u{7}"), "{text:?}");
        }
    }
}
