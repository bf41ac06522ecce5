//! The suite: one binary, since each binary links all functions and the AWS SDK, and one Cognito serves the tests of a process.
//! `cargo test -p suite --test all <module>::` runs one file.

mod attacks;
mod background;
mod bootstrap;
mod broken_tenants;
mod calls;
mod canonicalization;
mod cold_functions;
mod dependencies;
mod ended_sessions;
mod escalation;
mod event_versions;
mod events;
mod every_endpoint;
mod every_id;
mod expiry;
mod faults;
mod gateway;
mod headers;
mod index_lag;
mod inputs;
mod item_sizes;
mod journeys;
mod keys;
mod limits;
mod one_address;
mod replays;
mod revoked_midway;
mod session_ends;
mod sign_in_attacks;
mod spellings;
mod stored_shapes;
mod tenant_credentials;
mod tenants;
mod users;

/// A file that no line above names would never run.
#[test]
fn every_file_of_this_folder_is_a_module() {
    let named: std::collections::BTreeSet<_> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap();
    let files = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    assert_eq!(files.filter(|name| name != "main").collect::<std::collections::BTreeSet<_>>(), named);
}
