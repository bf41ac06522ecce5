//! Tests the KMS emulator with AWS's own client over HTTP.

#![expect(clippy::unwrap_used, reason = "a helper's failure is the test's")]

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::decrypt::DecryptOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeySpec, KeySpec, KeyState, KeyUsageType, MacAlgorithmSpec, MessageType, SigningAlgorithmSpec, Tag,
};
use emulators::Kms;

fn client(kms: &Kms) -> Client {
    Client::from_conf(
        aws_sdk_kms::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_kms::config::Region::new(emulators::REGION))
            .credentials_provider(aws_credential_types::Credentials::from_keys("local", "local", None))
            .endpoint_url(kms.endpoint())
            .build(),
    )
}

/// The error's code.
fn code<T: std::fmt::Debug, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> String {
    let error = result.map(|output| format!("{output:?}")).err().unwrap();
    error.code().unwrap_or_default().to_owned()
}

async fn create(client: &Client, spec: KeySpec, usage: KeyUsageType) -> String {
    let created = client.create_key().key_spec(spec).key_usage(usage);
    let metadata = created.send().await.unwrap().key_metadata.unwrap();
    metadata.arn.unwrap()
}

async fn symmetric(client: &Client) -> String {
    create(client, KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await
}

/// Encrypts a fixed text for tenant `ten_a`.
async fn encrypted(client: &Client, key: &str) -> Blob {
    let call = client.encrypt().key_id(key).plaintext(Blob::new("text"));
    let output = call.encryption_context("tenant", "ten_a").send().await;
    output.unwrap().ciphertext_blob.unwrap()
}

async fn decrypted(
    client: &Client,
    blob: Blob,
    tenant: &str,
) -> Result<DecryptOutput, SdkError<aws_sdk_kms::operation::decrypt::DecryptError>> {
    let call = client.decrypt().ciphertext_blob(blob);
    call.encryption_context("tenant", tenant).send().await
}

#[tokio::test]
async fn ciphertext_opens_with_its_own_context_only() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let blob = encrypted(&client, &key).await;
    let opened = decrypted(&client, blob.clone(), "ten_a").await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"text");
    assert_eq!(opened.key_id(), Some(key.as_str()));
    assert_eq!(code(decrypted(&client, blob.clone(), "ten_b").await), "InvalidCiphertextException");
    assert_eq!(code(client.decrypt().ciphertext_blob(blob).send().await), "InvalidCiphertextException");
}

#[tokio::test]
async fn ciphertext_changed_at_any_byte_is_refused() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let blob = encrypted(&client, &key).await;
    for at in 0..blob.as_ref().len() {
        let mut bytes = blob.clone().into_inner();
        bytes[at] ^= 1;
        assert_eq!(code(decrypted(&client, Blob::new(bytes), "ten_a").await), "InvalidCiphertextException", "byte {at}");
    }
}

#[tokio::test]
async fn decryption_with_another_key_is_refused() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let (own, other) = (symmetric(&client).await, symmetric(&client).await);
    let blob = encrypted(&client, &own).await;
    let with =
        |key: &str| client.decrypt().ciphertext_blob(blob.clone()).encryption_context("tenant", "ten_a").key_id(key).send();
    assert_eq!(code(with(&other).await), "IncorrectKeyException");
    assert_eq!(code(with("alias/nobody").await), "NotFoundException");
    assert!(with(&own).await.is_ok());
}

#[tokio::test]
async fn old_ciphertext_opens_after_rotation_and_new_ones_use_new_material() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let before = encrypted(&client, &key).await;
    client.rotate_key_on_demand().key_id(&key).send().await.unwrap();
    let after = encrypted(&client, &key).await;
    // The header contains the material's version, so it differs after the key's id.
    assert_eq!(before.as_ref()[..17], after.as_ref()[..17]);
    assert_ne!(before.as_ref()[17..21], after.as_ref()[17..21]);
    for blob in [before, after] {
        let opened = decrypted(&client, blob, "ten_a").await.unwrap();
        assert_eq!(opened.plaintext().unwrap().as_ref(), b"text");
    }
    let rotations = client.list_key_rotations().key_id(&key).send().await.unwrap();
    assert_eq!(rotations.rotations().len(), 1);
}

#[tokio::test]
async fn disabled_key_refuses_until_it_is_enabled() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let blob = encrypted(&client, &key).await;
    client.disable_key().key_id(&key).send().await.unwrap();
    assert_eq!(code(decrypted(&client, blob.clone(), "ten_a").await), "DisabledException");
    let sealing = client.generate_data_key().key_id(&key);
    assert_eq!(code(sealing.key_spec(DataKeySpec::Aes256).send().await), "DisabledException");
    client.enable_key().key_id(&key).send().await.unwrap();
    assert!(decrypted(&client, blob, "ten_a").await.is_ok());
}

