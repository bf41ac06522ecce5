use super::graph::Graph;

/// A crate of these files, and its violations.
fn faults(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Graph::read(folder.path()).unwrap().faults()
}

const ROOT: (&str, &str) = ("lib.rs", "mod base; mod request; pub use request::permit::Permit;");
const REQUEST: (&str, &str) = ("request/mod.rs", "pub mod permit; pub use permit::Permit as Shown;");
const PERMIT: (&str, &str) = ("request/permit.rs", "pub struct Permit; #[macro_export] macro_rules! made { () => {} }");

#[test]
fn use_of_a_lower_layer_is_no_fault() {
    let base = ("base.rs", "pub struct Id;");
    let permit = ("request/permit.rs", "use crate::base::Id; pub struct Permit(Id);");
    assert_eq!(faults(&[ROOT, REQUEST, base, permit]), Vec::<String>::new());
}

#[test]
fn use_of_a_higher_layer_is_a_fault_however_it_is_written() {
    for text in [
        "use crate::request::permit::Permit;",
        "use crate::{request::{permit::{Permit as P}}};",
        "use crate::Permit;",
        "use crate::request::Shown;",
        "use super::request::Shown;",
        "use crate::request; fn f(_: request::Shown) {}",
        "use crate::request::permit as other; fn f(_: other::Permit) {}",
        "fn f() { let _ = [crate::request::permit::Permit]; }",
        "fn f(_: Vec<crate::Permit>) {}",
        "macro_rules! m { () => { $crate::request::permit::Permit } }",
        "crate::made!();",
        "pub use crate::request::permit::Permit;",
        "mod inner { fn f(_: crate::Permit) {} }",
        "mod inner { use super::super::request::Shown; }",
    ] {
        let found = faults(&[ROOT, REQUEST, PERMIT, ("base.rs", text)]);
        assert!(found.iter().any(|fault| fault.starts_with("base -> request::permit (")), "{text}: {found:?}");
    }
}

#[test]
fn tests_comments_and_texts_use_nothing() {
    for text in [
        "#[cfg(test)] mod tests { use crate::Permit; }",
        "#[cfg(test)] use crate::{Permit}; pub struct Id;",
        "#[cfg(test)] fn f(_: crate::Permit) {}",
        "//! [`crate::Permit`]\n/// crate::Permit\npub struct Id;",
        "const T: &str = \"crate::Permit\"; const R: &str = r#\"use crate::Permit;\"#;",
    ] {
        assert_eq!(faults(&[ROOT, REQUEST, PERMIT, ("base.rs", text)]), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn module_outside_the_layers_is_a_fault() {
    let found = faults(&[("lib.rs", "mod elsewhere;"), ("elsewhere.rs", "")]);
    assert!(found[0].starts_with("elsewhere is in no layer"), "{found:?}");
}

#[test]
fn circle_of_more_than_five_modules_is_a_fault_and_one_of_five_is_none() {
    for (modules, expected) in [(5, 0), (6, 1)] {
        let names: Vec<String> = (0..modules).map(|n| format!("m{n}")).collect();
        let list: String = names.iter().map(|name| format!("mod {name};")).collect();
        let mut files = vec![("lib.rs".to_owned(), "mod base;".to_owned()), ("base/mod.rs".to_owned(), list)];
        for (n, name) in names.iter().enumerate() {
            let next = &names[(n + 1) % modules];
            files.push((format!("base/{name}.rs"), format!("use crate::base::{next}::Thing as Other; pub struct Thing;")));
        }
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(faults(&files).len(), expected, "{:?}", faults(&files));
    }
}
