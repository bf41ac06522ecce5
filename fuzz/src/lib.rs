//! Parsers of `common`, `identity` and `shipments`, file by file. As crates they would bring the AWS SDKs, which take minutes to
//! build with a fuzzer's instrumentation; the parsers need none of that.

#[path = "../../shared/common/src"]
#[expect(dead_code, reason = "the rest of `common` uses it")]
mod common {
    pub mod budget;
    pub mod error;
    pub mod id;
    pub mod random;
    pub mod telemetry;
    pub mod time;
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
    budget,
    error::{self, Error, Result},
    id, random, telemetry,
    time::{self, Timestamp},
};
pub use identity::{jwks, token};
pub use shipments::tracking_number;
