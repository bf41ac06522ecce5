//! The examples of CONTRIBUTING.md, compiled as this domain's own code is. A change that breaks an example breaks this crate's
//! tests, and so does an example that is not here.

#![expect(unreachable_pub, reason = "the modules of a domain's endpoints, consumers and schedules are public")]

mod events;

common::endpoints! {
    tenant get_shipment_status::GetShipmentStatus,
}

common::consumers! {
    file_return::FileReturn,
}

common::schedules! {
    close_returns::CloseReturns,
}

// The endpoint's tests import it from their parent's parent, as in `endpoints`.
use crate::endpoints::fixture;

const COMPILED: [&str; 5] = [
    include_str!("mod.rs"),
    include_str!("close_returns.rs"),
    include_str!("events.rs"),
    include_str!("file_return.rs"),
    include_str!("get_shipment_status.rs"),
];

/// Without indentation, which differs where an example is part of an item.
fn lines(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_rust_example_of_contributing_is_compiled() {
    let page = include_str!("../../../../CONTRIBUTING.md");
    let compiled = COMPILED.map(lines).join("\n");
    let examples: Vec<_> = page.split("\n```rust\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert_eq!(examples.len(), 7);
    for example in examples {
        assert!(compiled.contains(&lines(example)), "no file of {} has this example:\n{example}", file!());
    }
}

#[test]
fn examples_are_declared_under_their_names() {
    let names = [ALL[0].name, CONSUMERS[0].name, SCHEDULES[0].name];
    assert_eq!(names, ["get_shipment_status", "file_return", "close_returns"]);
}
