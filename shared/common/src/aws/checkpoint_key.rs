//! KMS: the key that signs the audit log's checkpoints.

use crate::{
    aws::errors::unavailable,
    base::{Error, Result},
};
use aws_sdk_kms::{
    Client,
    primitives::Blob,
    types::{MessageType, SigningAlgorithmSpec},
};
use ledger::VerifierKey;
use tokio::sync::OnceCell;

const SERVICE: &str = "kms";

/// The KMS key that signs checkpoints. Its private key never leaves KMS.
#[derive(Debug)]
pub(crate) struct CheckpointKey {
    kms: Client,
    arn: String,
    /// The public key, as a SubjectPublicKeyInfo. It never changes for an ARN.
    public: OnceCell<Vec<u8>>,
}

impl CheckpointKey {
    pub(crate) fn new(kms: Client, arn: String) -> Self {
        Self { kms, arn, public: OnceCell::new() }
    }

    pub(crate) async fn verifier(&self, name: String) -> Result<VerifierKey> {
        let ask = async || {
            let answer = self.kms.get_public_key().key_id(&self.arn).send().await.map_err(unavailable(SERVICE))?;
            answer.public_key.map(Blob::into_inner).ok_or(Error::internal("public key"))
        };
        let der = self.public.get_or_try_init(ask).await?;
        VerifierKey::from_spki(name, der).map_err(|_| Error::internal("public key"))
    }

    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let sent = self
            .kms
            .sign()
            .key_id(&self.arn)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512)
            .send();
        let answer = sent.await.map_err(unavailable(SERVICE))?;
        answer.signature.map(Blob::into_inner).ok_or(Error::internal("signature"))
    }
}
