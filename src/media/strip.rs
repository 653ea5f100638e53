//! What of a picture may leave: its pixels with how they are meant, without where, when, by whom and with what.
//!
//! A part is kept because it is needed to show the picture (a list of what is), never because nobody thought of
//! removing it. Nothing is decoded or encoded again, so no pixel changes. Of Exif only the orientation stays.
//! Invariant: what isn't understood to its end is refused, not passed on. Pure. Begin with [`strip`].

mod gif;
mod jpeg;
mod png;
#[cfg(test)]
pub(crate) mod tests;
mod webp;

use image::metadata::Orientation;

/// The content without metadata, or why it can't be given to others.
pub(crate) fn strip(bytes: &[u8], media_type: &str) -> Result<Vec<u8>, String> {
    let stripped = match media_type {
        "image/jpeg" => jpeg::strip(bytes),
        "image/png" => png::strip(bytes),
        "image/gif" => gif::strip(bytes),
        "image/webp" => webp::strip(bytes),
        "text/plain" | "text/csv" | "text/markdown" => Some(bytes.to_vec()),
        _ => return Err(cant(media_type)),
    };
    stripped.ok_or_else(|| format!("this {media_type} can't be read to its end, so it isn't given to others"))
}

/// True if metadata can be removed from contents of this type.
pub(crate) fn is_known(media_type: &str) -> bool {
    matches!(
        media_type,
        "image/jpeg" | "image/png" | "image/gif" | "image/webp" | "text/plain" | "text/csv" | "text/markdown"
    )
}

/// Why there is nothing to give to others.
pub(crate) fn cant(media_type: &str) -> String {
    format!("metadata can't be removed from {media_type}, so it isn't given to others")
}

/// Reads a content piece by piece; `None` beyond its end.
#[derive(Debug)]
struct Pieces<'a> {
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (piece, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(piece)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|piece| piece[0])
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

/// An Exif block with nothing but how the picture is turned; `None`: it isn't.
fn orientation_alone(exif: &[u8]) -> Option<Vec<u8>> {
    let orientation = Orientation::from_exif_chunk(exif)?;
    if orientation == Orientation::NoTransforms {
        return None;
    }
    // Big-endian TIFF, one directory of one entry: tag 0x0112, type SHORT, one value.
    let mut block = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.push(orientation.to_exif());
    block.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
    Some(block)
}
