//! Secrets at rest: the instance's keys, sealing (AEAD bound to the place of the secret) and keyed hashes.
//!
//! Invariant: the master key lies outside the database, readable by the hub's user alone; a sealed value opens only
//! at the place that it was sealed for; every sealed value names its key's version, for rotation.
//! Begin with [`Vault::open_for`].

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::log::chain::ChainKey;

/// Version 1: XChaCha20-Poly1305, 24-byte nonce, key derived from the master key.
const FORMAT: u8 = 1;
const NONCE_LEN: usize = 24;

/// Why a secret could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file can't be read or made.
    #[error("the key file {path} can't be used")]
    KeyFile {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The key file is gone, and there is data that only its key opens.
    #[error(
        "the key file {path} is missing, and the hub has data that only this key opens
  hint: put it back from your backup, owned by the hub's user; a new key would open none of the stored secrets"
    )]
    KeyMissing {
        /// The file.
        path: String,
    },
    /// The key file does not hold a key.
    #[error("the key file {path} does not hold 32 bytes in hex; restore it from your backup")]
    BadKey {
        /// The file.
        path: String,
    },
    /// The value was not sealed here, for this place, by this key.
    #[error("a sealed value can't be opened: it was changed, moved or sealed with another key")]
    Unsealable,
}

/// Seals and opens secrets. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    master: Arc<Zeroizing<[u8; 32]>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// Reads the master key. Where there is none, makes one (mode 0600) if the hub has no data yet, and refuses to if it
    /// has: what was sealed with the lost key would be shut for ever.
    ///
    /// # Errors
    /// [`VaultError::KeyMissing`], [`VaultError::KeyFile`], [`VaultError::BadKey`].
    pub fn open_for(path: &Path, has_data: bool) -> Result<Self, VaultError> {
        if has_data && !path.exists() {
            return Err(VaultError::KeyMissing {
                path: path.display().to_string(),
            });
        }
        Self::open_or_create(path)
    }

    /// As [`Vault::open_for`] a hub without data.
    ///
    /// # Errors
    /// [`VaultError::KeyFile`], [`VaultError::BadKey`].
    pub fn open_or_create(path: &Path) -> Result<Self, VaultError> {
        let failed = |source| VaultError::KeyFile {
            path: path.display().to_string(),
            source,
        };
        let mut text = Zeroizing::new(String::new());
        match std::fs::File::open(path) {
            Ok(mut file) => {
                file.read_to_string(&mut text).map_err(failed)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
                *text = hex::encode(*key);
                write_key(path, &text).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| VaultError::BadKey {
            path: path.display().to_string(),
        })?;
        let vault = Self {
            master: Arc::new(Zeroizing::new(key)),
        };
        key.zeroize();
        Ok(vault)
    }

    /// Seals a secret for its place, such as `plugins.secret/<connection>/auth_token`.
    ///
    /// # Errors
    /// [`VaultError::Unsealable`] when the secret is too long for the cipher (64 GiB).
    pub fn seal(&self, place: &str, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let sealed = self
            .cipher()
            .encrypt(
                XNonce::from_slice(&nonce),
                Payload {
                    msg: secret,
                    aad: place.as_bytes(),
                },
            )
            .map_err(|_| VaultError::Unsealable)?;
        Ok([&[FORMAT][..], &nonce, &sealed].concat())
    }

    /// Opens a secret at its place.
    ///
    /// # Errors
    /// [`VaultError::Unsealable`].
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (format, rest) = sealed.split_first().ok_or(VaultError::Unsealable)?;
        if *format != FORMAT || rest.len() < NONCE_LEN {
            return Err(VaultError::Unsealable);
        }
        let (nonce, text) = rest.split_at(NONCE_LEN);
        self.cipher()
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: text,
                    aad: place.as_bytes(),
                },
            )
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Unsealable)
    }

    /// A keyed hash of personal data, for look-ups and limits that must not hold the data itself.
    pub fn pseudonym(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        derive(
            &self.master[..],
            &[b"pseudonym/", purpose.as_bytes(), b"\0", data],
        )
    }

    /// The key that signs the head of the log.
    pub fn chain_key(&self) -> ChainKey {
        ChainKey::from_bytes(&derive(&self.master[..], &[b"chain"]))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key = Zeroizing::new(derive(&self.master[..], &[b"seal"]));
        XChaCha20Poly1305::new((&*key).into())
    }
}

fn derive(key: &[u8], label: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length, so this can't fail; the empty key would only ever be reached by a changed crate.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    for part in label {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Written whole or not at all, and there to stay: into a new file, synced, renamed, and the folders synced too.
fn write_key(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    for folder in path.ancestors().skip(1).take(2) {
        if folder.is_dir() {
            std::fs::File::open(folder)?.sync_all()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> (tempfile::TempDir, Vault) {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open_or_create(&dir.path().join("keys/master")).unwrap();
        (dir, vault)
    }

    #[test]
    fn a_secret_opens_at_its_own_place_only() {
        let (_dir, vault) = vault();
        let sealed = vault.seal("plugins.secret/a", b"token").unwrap();
        assert_eq!(&**vault.open("plugins.secret/a", &sealed).unwrap(), b"token");
        assert!(vault.open("plugins.secret/b", &sealed).is_err());
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(vault.open("plugins.secret/a", &changed).is_err());
        assert!(vault.open("plugins.secret/a", b"").is_err());
    }

    #[test]
    fn the_second_start_reads_the_key_that_the_first_one_made() {
        let (dir, first) = vault();
        let second = Vault::open_or_create(&dir.path().join("keys/master")).unwrap();
        let sealed = first.seal("here", b"kept").unwrap();
        assert_eq!(&**second.open("here", &sealed).unwrap(), b"kept");
        assert_eq!(first.chain_key().id(), second.chain_key().id());
        assert_eq!(first.pseudonym("tel", b"+1"), second.pseudonym("tel", b"+1"));
        assert_ne!(first.pseudonym("tel", b"+1"), first.pseudonym("mail", b"+1"));
    }

    #[test]
    fn a_lost_key_is_not_replaced_while_there_is_data_that_only_it_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/master");
        let refused = Vault::open_for(&path, true).unwrap_err();
        assert!(
            refused.to_string().contains(&path.display().to_string()),
            "{refused}"
        );
        assert!(refused.to_string().contains("backup"), "{refused}");
        assert!(!path.exists());
        let first = Vault::open_for(&path, false).unwrap();
        let second = Vault::open_for(&path, true).unwrap();
        assert_eq!(first.chain_key().id(), second.chain_key().id());
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master");
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(
            Vault::open_or_create(&path),
            Err(VaultError::BadKey { .. })
        ));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[test]
    fn only_the_hubs_user_may_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let (dir, _vault) = vault();
        let mode = std::fs::metadata(dir.path().join("keys/master"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
