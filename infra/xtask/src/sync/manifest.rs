//! A domain's `Cargo.toml`: it declares each binary with `test = false`. Otherwise `cargo test` would build and link each of them
//! twice.

use super::{function::Function, regions};

/// # Errors
/// If the manifest has no `[package]` in which discovery can be turned off.
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
