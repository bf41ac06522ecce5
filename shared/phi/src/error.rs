/// The reason why a record could not be sealed. Carries no plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Each field number must be given once, in ascending order.
    #[error("sealed fields must be written once each, in ascending order")]
    FieldOrder,
    /// A field is longer than the format's 32-bit length can express.
    #[error("the field is too long to seal")]
    FieldTooLong,
    /// A part of the [`Place`](crate::Place) is empty or longer than [`Place::MAX_PART`](crate::Place::MAX_PART) bytes.
    #[error("the place of the record is empty or too long")]
    Place,
    /// A value could not be written as JSON.
    #[error("the field could not be encoded")]
    Encode,
    /// The record to be replaced could not be read.
    #[error("the record to be replaced could not be read")]
    Before,
    /// The operating system's random number generator or AWS-LC failed.
    #[error("the cryptographic library failed")]
    Library,
}

/// A sealed record could not be opened.
///
/// All causes have one text on purpose: a caller who can submit altered records must not learn which check refused them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed record cannot be opened")]
pub struct OpenError;
