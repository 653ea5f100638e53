//! WebP (RFC 9649): pixels, transparency, frames and the colour profile.

use super::{Pieces, orientation_alone};

const KEPT: [&[u8; 4]; 7] = [b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"];
const OF_A_FRAME: [&[u8; 4]; 3] = [b"ALPH", b"VP8 ", b"VP8L"];
/// What VP8X says of metadata.
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
const FRAME_HEAD_BYTES: usize = 16;

pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = Pieces { rest: bytes };
    if pieces.array()? != *b"RIFF" {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(pieces.array()?)).ok()?;
    // What follows the announced end is no part of the picture.
    let mut pieces = Pieces {
        rest: pieces.take(length.min(pieces.rest.len()))?,
    };
    if pieces.array()? != *b"WEBP" {
        return None;
    }
    let (mut chunks, mut exif) = (Vec::new(), None);
    while !pieces.rest.is_empty() {
        let (name, data) = chunk(&mut pieces)?;
        match &name {
            b"EXIF" => exif = exif.or(Some(data)),
            b"ANMF" => chunks.push((name, frame(data)?)),
            name if KEPT.contains(&name) => chunks.push((*name, data.to_vec())),
            _ => {}
        }
    }
    let turned = exif
        .map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
        .and_then(orientation_alone);
    if let Some((_, flags)) = chunks.iter_mut().find(|(name, _)| name == b"VP8X") {
        let first = flags.first_mut()?;
        *first &= !(HAS_EXIF | HAS_XMP);
        if let Some(block) = turned {
            *first |= HAS_EXIF;
            chunks.push((*b"EXIF", block));
        }
    }
    let mut body = b"WEBP".to_vec();
    for (name, data) in chunks {
        write(&mut body, name, &data)?;
    }
    let mut out = b"RIFF".to_vec();
    out.extend_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    out.extend_from_slice(&body);
    Some(out)
}

fn chunk<'a>(pieces: &mut Pieces<'a>) -> Option<([u8; 4], &'a [u8])> {
    let name = pieces.array()?;
    let length = usize::try_from(u32::from_le_bytes(pieces.array()?)).ok()?;
    let data = pieces.take(length)?;
    if length % 2 == 1 && !pieces.rest.is_empty() {
        pieces.take(1)?;
    }
    Some((name, data))
}

/// A frame of an animation, which has chunks of its own.
fn frame(data: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = Pieces { rest: data };
    let mut out = pieces.take(FRAME_HEAD_BYTES)?.to_vec();
    while !pieces.rest.is_empty() {
        let (name, data) = chunk(&mut pieces)?;
        if OF_A_FRAME.contains(&&name) {
            write(&mut out, name, data)?;
        }
    }
    Some(out)
}

fn write(out: &mut Vec<u8>, name: [u8; 4], data: &[u8]) -> Option<()> {
    out.extend_from_slice(&name);
    out.extend_from_slice(&u32::try_from(data.len()).ok()?.to_le_bytes());
    out.extend_from_slice(data);
    if data.len() % 2 == 1 {
        out.push(0);
    }
    Some(())
}
