//! What lies where.

use super::*;

#[test]
fn a_key_says_what_it_is_and_a_foreign_one_says_nothing() {
    let account = Path::from("a");
    let key = Key {
        hash: [7; 32],
        generation: Uuid::now_v7(),
    };
    let of = |path: String| kind(&account, &Path::from(path));
    assert_eq!(of(format!("a/blobs/07/{key}")), Kind::Blob(key));
    assert_eq!(
        of(format!("a/renditions/{key}/thumb-320")),
        Kind::Rendition(key, "thumb-320".to_owned())
    );
    for foreign in ["a/blobs/07/x", "a/notes.txt", "b/blobs/07/x", "a/renditions/07/y"] {
        assert_eq!(of(foreign.to_owned()), Kind::Unknown, "{foreign}");
    }
}
