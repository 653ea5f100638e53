//! GIF (89a): frames with their timing, and how often they are repeated.

use super::Pieces;

const REPEATS: [&[u8]; 2] = [b"NETSCAPE2.0", b"ANIMEXTS1.0"];

pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = Pieces { rest: bytes };
    let head = pieces.take(13)?;
    if !head.starts_with(b"GIF87a") && !head.starts_with(b"GIF89a") {
        return None;
    }
    let mut out = head.to_vec();
    out.extend_from_slice(pieces.take(colours(head[10]))?);
    loop {
        match pieces.byte()? {
            0x21 => {
                let label = pieces.byte()?;
                let before = pieces.rest;
                let first = first_block(before);
                let blocks = blocks(&mut pieces)?;
                let kept = label == 0xf9 || label == 0xff && first.is_some_and(|id| REPEATS.contains(&id));
                if kept {
                    out.extend_from_slice(&[0x21, label]);
                    out.extend_from_slice(blocks);
                }
            }
            0x2c => {
                let frame = pieces.take(9)?;
                out.push(0x2c);
                out.extend_from_slice(frame);
                out.extend_from_slice(pieces.take(colours(frame[8]))?);
                out.push(pieces.byte()?);
                out.extend_from_slice(blocks(&mut pieces)?);
            }
            0x3b => {
                out.push(0x3b);
                return Some(out);
            }
            _ => return None,
        }
    }
}

/// Bytes of the colour table that these flags announce.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 {
        0
    } else {
        3 << ((flags & 7) + 1)
    }
}

fn first_block(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first()?;
    rest.get(..usize::from(*length))
}

/// Blocks up to the empty one, with it.
fn blocks<'a>(pieces: &mut Pieces<'a>) -> Option<&'a [u8]> {
    let all = pieces.rest;
    loop {
        let length = usize::from(pieces.byte()?);
        pieces.take(length)?;
        if length == 0 {
            return Some(&all[..all.len() - pieces.rest.len()]);
        }
    }
}
