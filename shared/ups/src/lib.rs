//! A client of UPS's OAuth, Tracking and Track Alert APIs. It knows no tenant and no AWS, reads no clock, keeps no state, and reaches
//! the network only through the [`Transport`] it is given.
//!
//! The contract is UPS's: [OAuth](https://developer.ups.com/api/reference/oauth/client-credentials),
//! [Tracking](https://developer.ups.com/api/reference/tracking/product-info), [Track Alert](https://developer.ups.com/api/reference/trackalertenhanced/product-info)
//! version 2, and their OpenAPI documents in [UPS-API/api-documentation](https://github.com/UPS-API/api-documentation). Where UPS
//! does otherwise than it documents, a test says so; most of them are in `tests/wire.rs`.
//!
//! ```
//! use ups::{Progress, Reading, Status, classify, Classified};
//!
//! assert_eq!(classify("1ZCIETST0111111114"), Classified::Valid);
//! assert_eq!(Reading::of("I", ["021", "OT"]), Reading::Status(Status::OutForDelivery));
//! assert_eq!(Progress::default().status(), None);
//! ```
//!
//! # What a caller does
//! It keeps one [`Token`] for everybody and renews it before [`Token::ends_within`] and on [`Error::Unauthorized`], once; it
//! waits on [`Error::RateLimited`] and [`Error::Unavailable`], at least as long as they ask for, and gives up on the others.
//! It keeps each [`Activity`] once, by [`Activity::identity`], and takes the status from [`Progress`]. A [`TrackAlert`] makes it ask.
//!
//! # What is dropped
//! An answer of UPS's may hold a signature's image, a delivery photo, a proof of delivery, who received the package, names and
//! addresses, references, the pick-up point, weight and payments. No type here has a place for them: the parser skips them, and
//! the body is overwritten once read. Of a place, the town is kept.
//!
//! # What is never logged
//! Nothing here logs. `Debug` of everything hides secrets, tracking numbers, places, and UPS's words; [`Error`] holds HTTP's status
//! and UPS's codes only. A request's path is a tracking number, which [`Transport`]s must know.
//!
//! # What it does NOT protect
//! What a caller takes out of [`Activity`], [`Location`] and [`Number`] is PHI in the clear, theirs to seal. An HTTP header is not
//! overwritten after use. A push is not authenticated. UPS is believed.

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
