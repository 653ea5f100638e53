//! An archive of an account: a tar with its graph as JSON-LD in parts (`entities/0001.jsonld`, …) and its files by their
//! SHA-256 (`media/<hash>`). One that somebody unpacked and packed again is as good.
//!
//! Invariant: what stands in an archive is never a path here; entries are read in the order of their names, the graph
//! before the files, whatever their order in the archive; memory is bounded by their number.
//! Begin with [`Archive::open`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// What an archive consists of: headers, and contents filled up to it.
pub(crate) const BLOCK: u64 = 512;
/// Files in an archive.
const ENTRIES_MAX: usize = 200_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Nodes of the graph.
    Graph,
    /// A file with this SHA-256.
    Content([u8; 32]),
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    name: String,
    /// Where its bytes begin in the archive.
    offset: u64,
    pub(crate) size: u64,
    /// How much comes before it when the entries are read in order.
    pub(crate) start: u64,
}

/// The entries of an archive that mean something, in order.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) entries: Vec<Entry>,
}

impl Archive {
    /// Reads what is in an archive, and nothing of it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let (mut entries, mut at) = (Vec::new(), 0);
        while let Some(header) = header(&mut file, at, bytes)? {
            let size = header
                .entry_size()
                .map_err(|_| refused("a file in the archive has no size"))?;
            let offset = at + BLOCK;
            if size > bytes.saturating_sub(offset) {
                return Err(refused("the archive is cut off"));
            }
            let name = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            let kind = kind(&name).filter(|_| header.entry_type().is_file());
            entries.extend(kind.map(|kind| Entry {
                kind,
                name,
                offset,
                size,
                start: 0,
            }));
            if entries.len() > ENTRIES_MAX {
                return Err(refused("an archive has at most 200,000 files"));
            }
            at = offset + size.next_multiple_of(BLOCK);
        }
        entries.sort();
        if entries.first().is_none_or(|first| first.kind != Kind::Graph) {
            return Err(refused(
                "the archive is none of allod's: it has no entities/0001.jsonld",
            ));
        }
        let mut start = 0;
        for entry in &mut entries {
            entry.start = start;
            start = entry.end();
        }
        Ok(Self { entries })
    }
}

impl Entry {
    /// How much is read once it is: its bytes, and one for a file itself, so that an empty one is passed only once it was
    /// looked at.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.size + u64::from(self.kind != Kind::Graph)
    }

    /// Its bytes.
    pub(crate) fn open(&self, path: &Path) -> io::Result<io::Take<File>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }

    /// The name of a file, as an archive bears it.
    pub(crate) fn shown(&self) -> String {
        match self.kind {
            Kind::Graph => "entities".to_owned(),
            Kind::Content(hash) => format!("media/{}", hex::encode(hash)),
        }
    }
}

/// The header at a place; `None`: the archive ends there.
fn header(file: &mut File, at: u64, bytes: u64) -> io::Result<Option<tar::Header>> {
    if bytes.saturating_sub(at) < BLOCK {
        // Its end may be missing; a file in it may not.
        return match at {
            0 => Err(refused("this is no archive")),
            _ => Ok(None),
        };
    }
    file.seek(SeekFrom::Start(at))?;
    let mut header = tar::Header::new_old();
    file.read_exact(header.as_mut_bytes())?;
    if header.as_bytes().iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let sum = |(at, byte): (usize, &u8)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte });
    let sum: u32 = header.as_bytes().iter().enumerate().map(sum).sum();
    if header.cksum().ok() != Some(sum) {
        return Err(refused("this is no archive, or it is damaged"));
    }
    Ok(Some(header))
}

/// By the last two parts of a name; anything else in the archive is passed over.
fn kind(name: &str) -> Option<Kind> {
    let mut parts = name.rsplit('/');
    let (name, folder) = (parts.next()?, parts.next()?);
    match folder {
        "entities" if name.ends_with(".jsonld") && !name.starts_with('.') => Some(Kind::Graph),
        "media" => {
            let mut hash = [0; 32];
            hex::decode_to_slice(name, &mut hash).ok()?;
            Some(Kind::Content(hash))
        }
        _ => None,
    }
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_an_archive_has_a_place_of_its_own_and_an_empty_one_too() {
        let mut packed = tar::Builder::new(Vec::new());
        let name = |byte: &str| format!("media/{}", byte.repeat(32));
        for (name, bytes) in [
            ("entities/0001.jsonld".to_owned(), "{}"),
            (name("00"), ""),
            (name("01"), "a file"),
            (name("02"), ""),
            (name("03"), ""),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            packed.append_data(&mut header, name, bytes.as_bytes()).unwrap();
        }
        let path = std::env::temp_dir().join(format!("allod-etl-{}", uuid::Uuid::now_v7().simple()));
        std::fs::write(&path, packed.into_inner().unwrap()).unwrap();
        let archive = Archive::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let ends: Vec<u64> = archive.entries.iter().map(Entry::end).collect();
        assert_eq!(ends.len(), 5);
        // Who stopped after one begins with the next, and passes over none.
        assert!(ends.is_sorted_by(|one, next| one < next), "{ends:?}");
    }
}
