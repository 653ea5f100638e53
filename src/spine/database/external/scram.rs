//! What the server keeps of a password, and can't find it from.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// RFC 5802 with SHA-256, in the form that PostgreSQL stores (`pg_authid.rolpassword`). `password` is ASCII.
pub(super) fn scram_verifier(password: &str, salt: &[u8; 16], rounds: u32) -> String {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let mut block = hmac_sha256(
        password.as_bytes(),
        &[salt.as_slice(), &1_u32.to_be_bytes()].concat(),
    );
    let mut salted = block;
    for _ in 1..rounds {
        block = hmac_sha256(password.as_bytes(), &block);
        salted.iter_mut().zip(block).for_each(|(to, from)| *to ^= from);
    }
    let stored_key = Sha256::digest(hmac_sha256(&salted, b"Client Key"));
    let server_key = hmac_sha256(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${rounds}:{}${}:{}",
        base64.encode(salt),
        base64.encode(stored_key),
        base64.encode(server_key)
    )
}

pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length, so this is never the error case; it would only make the verifier fit nothing.
    Hmac::<Sha256>::new_from_slice(key).map_or([0; 32], |mac| {
        mac.chain_update(message).finalize().into_bytes().into()
    })
}
