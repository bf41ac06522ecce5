//! An accepted body is JSON, keeps its value when it is printed and parsed again, and has no member twice. An error about it has
//! a place that is safe to return to the client.
#![no_main]

use cloister_fuzz::input;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// One member of each kind that inputs have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are only deserialised")]
struct Shape {
    flag: bool,
    #[serde(default)]
    hour: Option<i8>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    limits: BTreeMap<Kind, Vec<u64>>,
    #[serde(default)]
    share: Option<f64>,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Daily,
    Hourly,
}

/// The numbers that are not integers.
fn fractions(value: &Value) -> Vec<f64> {
    match value {
        Value::Number(number) if number.is_f64() => number.as_f64().into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(fractions).collect(),
        Value::Object(members) => members.values().flat_map(fractions).collect(),
        _ => Vec::new(),
    }
}

/// True if 64 bits can hold the number as an integer.
fn is_integer(v: f64) -> bool {
    v.fract() == 0.0 && (-9_223_372_036_854_775_808.0..18_446_744_073_709_551_616.0).contains(&v)
}

fuzz_target!(|bytes: &[u8]| {
    let lax = serde_json::from_slice::<Value>(bytes).ok();
    let Some(body) = input::body(bytes) else {
        // A rejected body that is JSON has a member twice. Printed again, it has each member once and is accepted.
        assert!(lax.is_none_or(|lax| input::body(lax.to_string().as_bytes()).is_some()));
        return;
    };
    let fractions = fractions(&body);
    assert!(lax.is_some() && !fractions.iter().any(|v| is_integer(*v)), "{fractions:?}");
    let again = input::body(body.to_string().as_bytes());
    // A fraction may differ by one bit after it is printed and parsed.
    assert!(if fractions.is_empty() { again.as_ref() == Some(&body) } else { again.is_some() });
    if let Err(wrong) = input::leaf::<Shape>(body, "outer") {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.()".contains(c);
        assert!(wrong.field.starts_with("outer") && wrong.field.chars().all(is_plain), "{}", wrong.field);
        assert!(wrong.message.is_ascii(), "{}", wrong.message);
    }
});
