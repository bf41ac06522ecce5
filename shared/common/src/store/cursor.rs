//! List cursors: the position at which the last page ended, with a MAC over the tenant and the list. So a cursor of another
//! tenant or another filter, or an invented one, is refused.
//!
//! A cursor contains only ids. Anyone can decode it; it is not secret.

use crate::{
    base::{Error, Result},
    store::dynamodb::{Position, Query},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use phi::SearchKey;

const LABEL: &str = "cursor";
const MAC_TEXT: usize = "v1.".len() + 43;

/// # Errors
/// 422 `invalid_cursor` for a text that is not a cursor of this tenant and this query.
pub(crate) fn open(cursor: &str, key: &SearchKey, tenant: &str, query: &Query) -> Result<Position> {
    let refused = || Error::invalid("cursor", "invalid_cursor", "this is not a cursor of this list");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    let (mac, body) = text.split_at_checked(MAC_TEXT).ok_or_else(refused)?;
    let expected = mac_of(key, tenant, query, body);
    aws_lc_rs::constant_time::verify_slices_are_equal(mac.as_bytes(), expected.as_bytes()).map_err(|_| refused())?;
    serde_json::from_str(body).map_err(|_| refused())
}

pub(crate) fn seal(position: &Position, key: &SearchKey, tenant: &str, query: &Query) -> Result<String> {
    let body = serde_json::to_string(position).map_err(|_| Error::internal("cursor"))?;
    Ok(URL_SAFE_NO_PAD.encode(mac_of(key, tenant, query, &body) + &body))
}

fn mac_of(key: &SearchKey, tenant: &str, query: &Query, body: &str) -> String {
    let list = (query.index.map(crate::store::Index::name), &query.partition, &query.range, body);
    let text = serde_json::to_string(&list).unwrap_or_default();
    key.field(tenant, LABEL).token(&text).to_string()
}
