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
    let to_terminal = export.output.is_none() && std::io::stdout().is_terminal();
    if export.format == "archive" && to_terminal {
        return Err(CommandError::Usage(
            "an archive is no text: name a file, such as `-o allod.tar`".to_owned(),
        ));
    }
    let target = format!("/export?format={}", escape(&export.format));
    let body = session.client.stream(Method::GET, &target, None).await?;
    save(body, export.output.as_deref()).await
}

/// Writes what comes to a file that nobody else may read, or to the standard output.
pub(super) async fn save(body: hyper::body::Incoming, output: Option<&Path>) -> Result<(), CommandError> {
    match output.filter(|path| *path != Path::new("-")) {
        None if std::io::stdout().is_terminal() => write(body, &mut Shown::new(std::io::stdout().lock()))
            .await
            .map(drop),
        None => write(body, &mut std::io::stdout().lock()).await.map(drop),
        Some(path) => {
            let failed = |error: std::io::Error| {
                CommandError::Usage(format!("{} can't be written: {error}", path.display()))
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

/// A terminal, which is shown strangers' text and obeys none of it: control characters are `?` there. A file and a pipe
/// get every byte.
struct Shown<W> {
    out: W,
    /// The last byte may begin a control character of two.
    is_c2: bool,
}

impl<W> Shown<W> {
    fn new(out: W) -> Self {
        Self { out, is_c2: false }
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut shown = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if std::mem::take(&mut self.is_c2) {
                match byte {
                    0x80..0xa0 => {
                        shown.push(b'?');
                        continue;
                    }
                    _ => shown.push(0xc2),
                }
            }
            match byte {
                // Held back until it is known what it begins.
                0xc2 => self.is_c2 = true,
                b'\r' => {}
                b'\n' | b'\t' => shown.push(byte),
                0..=0x1f | 0x7f => shown.push(b'?'),
                _ => shown.push(byte),
            }
        }
        self.out.write_all(&shown)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Writes what comes as it comes; the command does nothing else meanwhile.
async fn write(mut body: hyper::body::Incoming, out: &mut impl Write) -> Result<u64, CommandError> {
    let failed = |error: std::io::Error| CommandError::Usage(format!("it can't be written: {error}"));
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            CommandError::Usage("the hub broke it off; what was written is not whole".to_owned())
        })?;
        if let Ok(data) = frame.into_data() {
            bytes += data.len() as u64;
            out.write_all(&data).map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_text_and_obeys_none_of_it() {
        let mut shown = Shown::new(Vec::new());
        for piece in [
            "a\u{1b}]0;x\u{7}\r\n\tÄ\u{9b}".as_bytes(),
            &[0xc2],
            &[0x9b, 0xc2],
            "\u{a7}é".as_bytes().get(1..).unwrap(),
        ] {
            shown.write_all(piece).unwrap();
        }
        assert_eq!(String::from_utf8(shown.out).unwrap(), "a?]0;x?\n\tÄ??§é");
    }
}
