use axum::http::StatusCode;

/// An error with KMS's name. <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html> and each action's page.
#[derive(Debug)]
pub(super) struct KmsError {
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) type Result<T> = std::result::Result<T, KmsError>;

impl KmsError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new("NotFoundException", format!("{what} is not found."))
    }

    pub(super) fn invalid_ciphertext() -> Self {
        Self::new("InvalidCiphertextException", "")
    }

    pub(super) fn internal(what: &str) -> Self {
        Self::new("KMSInternalException", what)
    }

    pub(super) fn status(code: &str) -> StatusCode {
        if code == "KMSInternalException" { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::BAD_REQUEST }
    }
}
