//! Reads a CloudFormation template and resolves the references of its resources.

mod resolve;
mod rules;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

pub(crate) use resolve::{Attributes, Resolver, text};

/// Parameter values that override the template's defaults, by parameter name.
pub type Overrides = BTreeMap<String, String>;

/// A fault of a template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a template.
    #[error("`{}` is not a template: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause.
        message: String,
    },
    /// An override of an absent parameter, or a parameter without a value.
    #[error("parameter `{name}`: {message}")]
    Parameter {
        /// The parameter.
        name: String,
        /// The fault.
        message: String,
    },
    /// The template's `Rules` refuse the parameters' values.
    #[error("the template's rules refuse the parameters: {}", failed.join("; "))]
    Rule {
        /// The description of each failed assertion.
        failed: Vec<String>,
    },
    /// An expression refers to a name that the template does not contain.
    #[error("{at}: `{name}` is not in the template")]
    Unknown {
        /// The place of the expression.
        at: String,
        /// The name.
        name: String,
    },
    /// An expression refers to a resource that does not exist yet, or that is not created locally.
    #[error("{at}: `{name}` is not made")]
    Unresolved {
        /// The place of the expression.
        at: String,
        /// The resource's logical name, or that and the attribute's.
        name: String,
    },
    /// An unsupported use of an intrinsic function.
    #[error("{at}: cannot evaluate {message}")]
    Expression {
        /// The place of the expression.
        at: String,
        /// The function and its argument.
        message: String,
    },
    /// An unsupported resource type or property.
    #[error("resource `{resource}`: {message}")]
    Unsupported {
        /// The resource's logical name.
        resource: String,
        /// The type or property.
        message: String,
    },
}

/// A template with its parameters' values.
#[derive(Debug, Clone)]
pub struct Template {
    parameters: BTreeMap<String, Value>,
    conditions: Map<String, Value>,
    mappings: Value,
    resources: Arc<BTreeMap<String, Resource>>,
    /// The file's directory, which contains the nested templates.
    directory: PathBuf,
    environment: Map<String, Value>,
    outputs: Map<String, Value>,
}

/// One entry of `Resources`, with unevaluated expressions.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) kind: String,
    pub(crate) condition: Option<String>,
    pub(crate) properties: Value,
}

impl Template {
    /// Reads the file, with each parameter's default.
    ///
    /// # Errors
    /// If the file is unreadable or not a template, or a parameter has no default.
    pub fn load(path: &Path) -> Result<Self, TemplateError> {
        Self::load_with(path, &Overrides::new())
    }

    /// Reads the file; parameters not overridden have their defaults.
    ///
    /// # Errors
    /// As [`Template::load`]; also if an override has no parameter, or its value is not allowed.
    pub fn load_with(path: &Path, overrides: &Overrides) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path).map_err(|source| TemplateError::Unreadable { path: path.to_owned(), source })?;
        let document = Document::read(text).map_err(|message| TemplateError::Malformed { path: path.to_owned(), message })?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Self::from_document(&document, directory, overrides)
    }

    /// A nested stack's template, relative to this one, with the parameters of the stack.
    pub(crate) fn nested(&self, url: &str, given: &Overrides) -> Result<Self, TemplateError> {
        Self::load_with(&self.directory.join(url), given)
    }

    fn from_document(document: &Document, directory: PathBuf, overrides: &Overrides) -> Result<Self, TemplateError> {
        let Document { value: document, resources } = document;
        let declared = section(document, "Parameters");
        if let Some(name) = overrides.keys().find(|name| !declared.contains_key(*name)) {
            return Err(TemplateError::Parameter {
                name: name.clone(),
                message: "the template has no such parameter".to_owned(),
            });
        }
        let parameters = declared
            .iter()
            .map(|(name, declaration)| {
                let value = parameter(name, declaration, overrides.get(name))?;
                Ok((name.clone(), value))
            })
            .collect::<Result<_, TemplateError>>()?;
        rules::check(&section(document, "Rules"), &parameters)?;
        Ok(Self {
            parameters,
            conditions: section(document, "Conditions"),
            mappings: document["Mappings"].clone(),
            resources: resources.clone(),
            directory,
            environment: document["Globals"]["Function"]["Environment"]["Variables"].as_object().cloned().unwrap_or_default(),
            outputs: section(document, "Outputs"),
        })
    }

    /// The value of a string parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.as_str()
    }

    pub(crate) fn resources(&self) -> &BTreeMap<String, Resource> {
        &self.resources
    }

    /// The unevaluated value of an output.
    pub(crate) fn output(&self, name: &str) -> Option<&Value> {
        self.outputs.get(name)?.get("Value")
    }

    /// `Globals.Function.Environment.Variables`, unevaluated.
    pub(crate) fn environment(&self) -> &Map<String, Value> {
        &self.environment
    }
}

