//! YAML as CloudFormation reads it: ordered, with its short tags. It supports only what the templates need.

use serde_norway::Value;
use std::fmt::Write as _;

/// The longest line on which a collection may be written.
const WIDTH: usize = 128;

/// One value of a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// A number or a boolean, as it is written.
    Plain(String),
    Text(String),
    /// Text over several lines, kept line by line.
    Block(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    /// `!Sub …` and its like.
    Tag(&'static str, Box<Node>),
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Self::Plain(value.to_string())
    }
}
impl From<u32> for Node {
    fn from(value: u32) -> Self {
        Self::Plain(value.to_string())
    }
}
impl<T: Into<Node>> FromIterator<T> for Node {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

/// An ordered map of a template.
macro_rules! map {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::sync::yaml::Node::Map(vec![$(($key.to_string(), $crate::sync::yaml::Node::from($value))),*])
    };
}
/// A list of a template.
macro_rules! list {
    ($($value:expr),* $(,)?) => {
        $crate::sync::yaml::Node::List(vec![$($crate::sync::yaml::Node::from($value)),*])
    };
}
pub(crate) use {list, map};

pub(crate) fn reference(name: &str) -> Node {
    Node::Tag("Ref", Box::new(name.into()))
}
pub(crate) fn attribute(path: &str) -> Node {
    Node::Tag("GetAtt", Box::new(path.into()))
}
pub(crate) fn sub(text: impl Into<String>) -> Node {
    Node::Tag("Sub", Box::new(Node::Text(text.into())))
}

impl Node {
    /// The members of a map; empty for any other node.
    pub(crate) fn members(&self) -> &[(String, Node)] {
        match self {
            Self::Map(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.members().iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Reads a part of a template, including short tags.
    ///
    /// # Errors
    /// For parts that templates do not have: a key that is not a text, an unsupported tag.
    pub(crate) fn from_yaml(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::Null => Self::Plain("null".to_owned()),
            Value::Bool(value) => Self::Plain(value.to_string()),
            Value::Number(value) => Self::Plain(value.to_string()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Sequence(items) => Self::List(items.iter().map(Self::from_yaml).collect::<Result<_, _>>()?),
            Value::Mapping(members) => {
                let member = |(key, value): (&Value, &Value)| {
                    let key = key.as_str().ok_or_else(|| format!("a key that is not a text: {key:?}"))?;
                    Ok::<_, String>((key.to_owned(), Self::from_yaml(value)?))
                };
                Self::Map(members.iter().map(member).collect::<Result<_, _>>()?)
            }
            Value::Tagged(tagged) => {
                let tag = tagged.tag.to_string();
                let known = TAGS.iter().find(|known| tag.trim_start_matches('!') == **known);
                Self::Tag(known.ok_or_else(|| format!("unsupported tag `{tag}`"))?, Box::new(Self::from_yaml(&tagged.value)?))
            }
        })
    }

    /// The value in block style, each line after `indent` spaces.
    pub(crate) fn write(&self, indent: usize) -> String {
        let mut out = String::new();
        self.block(&mut out, indent, false);
        out
    }

    fn block(&self, out: &mut String, indent: usize, after_dash: bool) {
        match self {
            Self::Map(members) => {
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 || !after_dash {
                        pad(out, indent);
                    }
                    out.push_str(&quoted(key));
                    out.push(':');
                    value.after_key(out, indent);
                }
            }
            Self::List(items) => {
                for item in items {
                    pad(out, indent);
                    out.push('-');
                    item.after_dash(out, indent);
                }
            }
            scalar => {
                pad(out, indent);
                out.push_str(&scalar.flow());
                out.push('\n');
            }
        }
    }

    fn after_key(&self, out: &mut String, indent: usize) {
        if let Some(line) = self.on_one_line(column(out)) {
            let _ = writeln!(out, " {line}");
            return;
        }
        match self {
            Self::Block(text) => {
                out.push_str(" |-\n");
                for line in text.lines() {
                    pad(out, indent + 2);
                    out.push_str(line);
                    out.push('\n');
                }
            }
            Self::Tag(tag, inner) => {
                let _ = write!(out, " !{tag}");
                inner.after_key(out, indent);
            }
            _ => {
                out.push('\n');
                self.block(out, indent + 2, false);
            }
        }
    }

    fn after_dash(&self, out: &mut String, indent: usize) {
        match (self.on_one_line(column(out)), self) {
            (Some(line), _) => {
                let _ = writeln!(out, " {line}");
            }
            (None, Self::Tag(..)) => self.after_key(out, indent),
            (None, _) => {
                out.push(' ');
                self.block(out, indent + 2, true);
            }
        }
    }

    fn on_one_line(&self, column: usize) -> Option<String> {
        match self {
            Self::Block(_) => None,
            Self::Plain(_) | Self::Text(_) => Some(self.flow()),
            // The tag's value may be long: it stays one scalar.
            Self::Tag(_, inner) if matches!(**inner, Self::Text(_)) => Some(self.flow()),
            _ if self.has_block() => None,
            _ => Some(self.flow()).filter(|line| self.depth() <= 2 && column + 1 + line.len() <= WIDTH),
        }
    }

    fn has_block(&self) -> bool {
        match self {
            Self::Block(_) => true,
            Self::List(items) => items.iter().any(Self::has_block),
            Self::Map(members) => members.iter().any(|(_, value)| value.has_block()),
            Self::Tag(_, inner) => inner.has_block(),
            Self::Plain(_) | Self::Text(_) => false,
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + items.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            Self::Tag(_, inner) => inner.depth(),
            _ => 0,
        }
    }

    fn flow(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Text(text) | Self::Block(text) => quoted(text),
            Self::List(items) => format!("[{}]", items.iter().map(Self::flow).collect::<Vec<_>>().join(", ")),
            Self::Map(members) if members.is_empty() => "{}".to_owned(),
            Self::Map(members) => {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("{}: {}", quoted(key), value.flow())).collect();
                format!("{{ {} }}", members.join(", "))
            }
            Self::Tag(tag, inner) => format!("!{tag} {}", inner.flow()),
        }
    }
}

