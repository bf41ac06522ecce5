//! A text that parses as an id is printed unchanged. A time survives printing and parsing.
#![no_main]

use cloister_fuzz::{
    Timestamp,
    base::telemetry::CorrelationId,
    id::{EventId, SessionId, TenantId, UserId},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    macro_rules! one_spelling {
        ($($Id:ty),*) => {$(if let Ok(id) = text.parse::<$Id>() { assert_eq!(id.to_string(), text); })*};
    }
    one_spelling!(TenantId, UserId, SessionId, EventId);
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse(), Ok(time));
    }
    assert!(CorrelationId::from_header(Some(text), Timestamp::from_millis(1)).as_str().is_ascii());
});
