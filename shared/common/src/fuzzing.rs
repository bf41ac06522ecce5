//! Parsers that are nobody's business but the pipeline's, for `fuzz/`. `cargo fuzz` sets the `cfg` that this needs.

use crate::{Result, TableQuery, cursor, input, permit::Wanted, table::Index};
use phi::{KeyVersion, SearchKey};

/// A body as it is read.
///
/// # Errors
/// 400 for what is not JSON, or names a member twice.
pub fn body(bytes: &[u8]) -> Result<serde_json::Value> {
    input::strict_json(bytes)
}

/// Whether a text is a cursor of a list, under a key that made none.
pub fn opens_as_cursor(text: &str) -> bool {
    let key = SearchKey::new(KeyVersion::FIRST, zeroize::Zeroizing::new([7; 32]));
    cursor::open(text, &key, "ten_a", &TableQuery::index(Index::All, "SHIPMENTS")).is_ok()
}

/// Reads an `If-Match`.
pub fn if_match(text: &str) {
    let _ = Wanted::parse(text);
}
