//! Proves properties of the policies for every request that the schema allows.
//!
//! Cedar's symbolic compiler translates a question about policies into logic, for one environment at a time: an action, a type of
//! principal and a type of resource. The solver cvc5 proves that there is no such request, or gives one. Nothing is sampled.
//!
//! Other combinations of types are not environments. A decision refuses them by their types before it evaluates a policy. This
//! crate checks that the decision's lists of types are the schema's, and tests of `common` check the refusal.
//!
//! It proves nothing about the facts that the policies get. The pipeline and its tests ensure, for example, that a caller's
//! tenant is right.

mod counterexample;
mod prover;
mod question;

pub use question::Question;

use serde::Serialize;
use tokio::process::Command;

/// The result.
#[derive(Debug, Serialize)]
pub struct Proofs {
    /// The number of environments.
    pub environments: usize,
    /// The number of other combinations of an action, a type of principal and a type of resource. A decision refuses each.
    pub refused: usize,
    /// The environments in which no request is ever allowed. For these every property is trivially proven.
    pub impossible: Vec<String>,
    /// One for each property, in the order of their file, and one for errors.
    pub findings: Vec<Finding>,
}

/// The result for one property.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub id: String,
    /// The property, in words.
    pub says: String,
    /// The number of environments in which it could be violated without the policies.
    pub about: usize,
    /// The number of those in which it is proven.
    pub proven: usize,
    /// The duration in milliseconds.
    pub millis: u128,
    /// A request for each of the others with the deciding policies, for people.
    pub counterexamples: Vec<String>,
}

impl Finding {
    pub fn holds(&self) -> bool {
        self.proven == self.about
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// An input is invalid.
    #[error("{0}")]
    Question(String),
    /// The solver does not start.
    #[error("the solver does not start: {0}")]
    Solver(cedar_policy_symcc::solver::SolverError),
    /// The compiler or the solver gave up: the property is neither proven nor refuted.
    #[error("{environment}, {asked}: {source}")]
    Neither { environment: String, asked: String, source: Box<cedar_policy_symcc::err::Error> },
}

/// Asks the solver about every property in every environment, in SMT-LIB 2 on its standard input and output.
///
/// # Errors
/// If it can neither prove nor refute a property.
pub async fn prove(question: &Question, solver: Command) -> Result<Proofs, Unanswered> {
    prover::Prover::start(solver)?.answer(question).await
}
