//! One digest over several parts.

use aws_lc_rs::digest::{self, SHA256};

/// SHA-256 of parts, each after its length, so that different lists of parts never give the same input.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
