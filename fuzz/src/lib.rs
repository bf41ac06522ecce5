//! Parsers of `common`, `identity` and `shipments`, file by file. As crates they would bring the AWS SDKs, which take minutes to
//! build with a fuzzer's instrumentation; the parsers need none of that.

#[path = "../../shared/common/src"]
#[expect(dead_code, unused_imports, unused_macros, reason = "the rest of `common` uses it")]
mod common {
    pub mod base {
        pub mod budget;
        pub mod error;
        pub mod id;
        pub mod random;
        pub mod telemetry;
        pub mod time;

        pub use budget::Budget;
        pub use error::{Cause, Error, FieldError, Result};
        pub use time::Timestamp;
    }
    pub mod request {
        pub mod input {
            mod place;
            mod read;
            mod strict;

            use super::super::base::FieldError;
            use serde::de::DeserializeOwned;
            use serde_json::Value;

            /// A body as `common` parses it; `None` if it is rejected as malformed.
            pub fn body(bytes: &[u8]) -> Option<Value> {
                strict::json(bytes).ok()
            }

            /// One value of a body, as `common` parses it.
            ///
            /// # Errors
            /// The fault in the value, and its place.
            pub fn leaf<T: DeserializeOwned>(value: Value, at: &str) -> Result<T, FieldError> {
                read::read(value, at)
            }
        }
    }
}

#[path = "../../functions/identity/src"]
mod identity {
    pub mod jwks;
    pub mod token;
}

#[path = "../../functions/shipments/src"]
mod shipments {
    pub mod tracking_number;
}

pub use common::{
    base::{self, Error, Result, Timestamp, id},
    request::{self, input},
};
pub use identity::{jwks, token};
pub use shipments::tracking_number;
