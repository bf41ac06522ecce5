//! Second factors: what they are made of, and what is right. Pure: the time and the stored state come in.

mod qr;
pub mod recovery;
pub mod totp;

pub use qr::svg;