#[tokio::test]
async fn key_pending_deletion_refuses_and_deletion_can_be_cancelled() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let blob = encrypted(&client, &key).await;
    let schedule = |days| client.schedule_key_deletion().key_id(&key).pending_window_in_days(days).send();
    assert_eq!(code(schedule(6).await), "ValidationException");
    let scheduled = schedule(7).await.unwrap();
    assert_eq!(scheduled.key_state(), Some(&KeyState::PendingDeletion));
    assert_eq!(code(schedule(7).await), "KMSInvalidStateException");
    for refused in [
        code(decrypted(&client, blob.clone(), "ten_a").await),
        code(client.enable_key().key_id(&key).send().await),
        code(client.rotate_key_on_demand().key_id(&key).send().await),
    ] {
        assert_eq!(refused, "KMSInvalidStateException");
    }
    client.cancel_key_deletion().key_id(&key).send().await.unwrap();
    assert_eq!(code(decrypted(&client, blob.clone(), "ten_a").await), "DisabledException");
    client.enable_key().key_id(&key).send().await.unwrap();
    assert!(decrypted(&client, blob, "ten_a").await.is_ok());
}

#[tokio::test]
async fn data_key_decrypts_to_its_plaintext() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let call = client.generate_data_key().key_id(&key);
    let made = call
        .key_spec(DataKeySpec::Aes256)
        .encryption_context("tenant", "ten_a")
        .encryption_context("purpose", "branch")
        .send()
        .await
        .unwrap();
    let plaintext = made.plaintext.unwrap();
    assert_eq!(plaintext.as_ref().len(), 32);
    let opened = client
        .decrypt()
        .ciphertext_blob(made.ciphertext_blob.unwrap())
        .encryption_context("purpose", "branch")
        .encryption_context("tenant", "ten_a")
        .send()
        .await
        .unwrap();
    assert_eq!(opened.plaintext.unwrap(), plaintext);

    let neither = client.generate_data_key().key_id(&key).send().await;
    assert_eq!(code(neither), "ValidationException");
    let call = client.generate_data_key_without_plaintext().key_id(&key);
    let sealed = call.number_of_bytes(64).send().await.unwrap();
    let blob = sealed.ciphertext_blob.unwrap();
    let opened = client.decrypt().ciphertext_blob(blob).send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref().len(), 64);
}

#[tokio::test]
async fn re_encryption_moves_ciphertext_to_another_key_and_context() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let (from, to) = (symmetric(&client).await, symmetric(&client).await);
    let blob = encrypted(&client, &from).await;
    let moved = |tenant: &'static str| {
        client
            .re_encrypt()
            .ciphertext_blob(blob.clone())
            .source_encryption_context("tenant", tenant)
            .destination_key_id(&to)
            .destination_encryption_context("tenant", "ten_b")
            .send()
    };
    assert_eq!(code(moved("ten_b").await), "InvalidCiphertextException");
    let moved = moved("ten_a").await.unwrap();
    assert_eq!(moved.source_key_id(), Some(from.as_str()));
    assert_eq!(moved.key_id(), Some(to.as_str()));
    let blob = moved.ciphertext_blob.unwrap();
    let opened = decrypted(&client, blob, "ten_b").await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), b"text");
}

#[tokio::test]
async fn signatures_verify_by_kms_and_with_the_public_key() {
    use aws_lc_rs::digest::{SHA256, digest};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};

    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let message = b"origin\n12\nroot\n".as_slice();
    let cases: [(_, _, &'static dyn VerificationAlgorithm); 2] = [
        (KeySpec::EccNistP256, SigningAlgorithmSpec::EcdsaSha256, &ECDSA_P256_SHA256_ASN1),
        (KeySpec::EccNistEdwards25519, SigningAlgorithmSpec::Ed25519Sha512, &ED25519),
    ];
    for (spec, algorithm, verification) in cases {
        let key = create(&client, spec.clone(), KeyUsageType::SignVerify).await;
        let call = client.sign().key_id(&key).message(Blob::new(message));
        let signed = call.signing_algorithm(algorithm.clone()).send().await.unwrap();
        let signature = signed.signature.unwrap();
        let verify = |text: &[u8]| {
            client
                .verify()
                .key_id(&key)
                .message(Blob::new(text))
                .signature(signature.clone())
                .signing_algorithm(algorithm.clone())
                .send()
        };
        assert!(verify(message).await.unwrap().signature_valid());
        assert_eq!(code(verify(b"another").await), "KMSInvalidSignatureException");
        let public = client.get_public_key().key_id(&key).send().await.unwrap();
        let der = public.public_key.unwrap();
        UnparsedPublicKey::new(verification, der.as_ref()).verify(message, signature.as_ref()).unwrap();

        let hash = digest(&SHA256, message);
        let call = client.sign().key_id(&key).message(Blob::new(hash.as_ref()));
        let by_digest = call.message_type(MessageType::Digest).signing_algorithm(algorithm).send().await;
        if spec == KeySpec::EccNistP256 {
            UnparsedPublicKey::new(verification, der.as_ref())
                .verify(message, by_digest.unwrap().signature.unwrap().as_ref())
                .unwrap();
        } else {
            assert_eq!(code(by_digest), "ValidationException");
        }
    }
}

