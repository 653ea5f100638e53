//! Hashing of passwords: Argon2id with the parameters that OWASP's cheat sheet gives (19 MiB, two passes, one lane).
//!
//! Invariant: a wrong handle costs as much time as a wrong password, and no more than a few hashes run at once.
//! Begin with [`Hasher::verify`].

use std::sync::{Arc, LazyLock};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Each hash takes 19 MiB and a core for some 20 ms: strangers who sign in all at once wait in line.
const AT_ONCE_MAX: usize = 2;

/// Why a password could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("the password hash can't be computed: {0}")]
    Hash(String),
    #[error("the hub is stopping")]
    Stopping,
}

/// Hashes and compares passwords away from the threads that answer requests.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    places: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }
}

impl Hasher {
    /// The hash of a new password, with a salt of its own.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.run(move || hash(&password)).await?
    }

    /// True if the password is the one that was hashed. Without a hash it is as slow, and false.
    pub(crate) async fn verify(&self, password: &str, stored: Option<String>) -> Result<bool, PasswordError> {
        let password = password.to_owned();
        self.run(move || match (stored, &*NOBODY) {
            (Some(stored), _) => verify(&password, &stored),
            (None, Ok(nobody)) => verify(&password, nobody).map(|_| false),
            (None, Err(error)) => Err(PasswordError::Hash(error.to_string())),
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let _place = self.places.acquire().await.map_err(|_| PasswordError::Stopping)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| PasswordError::Stopping)
    }
}

/// What a password is compared with when there is no account: the hash of something that nobody knows.
static NOBODY: LazyLock<Result<String, PasswordError>> =
    LazyLock::new(|| hash(&crate::model::secret("nobody")));

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<String, PasswordError> {
    let failed = |error: argon2::password_hash::Error| PasswordError::Hash(error.to_string());
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(failed)?;
    Ok(argon2()?
        .hash_password(password.as_bytes(), &salt)
        .map_err(failed)?
        .to_string())
}

fn verify(password: &str, stored: &str) -> Result<bool, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(|error| PasswordError::Hash(error.to_string()))?;
    match argon2()?.verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(PasswordError::Hash(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_opens_and_a_wrong_one_does_not() {
        let hasher = Hasher::default();
        let stored = hasher.hash("correct horse").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(!stored.contains("correct"));
        assert!(
            hasher
                .verify("correct horse", Some(stored.clone()))
                .await
                .unwrap()
        );
        assert!(!hasher.verify("correct hors", Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_handle_is_refused_whatever_the_password() {
        let hasher = Hasher::default();
        assert!(!hasher.verify("", None).await.unwrap());
        assert!(!hasher.verify("anything at all", None).await.unwrap());
    }

    #[tokio::test]
    async fn the_same_password_is_stored_differently_each_time() {
        let hasher = Hasher::default();
        assert_ne!(
            hasher.hash("correct horse").await.unwrap(),
            hasher.hash("correct horse").await.unwrap()
        );
    }
}
