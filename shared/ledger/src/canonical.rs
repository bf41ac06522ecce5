//! Canonical JSON (RFC 8785) for the JSON of audit events. Numbers are integers that every JSON implementation represents exactly
//! (I-JSON, RFC 7493: within ±(2^53 - 1)). Other numbers are refused, so that no rule for printing floats is needed.

use std::io::Write as _;

use serde::Serialize;
use serde_json::{Map, Number, Value};

/// Largest magnitude of an integer: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// The value has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    #[error("canonical JSON here holds integers within 2^53 - 1 only")]
    Number,
    #[error("the value is not JSON")]
    NotJson,
}

/// # Errors
/// [`CanonicalError`].
pub fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value).map_err(|_| CanonicalError::NotJson)?;
    let mut out = Vec::with_capacity(1024);
    write_value(&mut out, &value)?;
    Ok(out)
}

fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number)?,
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_value(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(out, members)?,
    }
    Ok(())
}

/// RFC 8785 section 3.2.3: members sorted by their names' UTF-16 code units.
fn write_object(out: &mut Vec<u8>, members: &Map<String, Value>) -> Result<(), CanonicalError> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by(|(one, _), (two, _)| one.encode_utf16().cmp(two.encode_utf16()));
    out.push(b'{');
    for (n, (name, value)) in sorted.into_iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_value(out, value)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_number(out: &mut Vec<u8>, number: &Number) -> Result<(), CanonicalError> {
    let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    match magnitude {
        Some(magnitude) if magnitude <= MAX_INTEGER => {
            out.extend_from_slice(number.to_string().as_bytes());
            Ok(())
        }
        _ => Err(CanonicalError::Number),
    }
}

/// RFC 8785 section 3.2.2.2: two-character escapes where JSON has them, `\u00xx` for other controls, everything else unchanged.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            // INVARIANT: writing to a Vec does not fail.
            0..0x20 => drop(write!(out, "\\u{byte:04x}")),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> Result<String, CanonicalError> {
        let value: Value = serde_json::from_str(json).unwrap();
        to_vec(&value).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn strings_and_literals_match_rfc_8785_section_3_2_2_vectors() {
        let json = r#"{
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let expected = r#"{"literals":[null,true,false],"string":"€$\u000f\nA'B\"\\\\\"/"}"#;
        assert_eq!(canonical(json).unwrap(), expected);
    }

    #[test]
    fn members_are_sorted_as_in_rfc_8785_section_3_2_3() {
        let json = r#"{
            "\u20ac": "Euro Sign",
            "\r": "Carriage Return",
            "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\ud83d\ude00": "Emoji: Grinning Face",
            "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"
        }"#;
        let expected = concat!(
            r#"{"\r":"Carriage Return","1":"One","#,
            "\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",",
            "\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",",
            "\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        );
        assert_eq!(canonical(json).unwrap(), expected);
    }

    #[test]
    fn nested_members_are_sorted_and_arrays_keep_their_order() {
        assert_eq!(canonical(r#"{ "b": [ {"z":1,"a":2}, [] , {} ], "": 0 }"#).unwrap(), r#"{"":0,"b":[{"a":2,"z":1},[],{}]}"#);
    }

    #[test]
    fn every_control_character_is_escaped_in_its_shortest_form() {
        let text: String = (0..0x21_u8).map(char::from).collect();
        let written = String::from_utf8(to_vec(&text).unwrap()).unwrap();
        assert!(
            written.starts_with(r#""\u0000\u0001"#)
                && written.contains(r"\u0007\b\t\n\u000b\f\r\u000e")
                && written.ends_with("\\u001f \"")
        );
    }

    #[test]
    fn integers_beyond_2_to_53_and_floats_are_refused() {
        assert_eq!(canonical("9007199254740991").unwrap(), "9007199254740991");
        assert_eq!(canonical("-9007199254740991").unwrap(), "-9007199254740991");
        for json in ["9007199254740992", "-9007199254740992", "18446744073709551615", "1.5", "1e3", "1.0", "-0.0"] {
            assert_eq!(canonical(json), Err(CanonicalError::Number), "{json}");
        }
    }
}
