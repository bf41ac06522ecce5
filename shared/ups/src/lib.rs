//! A client of UPS's OAuth, Tracking and Track Alert APIs. It has no notion of tenants or AWS, reads no clock and keeps no state.
//! It reaches the network only through the caller's [`Transport`].
//!
//! UPS defines the contract: [OAuth](https://developer.ups.com/api/reference/oauth/client-credentials),
//! [Tracking](https://developer.ups.com/api/reference/tracking/product-info), [Track
//! Alert](https://developer.ups.com/api/reference/trackalertenhanced/product-info) version 2, and their OpenAPI documents in
//! [UPS-API/api-documentation](https://github.com/UPS-API/api-documentation). Where UPS deviates from its documents, a test shows
//! it; most of these tests are in `tests/wire.rs`.
//!
//! ```
//! use ups::{Progress, Reading, Status, classify, Classified};
//!
//! assert_eq!(classify("1ZCIETST0111111114"), Classified::Valid);
//! assert_eq!(Reading::of("I", ["021", "OT"]), Reading::Status(Status::OutForDelivery));
//! assert_eq!(Progress::default().status(), None);
//! ```
//!
//! # Duties of the caller
//! The caller shares one [`Token`] among all calls, and renews it before [`Token::ends_within`] and, once, on
//! [`Error::Unauthorized`]. On [`Error::RateLimited`] and [`Error::Unavailable`] it waits at least as long as they ask for; on
//! other errors it gives up. It stores each [`Activity`] once, by [`Activity::identity`], and takes the status from [`Progress`].
//! A [`TrackAlert`] makes it query UPS.
//!
//! # Data that is discarded
//! An answer from UPS may hold a signature's image, a delivery photo, a proof of delivery, the name of the receiver, names and
//! addresses, references, the pick-up point, weight and payments. No type here has a field for them: the parser skips them, and
//! the body is overwritten after it is read. Of a place, only the town is kept.
//!
//! # Data that is never logged
//! Nothing here logs. `Debug` hides secrets, tracking numbers, places, and UPS's text; [`Error`] holds only HTTP's status and
//! UPS's codes. The path of a request contains a tracking number, so a [`Transport`] must not log it.
//!
//! # Not protected
//! The values that a caller takes out of [`Activity`], [`Location`] and [`Number`] are PHI in the clear; the caller must seal
//! them. An HTTP header is not overwritten after use. A push is not authenticated. The crate does not verify UPS's answers.

mod activity;
mod alert;
mod client;
mod codes;
mod credentials;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lax;
mod number;
mod status;
mod token;
mod tracking;
mod transport;
mod when;

pub use activity::{Activity, Identity, Location};
pub use alert::{ALERT_USER_AGENT, MAX_ALERT, TrackAlert};
pub use client::{Batch, Client, INTEGRATION, InvalidClient, PRODUCTION, SUBSCRIPTION_LIFE, Subscribed, Transaction};
pub use credentials::{Credentials, InvalidCredentials, Secret};
pub use error::{Code, Error, MAX_RETRY_AFTER, Malformed};
pub use number::{Classified, NotANumber, Number, classify, normalised};
pub use status::{Progress, Reading, Status};
pub use token::Token;
pub use tracking::{CurrentStatus, Eta, Tracked, Tracking};
pub use transport::{MAX_ANSWER, Transport, TransportError};
pub use when::When;
