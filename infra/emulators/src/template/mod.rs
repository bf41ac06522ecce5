//! Reads a CloudFormation template and resolves what its resources refer to.

mod resolve;
mod rules;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

pub(crate) use resolve::{Attributes, Resolver, text};

/// Parameter values that replace the template's defaults, by parameter name.
pub type Overrides = BTreeMap<String, String>;

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a template.
    #[error("`{}` is not a template: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A parameter is given that the template does not have, or has no value.
    #[error("parameter `{name}`: {message}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// The template's `Rules` do not allow the parameters together.
    #[error("the template's rules refuse the parameters: {}", failed.join("; "))]
    Rule {
        /// What each failed assertion says.
        failed: Vec<String>,
    },
    /// An expression names something that the template does not have.
    #[error("{at}: `{name}` is not in the template")]
    Unknown {
        /// Where the expression stands.
        at: String,
        /// The name.
        name: String,
    },
    /// An expression names a resource that does not exist yet, or is not made locally.
    #[error("{at}: `{name}` is not made")]
    Unresolved {
        /// Where the expression stands.
        at: String,
        /// The resource's logical name, or that and the attribute's.
        name: String,
    },
    /// An intrinsic function is used in a way that is not understood here.
    #[error("{at}: cannot evaluate {message}")]
    Expression {
        /// Where the expression stands.
        at: String,
        /// The function and what it was given.
        message: String,
    },
    /// A resource, or one of its properties, is of a kind that the local stack does not know.
    #[error("resource `{resource}`: {message}")]
    Unsupported {
        /// The resource's logical name.
        resource: String,
        /// What is not known.
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
    /// Where the file lies, from which nested templates are found.
    directory: PathBuf,
    environment: Map<String, Value>,
    outputs: Map<String, Value>,
}

/// One entry of `Resources`, its expressions not evaluated yet.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) kind: String,
    pub(crate) condition: Option<String>,
    pub(crate) properties: Value,
}

impl Template {
    /// Reads the file; every parameter has its default.
    ///
    /// # Errors
    /// If the file is unreadable or no template, or a parameter has no default.
    pub fn load(path: &Path) -> Result<Self, TemplateError> {
        Self::load_with(path, &Overrides::new())
    }

    /// Reads the file; parameters not overridden have their defaults.
    ///
    /// # Errors
    /// As [`Template::load`]; also if an override names no parameter, or is not a value that the parameter allows.
    pub fn load_with(path: &Path, overrides: &Overrides) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path).map_err(|source| TemplateError::Unreadable { path: path.to_owned(), source })?;
        let document = Document::read(text).map_err(|message| TemplateError::Malformed { path: path.to_owned(), message })?;
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Self::from_document(&document, directory, overrides)
    }

    /// A nested stack's template, at its place beside this one, with the parameters that the stack gives it.
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

    /// The value of a parameter that is one string.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name)?.as_str()
    }

    pub(crate) fn resources(&self) -> &BTreeMap<String, Resource> {
        &self.resources
    }

    /// The value of an output, not evaluated yet.
    pub(crate) fn output(&self, name: &str) -> Option<&Value> {
        self.outputs.get(name)?.get("Value")
    }

    /// `Globals.Function.Environment.Variables`, not evaluated yet.
    pub(crate) fn environment(&self) -> &Map<String, Value> {
        &self.environment
    }
}

/// A template's text, read: the same for all who load it, whatever their parameters.
#[derive(Debug)]
struct Document {
    value: Value,
    resources: Arc<BTreeMap<String, Resource>>,
}

impl Document {
    /// Reads a text once a process: each test loads the same templates.
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

/// A parameter's value: a string, or a list of strings for the types whose names say list.
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
        // The whole of a string, and the whole of each string of a list.
        let pattern = regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|error| wrong(error.to_string()))?;
        if let Some(value) = values.iter().find(|value| !pattern.is_match(value)) {
            return Err(wrong(format!("`{value}` does not match the allowed pattern")));
        }
    }
    if kind == "Number" {
        let number: f64 = value.parse().map_err(|_| wrong(format!("`{value}` is no number")))?;
        let bound = |name: &str| declaration.get(name).and_then(Value::as_f64);
        if bound("MinValue").is_some_and(|least| number < least) || bound("MaxValue").is_some_and(|most| number > most) {
            return Err(wrong(format!("`{value}` is out of its bounds")));
        }
    }
    Ok(if is_list { values.into_iter().collect() } else { Value::String(value) })
}
