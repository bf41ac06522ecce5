//! The system's trusted TLS roots.
//!
//! A Linux system has its roots in one file, and the same ones again in a folder of some 150 files. By default the HTTP client
//! reads both, which on Debian takes 3 ms of every start. This code reads only the file.

use std::{env, fs, path::Path};

/// The files that contain all roots: on Amazon Linux, which Lambda runs, and Fedora; on Debian, Ubuntu and Alpine.
const BUNDLES: [&str; 2] = ["/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/certs/ca-certificates.crt"];

/// The system's roots, as PEM. `None` if the environment sets the roots, or their file is not found.
pub(crate) fn trusted() -> Option<Vec<u8>> {
    let told = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| env::var_os(name).is_some());
    if told { None } else { first(&BUNDLES) }
}

/// The first of these files that exists, if it contains a root.
fn first(paths: &[impl AsRef<Path>]) -> Option<Vec<u8>> {
    const BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let pem = paths.iter().find_map(|path| fs::read(path).ok())?;
    pem.windows(BEGINS.len()).any(|bytes| bytes == BEGINS).then_some(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed synthetic certificate.
    const ROOT: &str = include_str!("roots/synthetic.pem");

    #[test]
    fn first_existing_file_is_used_if_it_contains_a_root() {
        let folder = tempfile::tempdir().unwrap();
        let [none, empty, full, other] = ["none", "empty", "full", "other"].map(|name| folder.path().join(name));
        fs::write(&empty, "# no roots\n").unwrap();
        fs::write(&full, format!("# two\n{ROOT}{ROOT}")).unwrap();
        fs::write(&other, ROOT).unwrap();
        assert_eq!(first(&[&none, &full, &other]).unwrap(), fs::read(&full).unwrap());
        assert_eq!(first(&[&empty, &other]), None);
        assert_eq!(first(&[&none]), None);
    }
}
