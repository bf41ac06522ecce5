//! A domain's `Cargo.toml`: its binaries. Cargo would build each of them twice for `cargo test`, and link them all; so they
//! are declared, with their own tests off.

use super::{function::Function, regions};

/// # Errors
/// Where the manifest has no `[package]` to turn discovery off in.
pub(crate) fn with_bins(manifest: &str, functions: &[Function]) -> Result<String, String> {
    let mut text = manifest.to_owned();
    if !text.contains("\nautobins = false") {
        let end =
            text.find("\n\n").filter(|_| text.starts_with("[package]")).ok_or("the manifest does not begin with [package]")?;
        text.insert_str(end, "\nautobins = false");
    }
    if !text.contains("# <sync: bins>") {
        text = format!("{}\n\n# <sync: bins>\n# </sync: bins>\n", text.trim_end());
    }
    let bins: Vec<_> = functions
        .iter()
        .map(|function| format!("[[bin]]\nname = \"{}\"\ntest = false\nbench = false\ndoctest = false\n", function.name))
        .collect();
    regions::replace(&text, "bins", &bins.join("\n"))
}
