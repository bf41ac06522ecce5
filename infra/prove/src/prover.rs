//! Proves the properties one by one, in each environment.

use crate::{Finding, Proofs, Question, Unanswered, counterexample, question::Property};
use cedar_policy::RequestEnv;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, err, solver::LocalSolver};
use std::time::{Duration, Instant};
use tokio::process::Command;

pub(crate) struct Prover(CedarSymCompiler<LocalSolver>);

/// Whether a property applies to an environment, and whether it is violated.
enum Verdict {
    /// It does not apply to this environment.
    Silent,
    Proven,
    Refuted(String),
}

/// An environment, with its policies.
struct Place<'a> {
    name: String,
    env: RequestEnv,
    question: &'a Question,
    policies: CompiledPolicySet,
}

impl Place<'_> {
    /// The error that names the place at which the compiler or the solver gave up.
    fn neither<'a>(&'a self, asked: &'a str) -> impl Fn(err::Error) -> Unanswered + 'a {
        neither(&self.name, asked)
    }
}

fn neither<'a>(environment: &'a str, asked: &'a str) -> impl Fn(err::Error) -> Unanswered + 'a {
    |source| Unanswered::Neither { environment: environment.to_owned(), asked: asked.to_owned(), source: Box::new(source) }
}

impl Prover {
    pub(crate) fn start(mut solver: Command) -> Result<Self, Unanswered> {
        let solver = LocalSolver::from_command(solver.kill_on_drop(true)).map_err(Unanswered::Solver)?;
        Ok(Self(CedarSymCompiler::new(solver).map_err(neither("any environment", "anything"))?))
    }

    pub(crate) async fn answer(&mut self, question: &Question) -> Result<Proofs, Unanswered> {
        let mut findings: Vec<_> = question.properties.iter().map(|p| finding(&p.id, &p.says)).collect();
        let mut errors = finding("no_error", "no policy, and none of these properties, fails for any request");
        let mut impossible = Vec::new();
        let environments = question.environments();
        for (name, env) in environments.iter().cloned() {
            let policies =
                CompiledPolicySet::compile(&question.policies, &env, &question.schema).map_err(neither(&name, "the policies"))?;
            let place = Place { name, env, question, policies };
            for (property, finding) in question.properties.iter().zip(&mut findings) {
                let from = Instant::now();
                let verdict = self.ask(&place, property).await.map_err(place.neither(&property.id))?;
                finding.note(verdict, from.elapsed());
            }
            if question.whole {
                if self.0.check_always_denies_opt(&place.policies).await.map_err(place.neither("whether anybody may"))? {
                    impossible.push(place.name.clone());
                }
                let from = Instant::now();
                let verdict = self.fails(&place).await.map_err(place.neither(&errors.id))?;
                errors.note(verdict, from.elapsed());
            }
        }
        if question.whole {
            findings.push(errors);
        }
        if let Some(idle) = findings.iter().find(|finding| finding.about == 0) {
            return Err(Unanswered::Question(format!("property {}: there is nothing that it could forbid", idle.id)));
        }
        Ok(Proofs { environments: environments.len(), refused: question.refused, impossible, findings })
    }

    async fn ask(&mut self, at: &Place<'_>, property: &Property) -> Result<Verdict, err::Error> {
        let only = CompiledPolicySet::compile(&property.only, &at.env, &at.question.schema)?;
        if self.0.check_always_allows_opt(&only).await? {
            return Ok(Verdict::Silent);
        }
        let found = self.0.check_implies_with_counterexample_opt(&at.policies, &only).await?;
        Ok(match found {
            None => Verdict::Proven,
            Some(found) => Verdict::Refuted(counterexample::written(&at.name, &found, &at.question.policies)),
        })
    }

    /// Whether any policy fails to evaluate for some request. A decision skips such a policy, which might be a guard.
    async fn fails(&mut self, at: &Place<'_>) -> Result<Verdict, err::Error> {
        let properties = at.question.properties.iter().map(|property| &property.forbid);
        for policy in at.question.policies.policies().chain(properties) {
            let compiled = CompiledPolicy::compile(policy, &at.env, &at.question.schema)?;
            if let Some(found) = self.0.check_never_errors_with_counterexample_opt(&compiled).await? {
                let name = format!("{}, where {} fails", at.name, policy.id());
                return Ok(Verdict::Refuted(counterexample::written(&name, &found, &at.question.policies)));
            }
        }
        Ok(Verdict::Proven)
    }
}

fn finding(id: &str, says: &str) -> Finding {
    Finding { id: id.to_owned(), says: says.to_owned(), about: 0, proven: 0, millis: 0, counterexamples: Vec::new() }
}

impl Finding {
    fn note(&mut self, verdict: Verdict, took: Duration) {
        self.millis += took.as_millis();
        match verdict {
            Verdict::Silent => return,
            Verdict::Proven => self.proven += 1,
            Verdict::Refuted(counterexample) => self.counterexamples.push(counterexample),
        }
        self.about += 1;
    }
}
