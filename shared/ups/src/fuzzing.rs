//! Inputs that UPS, or an attacker who poses as UPS, may send, for `fuzz/`. `cargo fuzz` sets the `cfg` that this needs.

use crate::{Error, Number, Token, TrackAlert, Tracked, tracking};
use jiff::Timestamp;

/// Reads `body` as each kind of message that UPS sends.
///
/// # Panics
/// If a parsed answer breaks a rule of its type.
pub fn answer(body: &[u8]) {
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(asked) = Number::parse("1ZCIETST0111111114")
        && let Ok(Tracked::Found(tracking)) = tracking::parse(body, &asked)
    {
        let progress = tracking.progress();
        assert!(tracking.activities.is_sorted_by_key(|activity| activity.when.position()));
        let mut backward = tracking.clone();
        // Activities of one moment keep UPS's order.
        let moments = tracking.activities.chunk_by(|one, next| one.when.position() == next.when.position());
        backward.activities = moments.rev().flatten().cloned().collect();
        assert_eq!(backward.progress(), progress);
    }
    if let Ok(token) = Token::parse(body, now) {
        assert!(token.expires_at() > now);
    }
    let _ = TrackAlert::parse(body);
    for status in [200, 401, 429, 500] {
        let mut answer = http::Response::new(zeroize::Zeroizing::new(body.to_vec()));
        *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let error = Error::of(&answer, now);
        assert!(error.is_some() || status == 200);
    }
}
