//! JPEG (ITU-T T.81): tables, frames and scans, JFIF without its small picture, the colour profile, Adobe's colour word.

use super::{Pieces, orientation_alone};

const SOI: [u8; 2] = [0xff, 0xd8];
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;

pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = Pieces { rest: bytes };
    if pieces.array()? != SOI {
        return None;
    }
    let (mut kept, mut jfif, mut exif) = (Vec::with_capacity(bytes.len()), None, None);
    loop {
        let marker = marker(&mut pieces)?;
        if marker == EOI {
            // Whatever follows (further pictures, films, a phone's notes) is no part of this picture.
            break;
        }
        let length = usize::from(u16::from_be_bytes(pieces.array()?));
        let segment = pieces.take(length.checked_sub(2)?)?;
        match marker {
            APP0 if segment.starts_with(b"JFIF\0") && jfif.is_none() => jfif = Some(plain_jfif(segment)?),
            APP1 if segment.starts_with(b"Exif\0\0") && exif.is_none() => exif = Some(&segment[6..]),
            APP2 if segment.starts_with(b"ICC_PROFILE\0") => write(&mut kept, marker, segment)?,
            APP14 if segment.starts_with(b"Adobe") => write(&mut kept, marker, segment)?,
            SOS => {
                write(&mut kept, marker, segment)?;
                kept.extend_from_slice(scan(&mut pieces)?);
            }
            // SOF0 to SOF15 with DHT and DAC, DQT, DNL, DRI, DHP, EXP.
            0xc0..=0xcf | 0xdb..=0xdf => write(&mut kept, marker, segment)?,
            // Other APPn, comments, and what was never used.
            0xe0..=0xfe | 0x02..=0xbf => {}
            // RSTn and SOI have no length; here they make no sense.
            _ => return None,
        }
    }
    let mut out = SOI.to_vec();
    if let Some(jfif) = jfif {
        write(&mut out, APP0, &jfif)?;
    }
    if let Some(block) = exif.and_then(orientation_alone) {
        write(&mut out, APP1, &[b"Exif\0\0", block.as_slice()].concat())?;
    }
    out.extend_from_slice(&kept);
    out.extend_from_slice(&[0xff, EOI]);
    Some(out)
}

/// The next marker; bytes 0xff before it only fill.
fn marker(pieces: &mut Pieces<'_>) -> Option<u8> {
    if pieces.byte()? != 0xff {
        return None;
    }
    loop {
        match pieces.byte()? {
            0xff => {}
            0 => return None,
            marker => return Some(marker),
        }
    }
}

/// The coded pixels of a scan, up to the next marker that isn't of the scan itself.
fn scan<'a>(pieces: &mut Pieces<'a>) -> Option<&'a [u8]> {
    let mut at = 0;
    loop {
        at += pieces.rest.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        match pieces.rest.get(at + 1)? {
            // A coded 0xff, and the marks at which decoding can start again.
            0 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return pieces.take(at),
        }
    }
}

/// JFIF's head, saying that there is no small picture.
fn plain_jfif(segment: &[u8]) -> Option<Vec<u8>> {
    let mut head = segment.get(..12)?.to_vec();
    head.extend_from_slice(&[0, 0]);
    Some(head)
}

fn write(out: &mut Vec<u8>, marker: u8, segment: &[u8]) -> Option<()> {
    let length = u16::try_from(segment.len() + 2).ok()?;
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(segment);
    Some(())
}
