//! PNG (W3C, third edition): the chunks that make pixels, colours and frames.

use super::{Pieces, orientation_alone};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
const KEPT: [&[u8; 4]; 18] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT",
];

pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = Pieces { rest: bytes };
    if pieces.array()? != SIGNATURE {
        return None;
    }
    let mut out = SIGNATURE.to_vec();
    // Exif may stand anywhere, and is wanted before the pixels.
    let turned = exif(pieces.rest).and_then(orientation_alone);
    loop {
        let length: [u8; 4] = pieces.array()?;
        let name: [u8; 4] = pieces.array()?;
        let data = pieces.take(usize::try_from(u32::from_be_bytes(length)).ok()?)?;
        pieces.take(4)?;
        if KEPT.contains(&&name) {
            write(&mut out, name, data)?;
        }
        match &name {
            b"IHDR" => {
                if let Some(block) = &turned {
                    write(&mut out, *b"eXIf", block)?;
                }
            }
            b"IEND" => return Some(out),
            _ => {}
        }
    }
}

fn exif(chunks: &[u8]) -> Option<&[u8]> {
    let mut pieces = Pieces { rest: chunks };
    loop {
        let length = u32::from_be_bytes(pieces.array()?);
        let name: [u8; 4] = pieces.array()?;
        let data = pieces.take(usize::try_from(length).ok()?)?;
        pieces.take(4)?;
        if name == *b"eXIf" {
            return Some(data);
        }
    }
}

fn write(out: &mut Vec<u8>, name: [u8; 4], data: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(data.len()).ok()?.to_be_bytes());
    let start = out.len();
    out.extend_from_slice(&name);
    out.extend_from_slice(data);
    let sum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
    Some(())
}
