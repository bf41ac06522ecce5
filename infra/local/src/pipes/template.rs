//! Transforms a record: a pipe's input template, and its target's dynamic parameters.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html>

use serde_json::Value;

/// A text with `<$.a.b>` in it. Between quotes a variable is replaced by its text, elsewhere by its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputTemplate(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Json(Path),
    Quoted(Path),
}

impl InputTemplate {
    /// # Errors
    /// Names an unsupported variable, such as `<aws.pipes.pipe-name>`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut rest, mut quoted) = (Vec::new(), text, false);
        while let Some((before, after)) = rest.split_once('<') {
            let (variable, after) = after.split_once('>').ok_or_else(|| format!("`{text}`: a variable has no end"))?;
            let path =
                Path::parse(variable).ok_or_else(|| format!("the local stack does not support the variable `{variable}`"))?;
            quoted ^= before.replace(r#"\""#, "").matches('"').count() % 2 == 1;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(if quoted { Piece::Quoted(path) } else { Piece::Json(path) });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// # Errors
    /// Names a path that the record does not have.
    pub(crate) fn fill(&self, record: &Value) -> Result<String, String> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Json(path) => filled.push_str(&path.find(record)?.to_string()),
                Piece::Quoted(path) => match path.find(record)? {
                    // Without quotes, which are in the template.
                    text @ Value::String(_) => {
                        let json = text.to_string();
                        filled.push_str(json.get(1..json.len() - 1).unwrap_or_default());
                    }
                    other => filled.push_str(&other.to_string()),
                },
            }
        }
        Ok(filled)
    }
}

/// A target's parameter: a constant, or `$.a.b` of each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    Constant(String),
    Of(Path),
}

impl Parameter {
    pub(crate) fn parse(text: &str) -> Self {
        Path::parse(text).map_or_else(|| Self::Constant(text.to_owned()), Self::Of)
    }

    /// # Errors
    /// Names a path that the record does not have.
    pub(crate) fn of(&self, record: &Value) -> Result<String, String> {
        match self {
            Self::Constant(text) => Ok(text.clone()),
            Self::Of(path) => match path.find(record)? {
                Value::String(text) => Ok(text.clone()),
                other => Ok(other.to_string()),
            },
        }
    }
}

/// `$.dynamodb.Keys.pk.S`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(Vec<String>);

impl Path {
    fn parse(text: &str) -> Option<Self> {
        let steps = text.strip_prefix("$.")?;
        Some(Self(steps.split('.').map(str::to_owned).collect()))
    }

    fn find<'a>(&self, record: &'a Value) -> Result<&'a Value, String> {
        let found = self.0.iter().try_fold(record, |value, step| value.get(step));
        found.ok_or_else(|| format!("a record has no `$.{}`", self.0.join(".")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn variable_is_json_outside_of_quotes_and_text_inside() {
        let record = json!({ "a": { "S": "say \"hi\"" }, "n": 7 });
        let filled = |template| InputTemplate::parse(template).unwrap().fill(&record).unwrap();
        assert_eq!(filled(r#"{"x": <$.a.S>, "n": <$.n>}"#), r#"{"x": "say \"hi\"", "n": 7}"#);
        assert_eq!(filled(r#"{"x": "it is <$.a.S>", "y": <$.a>}"#), r#"{"x": "it is say \"hi\"", "y": {"S":"say \"hi\""}}"#);
        assert_eq!(filled(r#"{"x": "<$.n>"}"#), r#"{"x": "7"}"#);
        assert_eq!(filled("nothing"), "nothing");
    }

    #[test]
    fn missing_path_or_unsupported_variable_is_named() {
        let missing = InputTemplate::parse("<$.a.b>").unwrap().fill(&json!({ "a": 1 })).unwrap_err();
        assert!(missing.contains("$.a.b"), "{missing}");
        for bad in ["<aws.pipes.pipe-name>", "<$.a", "<a>"] {
            assert!(InputTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameter_is_a_path_only_with_the_prefix() {
        let record = json!({ "pk": "ten_1#AUDIT" });
        assert_eq!(Parameter::parse("cloister").of(&record), Ok("cloister".to_owned()));
        assert_eq!(Parameter::parse("$.pk").of(&record), Ok("ten_1#AUDIT".to_owned()));
        assert!(Parameter::parse("$.sk").of(&record).is_err());
    }
}
