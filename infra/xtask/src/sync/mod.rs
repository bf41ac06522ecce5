//! Generates the files that follow from the list of functions, so that a new endpoint changes one place.

mod alarms;
pub(crate) mod api;
mod background;
#[cfg(test)]
mod bounds;
pub(crate) mod calls;
#[cfg(test)]
mod evaluate;
mod events;
pub(crate) mod function;
mod iam;
#[cfg(test)]
mod isolation;
mod keys;
mod manifest;
mod queues;
mod regions;
mod samconfig;
mod schemas;
mod sockets;
mod stack;
mod tags;
#[cfg(test)]
mod template_assertions;
mod tenant_credentials;
#[cfg(test)]
mod tests;
mod triggers;
#[cfg(test)]
mod two_deployments;
mod watch;
#[cfg(test)]
mod watched;
mod yaml;

use crate::{Outcome, openapi, workspace};
use function::Function;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Generate binaries, templates, events and the API's description from the list of functions
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; name stale files, and fail if there are any
    #[arg(long)]
    check: bool,
}

/// The first line of a generated file.
const GENERATED: &str = "# Written by `cargo xtask sync` from the list of functions: change that, not this.\n";

pub(crate) fn run(args: Args) -> Outcome {
    let root = workspace::root();
    let stale = stale(&root)?;
    for (path, wanted) in &stale {
        if args.check {
            println!("stale: {}", path.display());
            continue;
        }
        let file = root.join(path);
        match wanted {
            Some(text) => {
                fs::create_dir_all(file.parent().unwrap_or(&root))?;
                fs::write(&file, text)?;
                println!("wrote {}", path.display());
            }
            None => {
                fs::remove_file(&file)?;
                println!("removed {}", path.display());
            }
        }
    }
    if args.check && !stale.is_empty() {
        println!("run `cargo xtask sync`");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The stale files, each with its expected content; `None` if it should not exist.
fn stale(root: &Path) -> Result<BTreeMap<PathBuf, Option<String>>, String> {
    let mut stale = BTreeMap::new();
    let planned = plan(root)?;
    for (path, text) in &planned {
        if fs::read_to_string(root.join(path)).ok().as_ref() != Some(text) {
            stale.insert(path.clone(), Some(text.clone()));
        }
    }
    // These folders contain generated files only.
    let bins = registry::DOMAINS.iter().map(|domain| format!("functions/{}/src/bin", domain.name));
    for folder in bins.chain(["events".to_owned(), "infra/stacks".to_owned()]) {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let path = Path::new(&folder).join(entry.file_name());
            if !planned.contains_key(&path) {
                stale.insert(path, None);
            }
        }
    }
    Ok(stale)
}

/// Every generated file, with its expected content.
fn plan(root: &Path) -> Result<BTreeMap<PathBuf, String>, String> {
    let read = |path: &str| fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"));
    let functions = function::all();
    let mut files = BTreeMap::new();
    for function in &functions {
        files.insert(format!("functions/{}/src/bin/{}.rs", function.domain, function.name).into(), function.main());
        files.insert(format!("events/{}.json", function.name).into(), events::template(function)?);
    }
    let template = read("template.yaml")?;
    let nested = stack::Root::read(&template)?;
    let mut stacks = Vec::new();
    for domain in registry::DOMAINS {
        let own: Vec<Function> = functions.iter().filter(|function| function.domain == domain.name).copied().collect();
        let path = format!("functions/{}/Cargo.toml", domain.name);
        files.insert((&path).into(), manifest::with_bins(&read(&path)?, &own).map_err(|e| format!("{path}: {e}"))?);
        files.insert(format!("infra/stacks/{}.yaml", domain.name).into(), nested.stack(domain.name, &own));
        stacks.push(nested.nested(domain.name, &own));
    }
    let in_template =
        |text: &str, name: &str, lines: &str| regions::replace(text, name, lines).map_err(|e| format!("template.yaml: {e}"));
    let template = in_template(&template, "fed_queues", &keys::fed_queues())?;
    let template = in_template(&template, "dead_letters", &keys::dead_letters())?;
    let template = in_template(&template, "redriven_queues", &keys::redriven_queues())?;
    let template = in_template(&template, "wrappers", &keys::wrappers(&functions))?;
    let template = in_template(&template, "signers", &keys::signers(&functions))?;
    let samconfig = read("samconfig.toml")?;
    for environment in ["default", "prod"] {
        samconfig::check(&samconfig::parameters(&samconfig, environment)?)?;
    }
    let template = in_template(&template, "rules", &api::rules(&samconfig::parameters(&samconfig, "prod")?))?;
    let template = in_template(&template, "triggers", &triggers::of_pool())?;
    let template = in_template(&template, "events", &queues::resources())?;
    let template = in_template(&template, "sockets", &sockets::resources())?;
    let template = in_template(&template, "alarms", &alarms::resources(&nested.tables))?;
    let template = in_template(&template, "api", &api::resources(&samconfig))?;
    let template = in_template(&template, "walls", &tenant_credentials::resources(&functions))?;
    let template = in_template(&template, "stacks", &tags::write(stacks))?;
    let template = in_template(&template, "outputs", &api::outputs(&nested))?;
    files.insert("template.yaml".into(), template);
    let resources = common::policy::resources_of_schema(&read("policies/schema.cedarschema")?)?;
    files.insert("policies/resources.txt".into(), resources);
    let principals = common::policy::principals_of_schema(&read("policies/schema.cedarschema")?)?;
    files.insert("policies/principals.txt".into(), principals);
    files.insert("policies/index.txt".into(), common::policy::index_of_policies()?);
    files.insert("policies/actions.txt".into(), common::policy::actions_of_schema(&read("policies/schema.cedarschema")?)?);
    files.insert("docs/openapi.json".into(), openapi::document());
    files.extend(schemas::files(root)?);
    Ok(files)
}