#[tokio::test]
async fn mac_verifies_for_its_message_only() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = create(&client, KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac).await;
    let algorithm = MacAlgorithmSpec::HmacSha256;
    let call = client.generate_mac().key_id(&key).message(Blob::new("text"));
    let made = call.mac_algorithm(algorithm.clone()).send().await.unwrap();
    let mac = made.mac.unwrap();
    let verify = |text: &str| {
        client.verify_mac().key_id(&key).message(Blob::new(text)).mac(mac.clone()).mac_algorithm(algorithm.clone()).send()
    };
    assert!(verify("text").await.unwrap().mac_valid());
    assert_eq!(code(verify("other").await), "KMSInvalidMacException");
}

#[tokio::test]
async fn key_refuses_other_usages_than_its_own() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = create(&client, KeySpec::EccNistEdwards25519, KeyUsageType::SignVerify).await;
    let call = client.encrypt().key_id(&key).plaintext(Blob::new("text"));
    assert_eq!(code(call.send().await), "InvalidKeyUsageException");
    let rotation = client.rotate_key_on_demand().key_id(&key).send().await;
    assert_eq!(code(rotation), "UnsupportedOperationException");
    let odd = client.create_key().key_spec(KeySpec::Hmac256).key_usage(KeyUsageType::SignVerify);
    assert_eq!(code(odd.send().await), "ValidationException");
}

#[tokio::test]
async fn aliases_and_tags_name_a_key() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let key = symmetric(&client).await;
    let alias = |name: &str| {
        let call = client.create_alias().alias_name(name);
        call.target_key_id(&key).send()
    };
    alias("alias/tenant").await.unwrap();
    assert_eq!(code(alias("alias/tenant").await), "AlreadyExistsException");
    assert_eq!(code(alias("tenant").await), "InvalidAliasNameException");
    let described = client.describe_key().key_id("alias/tenant").send().await;
    let metadata = described.unwrap().key_metadata.unwrap();
    assert_eq!(metadata.arn(), Some(key.as_str()));
    let listed = client.list_aliases().key_id(&key).send().await.unwrap();
    assert_eq!(listed.aliases()[0].alias_name(), Some("alias/tenant"));

    let tag = Tag::builder().tag_key("tenant").tag_value("ten_a");
    let tag = tag.build().unwrap();
    let call = client.tag_resource().key_id(&key).tags(tag.clone());
    call.send().await.unwrap();
    let listed = client.list_resource_tags().key_id(&key).send().await;
    assert_eq!(listed.unwrap().tags(), [tag]);
}

#[tokio::test]
async fn ciphertext_opens_after_a_restart_with_the_state_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kms.json");
    let kms = Kms::start(Some(file.clone())).unwrap();
    let first = client(&kms);
    let key = symmetric(&first).await;
    let old = encrypted(&first, &key).await;
    first.rotate_key_on_demand().key_id(&key).send().await.unwrap();
    let new = encrypted(&first, &key).await;
    kms.stop();

    let kms = Kms::start(Some(file)).unwrap();
    for blob in [old, new] {
        let opened = decrypted(&client(&kms), blob, "ten_a").await.unwrap();
        assert_eq!(opened.key_id(), Some(key.as_str()));
    }
}

#[tokio::test]
async fn deleted_key_no_longer_opens_its_ciphertexts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kms.json");
    let kms = Kms::start(Some(file.clone())).unwrap();
    let first = client(&kms);
    let key = symmetric(&first).await;
    let blob = encrypted(&first, &key).await;
    let call = first.schedule_key_deletion().key_id(&key);
    let at = call.send().await.unwrap().deletion_date.unwrap().secs();
    kms.stop();

    // The waiting period is days; the test ends it in the state file.
    let state = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, state.replace(&at.to_string(), "1000000000")).unwrap();
    let kms = Kms::start(Some(file)).unwrap();
    let later = client(&kms);
    assert_eq!(code(decrypted(&later, blob, "ten_a").await), "NotFoundException");
    assert_eq!(code(later.describe_key().key_id(&key).send().await), "NotFoundException");
}

#[tokio::test]
async fn random_bytes_have_the_requested_length() {
    let kms = Kms::start(None).unwrap();
    let client = client(&kms);
    let ask = |count| client.generate_random().number_of_bytes(count).send();
    let (one, two) = (ask(32).await.unwrap(), ask(32).await.unwrap());
    assert_eq!(one.plaintext().unwrap().as_ref().len(), 32);
    assert_ne!(one.plaintext(), two.plaintext());
    assert_eq!(code(ask(1025).await), "ValidationException");
}