const TAGS: [&str; 9] = ["Ref", "GetAtt", "Sub", "Join", "If", "Select", "Equals", "Not", "Split"];

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn column(out: &str) -> usize {
    out.len() - out.rfind('\n').map_or(0, |newline| newline + 1)
}

/// A scalar that reads back as this text, with quotes only where YAML would read something else.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:$+".contains(c);
    let word = text.chars().all(plain)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '.')
        && !text.ends_with(':')
        && !matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    if word { text.to_owned() } else { format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_yaml_reads_back_unchanged() {
        let node = map! {
            "Short" => map! { "a" => "b c", "Ref" => reference("X") },
            "Condition" => map! { "StringEquals" => map! { "kms:ViaService" => sub("dynamodb.${AWS::Region}.amazonaws.com") } },
            "Numbers" => list![1u32, true, "true", "2012-10-17", "*", "quote\"s"],
            "Lines" => Node::Block("#if(x)\n  y\n#end".to_owned()),
            "Chosen" => list![Node::Tag("If", Box::new(list!["On", map! { "a" => map! { "b" => map! { "c" => "d" } } }, reference("AWS::NoValue")]))],
            "Long" => Node::List((0..40u32).map(|i| map! { "Key" => format!("item number {i}"), "Value" => attribute("Some.Arn") }).collect()),
            "200" => "a key that looks like a number",
        };
        let text = node.write(0);
        let read: Value = serde_norway::from_str(&text).unwrap();
        let lines = Node::Text("#if(x)\n  y\n#end".to_owned());
        let expected = match node {
            Node::Map(members) => {
                Node::Map(members.into_iter().map(|(k, v)| if k == "Lines" { (k, lines.clone()) } else { (k, v) }).collect())
            }
            other => other,
        };
        assert_eq!(Node::from_yaml(&read).unwrap(), expected, "{text}");
    }
}