/// A parsed template, shared by all who load it with different parameters.
#[derive(Debug)]
struct Document {
    value: Value,
    resources: Arc<BTreeMap<String, Resource>>,
}

impl Document {
    /// Parses a text once a process, because each test loads the same templates.
    fn read(text: String) -> Result<Arc<Self>, String> {
        static READ: Mutex<Option<HashMap<String, Arc<Document>>>> = Mutex::new(None);
        let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read.get_or_insert_default();
        if let Some(document) = read.get(&text) {
            return Ok(document.clone());
        }
        let value = yaml::parse(&text)?;
        let resource = |(name, body): (&String, &Value)| {
            let kind = body["Type"].as_str().ok_or_else(|| format!("resource `{name}` has no Type"))?;
            let resource = Resource {
                kind: kind.to_owned(),
                condition: body["Condition"].as_str().map(str::to_owned),
                properties: body["Properties"].clone(),
            };
            Ok::<_, String>((name.clone(), resource))
        };
        let resources = value["Resources"].as_object().ok_or_else(|| "it has no Resources".to_owned())?;
        let resources = Arc::new(resources.iter().map(resource).collect::<Result<_, _>>()?);
        let document = Arc::new(Self { value, resources });
        read.insert(text, document.clone());
        Ok(document)
    }
}

fn section(document: &Value, name: &str) -> Map<String, Value> {
    document[name].as_object().cloned().unwrap_or_default()
}

/// A parameter's value: a string, or a list of strings for list types.
fn parameter(name: &str, declaration: &Value, given: Option<&String>) -> Result<Value, TemplateError> {
    let wrong = |message: String| TemplateError::Parameter { name: name.to_owned(), message };
    let default = declaration.get("Default").map(resolve::text);
    let value = given.cloned().or(default).ok_or_else(|| wrong("it has no default and no value is given".to_owned()))?;
    if let Some(allowed) = declaration["AllowedValues"].as_array()
        && !allowed.iter().any(|allowed| resolve::text(allowed) == value)
    {
        return Err(wrong(format!("`{value}` is not an allowed value")));
    }
    let kind = declaration["Type"].as_str().unwrap_or_default();
    let is_list = kind == "CommaDelimitedList" || kind.starts_with("List<");
    let values: Vec<&str> = if is_list { value.split(',').map(str::trim).collect() } else { vec![&value] };
    if let Some(pattern) = declaration["AllowedPattern"].as_str() {
        // It matches the whole string, and each whole string of a list.
        let pattern = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| wrong(error.to_string()))?;
        if let Some(value) = values.iter().find(|value| !pattern.is_match(value)) {
            return Err(wrong(format!("`{value}` does not match the allowed pattern")));
        }
    }
    if kind == "Number" {
        let number: f64 = value.parse().map_err(|_| wrong(format!("`{value}` is not a number")))?;
        let bound = |name: &str| declaration.get(name).and_then(Value::as_f64);
        if bound("MinValue").is_some_and(|least| number < least) || bound("MaxValue").is_some_and(|most| number > most) {
            return Err(wrong(format!("`{value}` is out of its bounds")));
        }
    }
    Ok(if is_list { values.into_iter().collect() } else { Value::String(value) })
}
