//! What is read from an address and the password file, and what a refusal never says.

use super::ExternalDatabase;
use super::passwords::{Passwords, passwords_path, write_passwords};
use super::scram::{hmac_sha256, scram_verifier};
use crate::database::roles::Role;
use crate::testing::TempDir;

fn written() -> TempDir {
    let data = TempDir::new();
    let passwords = Passwords {
        owner: "o1".to_owned(),
        app: "a1".to_owned(),
        spine: "s1".to_owned(),
    };
    write_passwords(data.path(), &passwords).unwrap();
    data
}

#[test]
fn the_address_is_a_template_and_each_role_logs_in_as_itself() {
    let data = written();
    let external = ExternalDatabase::at("postgres://someone:secret@db.example:6432/hub?sslmode=verify-full");
    let options = external.options(data.path()).unwrap();
    for (role, options) in Role::ALL.into_iter().zip(&options) {
        assert_eq!(options.get_username(), role.name());
        assert_eq!((options.get_host(), options.get_port()), ("db.example", 6432));
        assert_eq!(options.get_database(), Some("hub"));
    }
}

#[test]
fn without_passwords_the_next_step_is_named() {
    let data = TempDir::new();
    let refused = ExternalDatabase::at("postgres://localhost/hub")
        .options(data.path())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("allod db init") && refused.contains("ALLOD_DATABASE_APP_URL"),
        "{refused}"
    );
}

#[test]
fn with_an_address_for_each_role_no_file_is_read() {
    let data = TempDir::new();
    let mut external = ExternalDatabase::at("postgres://localhost/hub");
    external.owner_url = Some("postgres://allod_owner:x@localhost/hub".to_owned());
    external.app_url = Some("postgres://allod_app:x@localhost/hub".to_owned());
    external.spine_url = Some("postgres://allod_spine:x@localhost/hub".to_owned());
    external.options(data.path()).unwrap();
    external.app_url = Some("postgres://postgres:x@localhost/hub".to_owned());
    let refused = external.options(data.path()).unwrap_err().to_string();
    assert!(
        refused.contains("ALLOD_DATABASE_APP_URL") && refused.contains("allod_app"),
        "{refused}"
    );
}

#[test]
fn a_bad_address_is_refused_without_repeating_its_password() {
    let data = written();
    for url in ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "s3cret"] {
        let refused = ExternalDatabase::at(url).options(data.path()).unwrap_err();
        assert!(
            !format!("{refused} {refused:?}").contains("s3cret"),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("DATABASE_URL"), "{refused}");
    }
    assert!(!format!("{:?}", ExternalDatabase::at("postgres://u:s3cret@h/d")).contains("s3cret"));
}

#[test]
fn the_password_file_is_private_and_its_mistakes_are_told_without_its_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let data = written();
    let path = passwords_path(data.path());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "owner = \"s3cret\nnonsense").unwrap();
    let refused = ExternalDatabase::at("postgres://localhost/d")
        .options(data.path())
        .unwrap_err();
    assert!(
        !format!("{refused} {refused:?}").contains("s3cret"),
        "{refused:?}"
    );
}

#[test]
fn the_verifier_is_the_one_of_rfc_7677() {
    // RFC 7677, section 3: user "user", password "pencil", salt W22ZaJ0SNY7soEsUEjb6gQ==, 4096 rounds. The RFC shows
    // proof and signature, which these two keys yield: server signature 6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=.
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD;
    let salt: [u8; 16] = base64
        .decode("W22ZaJ0SNY7soEsUEjb6gQ==")
        .unwrap()
        .try_into()
        .unwrap();
    let verifier = scram_verifier("pencil", &salt, 4096);
    let server_key = base64.decode(verifier.rsplit(':').next().unwrap()).unwrap();
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let message =
        format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}");
    let signature = base64.encode(hmac_sha256(&server_key, message.as_bytes()));
    assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}
