//! Dependencies point one way: `phi`, `ledger`, `ups` <- `common` <- functions <- infra, tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "../../infra/xtask/src/rooms/graph.rs"]
mod graph;

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// The crates of ours that each crate may depend on. Domains never depend on each other.
fn allowed(name: &str, path: &str) -> BTreeSet<&'static str> {
    let set: &[_] = match name {
        "phi" | "ledger" | "ups" | "emulators" => &[],
        "common" => &["phi", "ledger", "ups"],
        "testing" => &["common", "phi", "emulators"],
        "registry" => &["audit", "common", "identity", "notifications", "organizations", "shipments", "system", "users"],
        // An auditor runs it, so it shares only the format with the code that it checks.
        "auditor" => &["ledger"],
        "cloister" => &["auditor", "common", "ledger", "phi", "registry"],
        "suite" => {
            &["audit", "common", "emulators", "identity", "ledger", "notifications", "registry", "shipments", "testing", "users"]
        }
        "audit" => &["common", "ledger"],
        "shipments" => &["common", "phi", "ups"],
        _ if path.contains("/functions/") => &["common", "phi"],
        _ if path.contains("/infra/") => {
            &["common", "phi", "ledger", "emulators", "registry", "local", "identity", "shipments", "system"]
        }
        other => panic!("`{other}` is a new crate: add the crates that it may depend on"),
    };
    set.iter().copied().collect()
}

/// Only these crates may depend on AWS SDKs, on Lambda's crates or on an HTTP client.
const SPEAKS_AWS: [&str; 2] = ["common", "testing"];

/// The workspace's packages, from `cargo metadata`.
fn packages() -> Vec<Value> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--manifest-path", manifest])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn crate_depends_only_on_the_crates_that_it_may_use() {
    let packages = packages();
    let ours: BTreeMap<_, _> = packages.iter().map(|p| (p["name"].as_str().unwrap(), p)).collect();
    let mut wrong = Vec::new();
    for (&name, package) in &ours {
        let path = package["manifest_path"].as_str().unwrap();
        let allowed = allowed(name, path);
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            // Null means a dependency of shipped code. The others are `dev` and `build`.
            let ships = dependency["kind"].is_null();
            if ships && ours.contains_key(to) && !allowed.contains(to) {
                wrong.push(format!("{name} -> {to}"));
            }
            if to == "testing" && name != "suite" && ships {
                wrong.push(format!("{name} -> testing, which is for tests"));
            }
            let aws = ["aws-sdk", "aws-config", "aws-smithy", "lambda_", "aws_lambda_events"].iter().any(|p| to.starts_with(p));
            let client = ["reqwest", "hyper", "hyper-util", "ureq"].contains(&to);
            if (aws || client) && path.contains("/functions/") && ships {
                wrong.push(format!("{name} -> {to}: a domain uses neither AWS nor HTTP directly"));
            }
            if aws && path.contains("/shared/") && !SPEAKS_AWS.contains(&name) && ships {
                wrong.push(format!("{name} -> {to}: only `common` uses AWS"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The macros of `tracing` record any value. Those of `telemetry` take only what may be in a log line.
#[test]
fn only_telemetry_uses_tracing() {
    let mut users = Vec::new();
    for package in packages() {
        let dependencies = package["dependencies"].as_array().unwrap();
        if dependencies.iter().any(|dependency| dependency["name"].as_str().unwrap().starts_with("tracing")) {
            users.push(package["name"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(users, ["common"]);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/common/src");
    let (mut folders, mut files) = (vec![src.clone()], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read_to_string(&path).unwrap_or_default().contains("tracing::") {
                files.insert(path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let module = ["", "/call", "/layer", "/record"].map(|file| format!("base/telemetry{file}.rs"));
    assert_eq!(files, module.into());
}

#[test]
fn module_of_common_uses_its_own_and_lower_layers_in_small_cycles() {
    let graph = graph::Graph::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/common/src")).unwrap();
    assert!(graph.modules().len() > 100 && graph.uses().count() > 500, "the modules were not read");
    assert_eq!(graph.faults(), Vec::<String>::new(), "`cargo xtask rooms` shows the whole graph's figures");
}
