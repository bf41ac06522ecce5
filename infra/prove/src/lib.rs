//! Proofs about the policies, for every request that the schema lets there be.
//!
//! Cedar's symbolic compiler turns a question about policies into one about logic, an environment at a time: an action, a type of
//! principal, a type of resource. The solver cvc5 answers it: there is no such request, or here is one. Nothing is sampled.
//!
//! All other combinations of types are no environments. A decision refuses them by their types, before it asks a policy; that its
//! lists of types are the schema's is looked at here, type by type, and that it refuses so by the tests of `common`.
//!
//! It says nothing about the facts that the policies are given: that a caller's tenant is the caller's is the pipeline's to
//! see to, and its tests'.

mod counterexample;
mod prover;
mod question;

pub use question::Question;

use serde::Serialize;
use tokio::process::Command;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// How many environments there are.
    pub environments: usize,
    /// How many other combinations of an action, a type of principal and a type of resource there are. A decision refuses each.
    pub refused: usize,
    /// Those in which nobody is ever allowed anything. About these everything is proven, and nothing said.
    pub impossible: Vec<String>,
    /// One for each property, in the order of their file, and one for errors.
    pub findings: Vec<Finding>,
}

/// What was found about a property.
#[derive(Debug, Serialize)]
pub struct Finding {
    pub id: String,
    /// The property, in words.
    pub says: String,
    /// In how many environments it could be violated, were it not for the policies.
    pub about: usize,
    /// In how many of those it is not.
    pub proven: usize,
    /// How long that took, in milliseconds.
    pub millis: u128,
    /// A request for each of the others, and who may, for a person to read.
    pub counterexamples: Vec<String>,
}

impl Finding {
    pub fn holds(&self) -> bool {
        self.proven == self.about
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Something that was given is not what it should be.
    #[error("{0}")]
    Question(String),
    /// The solver does not start.
    #[error("the solver does not start: {0}")]
    Solver(cedar_policy_symcc::solver::SolverError),
    /// The compiler or the solver gave up: neither proven nor refuted.
    #[error("{environment}, {asked}: {source}")]
    Neither { environment: String, asked: String, source: Box<cedar_policy_symcc::err::Error> },
}

/// Asks the solver, which speaks SMT-LIB 2 on its standard input and output, about every property in every environment.
///
/// # Errors
/// Where it can neither prove nor refute one. That is no proof.
pub async fn prove(question: &Question, solver: Command) -> Result<Answer, Unanswered> {
    prover::Prover::start(solver)?.answer(question).await
}
