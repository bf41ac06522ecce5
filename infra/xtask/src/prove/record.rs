//! The record of a proof: the properties, and the versions for which they are proven.

use super::{PROPERTIES, Proofs, SCHEMA};
use aws_lc_rs::digest::{SHA256, digest};
use common::policy::Policies;
use std::{fmt, fs, path::Path};

/// Its path.
pub(super) const RECORD: &str = "policies/proof.txt";

const HEAD: &str = "# What is proven of the policies beside this file, for every request that their schema lets there be:
# docs/adr/0029-policy-proofs.md. Written by `cargo xtask prove`; a test fails once one of the next four lines is not so any more.
";

/// The inputs of a proof. The proof does not hold for other inputs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Basis {
    /// The hash of the policies, as in audit events.
    policies: String,
    schema: String,
    properties: String,
    /// The version of Cedar that makes decisions.
    cedar: String,
}

impl Basis {
    /// The inputs as they are now.
    ///
    /// # Errors
    /// If the policies do not load, or Cedar is not in the lock file.
    pub(super) fn current(root: &Path) -> Result<Self, String> {
        Ok(Self {
            policies: Policies::load()?.hash().to_owned(),
            schema: sha256(SCHEMA),
            properties: sha256(PROPERTIES),
            cedar: locked(&root.join("Cargo.lock"), "cedar-policy")?,
        })
    }

    /// The message if the record is not of these inputs.
    pub(super) fn stale(&self, root: &Path) -> Option<String> {
        let recorded = fs::read_to_string(root.join(RECORD)).unwrap_or_default();
        (!recorded.starts_with(&format!("{HEAD}{self}"))).then(|| format!("{RECORD} is stale: run `cargo xtask prove`"))
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "policies      {}", self.policies)?;
        writeln!(f, "schema        {}", self.schema)?;
        writeln!(f, "properties    {}", self.properties)?;
        writeln!(f, "cedar-policy  {}", self.cedar)
    }
}

/// The record of an answer that proves every property.
pub(super) fn text(basis: &Basis, root: &Path, solver: &str, answer: &Proofs) -> Result<String, String> {
    let symcc = locked(&root.join("infra/prove/Cargo.lock"), "cedar-policy-symcc")?;
    let mut text = format!("{HEAD}{basis}\nBy cedar-policy-symcc {symcc} and cvc5 {solver}, in ");
    text += &format!("{} environments: an action by a type of principal on a type of resource.\n", answer.environments);
    text += &format!(
        "The other {} combinations of these types are refused by a decision, before any policy is asked.\n",
        answer.refused
    );
    text += "Only environments in which a property could be violated are counted.\n\n";
    let width = answer.findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    for finding in &answer.findings {
        text += &format!("{:<width$}  proven in {:>3}  {}\n", finding.id, finding.proven, finding.says);
    }
    text += "\nNo caller may do these, so the properties hold for them trivially:\n";
    for environment in &answer.impossible {
        text += &format!("{environment}\n");
    }
    if answer.impossible.is_empty() {
        text += "nothing\n";
    }
    Ok(text)
}

/// The version of a package in a lock file.
pub(super) fn locked(lock: &Path, package: &str) -> Result<String, String> {
    let text = fs::read_to_string(lock).map_err(|e| format!("{}: {e}", lock.display()))?;
    let name = format!("name = \"{package}\"");
    let version = text.lines().skip_while(|line| *line != name).nth(1).and_then(|line| line.strip_prefix("version = "));
    version.map(|version| version.trim_matches('"').to_owned()).ok_or_else(|| format!("{}: no `{package}`", lock.display()))
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Finding;
    use super::*;
    use crate::workspace;

    #[test]
    fn recorded_proof_is_of_the_current_policies() {
        let root = workspace::root();
        assert_eq!(Basis::current(&root).unwrap().stale(&root), None);
    }

    #[test]
    fn recorded_proof_is_of_the_deciding_cedar_version() {
        let root = workspace::root();
        let [here, there] = ["Cargo.lock", "infra/prove/Cargo.lock"].map(|lock| locked(&root.join(lock), "cedar-policy"));
        assert_eq!(here.unwrap(), there.unwrap());
    }

    #[test]
    fn changed_input_makes_the_record_stale() {
        let root = tempfile::tempdir().unwrap();
        let basis = || Basis { policies: "1".into(), schema: "2".into(), properties: "3".into(), cedar: "4".into() };
        assert!(basis().stale(root.path()).is_some(), "there is no record");
        fs::create_dir_all(root.path().join("policies")).unwrap();
        fs::create_dir_all(root.path().join("infra/prove")).unwrap();
        let lock = "[[package]]\nname = \"cedar-policy-symcc\"\nversion = \"0.8.1\"\n";
        fs::write(root.path().join("infra/prove/Cargo.lock"), lock).unwrap();
        let finding =
            Finding { id: "p".into(), says: "so it is".into(), about: 2, proven: 2, millis: 3, counterexamples: Vec::new() };
        let answer =
            Proofs { environments: 5, refused: 7, impossible: vec!["fly by User on Carpet".into()], findings: vec![finding] };
        let text = text(&basis(), root.path(), "1.3.1", &answer).unwrap();
        assert!(text.contains("p  proven in   2  so it is\n") && text.ends_with("fly by User on Carpet\n"), "{text}");
        fs::write(root.path().join(RECORD), text).unwrap();
        assert_eq!(basis().stale(root.path()), None);
        for changed in [
            Basis { policies: "0".into(), ..basis() },
            Basis { schema: "0".into(), ..basis() },
            Basis { properties: "0".into(), ..basis() },
            Basis { cedar: "0".into(), ..basis() },
        ] {
            assert!(changed.stale(root.path()).is_some_and(|stale| stale.contains("run `cargo xtask prove`")), "{changed:?}");
        }
    }
}
