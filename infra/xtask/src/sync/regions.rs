//! Generated parts of handwritten files: the lines between `# <sync: name>` and `# </sync: name>`.

/// The text with its region replaced by `lines`, each a whole line.
///
/// # Errors
/// If the file has no such region.
pub(crate) fn replace(text: &str, name: &str, lines: &str) -> Result<String, String> {
    let (open, close) = (format!("# <sync: {name}>"), format!("# </sync: {name}>"));
    let missing = || format!("the lines `{open}` and `{close}` are missing");
    let start = text.find(&open).ok_or_else(missing)?;
    let start = start + text[start..].find('\n').ok_or_else(missing)? + 1;
    let end = start + text[start..].find(&close).ok_or_else(missing)?;
    // The closing line keeps its own indentation.
    let end = text[..end].rfind('\n').map_or(end, |newline| newline + 1);
    Ok(format!("{}{lines}{}", &text[..start], &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a\n  # <sync: x>\n  old\n  # </sync: x>\nb\n";

    #[test]
    fn region_is_replaced_and_nothing_else() {
        let once = replace(TEXT, "x", "  new\n").unwrap();
        assert_eq!(once, "a\n  # <sync: x>\n  new\n  # </sync: x>\nb\n");
        assert_eq!(replace(&once, "x", "  new\n").unwrap(), once);
        assert_eq!(replace(&once, "x", "").unwrap(), "a\n  # <sync: x>\n  # </sync: x>\nb\n");
    }

    #[test]
    fn missing_region_is_named() {
        assert!(replace(TEXT, "y", "").unwrap_err().contains("# <sync: y>"));
    }
}
