/// Why a record could not be sealed. Carries no plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Field numbers must be given once each, in ascending order.
    #[error("sealed fields must be written once each, in ascending order")]
    FieldOrder,
    /// A field is longer than the format's 32-bit length can say.
    #[error("the field is too long to seal")]
    FieldTooLong,
    /// A part of the [`Place`](crate::Place) is empty or longer than [`Place::MAX_PART`](crate::Place::MAX_PART) bytes.
    #[error("the place of the record is empty or too long")]
    Place,
    /// A value could not be written as JSON.
    #[error("the field could not be encoded")]
    Encode,
    /// The record that is to be replaced could not be read.
    #[error("the record before could not be read")]
    Before,
    /// The operating system's random numbers or AWS-LC failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// A sealed record could not be opened.
///
/// One text for every cause, deliberately: whoever can submit altered records must not learn which check refused them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed record cannot be opened")]
pub struct OpenError;
