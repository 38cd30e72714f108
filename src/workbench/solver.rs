//! The solver: a program that decides whether any question at all is answered so, asked through the Symbolic Cedar
//! Compiler.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};

/// How long the solver may think about one question. Counted for each question: the limit that counts from the start of
/// the process ends a solver that only waits.
const LIMIT: &str = "--tlimit-per=60000";

/// Why there is no solver.
#[derive(Debug, thiserror::Error)]
pub enum SolverMissing {
    /// There is no such program.
    #[error(
        "there is no solver `{0}`: install cvc5 (`apt-get install cvc5`, `brew install cvc5`, or a release of \
         https://github.com/cvc5/cvc5), and name it with --solver or $CVC5 when it is not on the PATH"
    )]
    NotThere(PathBuf),
    /// It cannot be run, or does not say what it is.
    #[error("the solver `{0}` does not work: {1}")]
    Broken(PathBuf, String),
}

/// A solver that is there.
#[derive(Debug, Clone)]
pub struct Solver {
    program: PathBuf,
    version: String,
}

impl Solver {
    /// Looks for this program, by its path or on the PATH, and asks it for its version.
    ///
    /// # Errors
    /// [`SolverMissing`].
    pub fn find(program: &Path) -> Result<Self, SolverMissing> {
        let output = match Command::new(program).arg("--version").stdin(Stdio::null()).output() {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SolverMissing::NotThere(program.to_owned()));
            }
            Err(error) => return Err(SolverMissing::Broken(program.to_owned(), error.to_string())),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let first = text.lines().next().unwrap_or_default().trim();
        if !output.status.success() || first.is_empty() {
            let message = format!("`--version` ended with {}", output.status);
            return Err(SolverMissing::Broken(program.to_owned(), message));
        }
        let version = first.trim_start_matches("This is ").replace(" version ", " ");
        Ok(Self { program: program.to_owned(), version })
    }

    /// Its name and version, such as `cvc5 1.0.3`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// What a solver is asked.
#[derive(Debug, Clone, Copy)]
pub enum Query<'a> {
    /// Does this policy never fail?
    NeverFails(&'a CompiledPolicy),
    /// Does this policy match no question?
    NeverMatches(&'a CompiledPolicy),
    /// Does it match every one?
    AlwaysMatches(&'a CompiledPolicy),
    /// Is everything that the first allows allowed by the second?
    Implies(&'a CompiledPolicySet, &'a CompiledPolicySet),
    /// Is nothing allowed by both?
    Disjoint(&'a CompiledPolicySet, &'a CompiledPolicySet),
}

/// What a solver answered.
#[derive(Debug)]
pub enum Answer {
    /// It is so, for every question of this kind.
    Holds,
    /// It is not so of this question.
    Example(Box<Env>),
    /// It is not so of some question, which could not be written down.
    Fails(String),
    /// It does not know.
    Unknown(String),
}

/// A solver at work, for one thread. It keeps its process from question to question, and takes a new one after an error.
#[derive(Debug)]
pub struct Asker<'a> {
    solver: &'a Solver,
    runtime: tokio::runtime::Runtime,
    compiler: Option<CedarSymCompiler<LocalSolver>>,
}

impl<'a> Asker<'a> {
    /// Makes one; no process is started before the first question.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub fn new(solver: &'a Solver) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { solver, runtime, compiler: None })
    }

    /// Asks.
    pub fn ask(&mut self, query: Query<'_>) -> Answer {
        let mut compiler = match self.compiler.take() {
            Some(compiler) => compiler,
            None => match self.start() {
                Ok(compiler) => compiler,
                Err(error) => return Answer::Unknown(error),
            },
        };
        let answer = self.runtime.block_on(async {
            match query {
                Query::NeverFails(policy) => compiler.check_never_errors_with_counterexample_opt(policy).await,
                Query::NeverMatches(policy) => compiler.check_never_matches_with_counterexample_opt(policy).await,
                Query::AlwaysMatches(policy) => compiler.check_always_matches_with_counterexample_opt(policy).await,
                Query::Implies(one, other) => compiler.check_implies_with_counterexample_opt(one, other).await,
                Query::Disjoint(one, other) => compiler.check_disjoint_with_counterexample_opt(one, other).await,
            }
        });
        match answer {
            Ok(found) => {
                self.compiler = Some(compiler);
                found.map_or(Answer::Holds, |env| Answer::Example(Box::new(env)))
            }
            // The solver found a question, and only its telling went wrong. The process is let go: it is in the middle.
            Err(error @ (Error::DecodeModel(_) | Error::ConcretizeError(_) | Error::ModelInvalid { .. })) => {
                Answer::Fails(error.to_string())
            }
            Err(
                error @ (Error::IncompleteSchema(_)
                | Error::ActionNotInSchema(_)
                | Error::CompileError(_)
                | Error::EncodeError(_)
                | Error::SolverError(_)
                | Error::SolverUnknown
                | Error::PolicyNotWellTyped { .. }
                | Error::NoPolicies),
            ) => Answer::Unknown(error.to_string()),
        }
    }

    fn start(&self) -> Result<CedarSymCompiler<LocalSolver>, String> {
        // Processes belong to a runtime, which collects them when they end.
        let _inside = self.runtime.enter();
        let mut command = tokio::process::Command::new(&self.solver.program);
        command.args(["--lang", "smt", LIMIT]).kill_on_drop(true);
        let solver = LocalSolver::from_command(&mut command).map_err(|error| error.to_string())?;
        CedarSymCompiler::new(solver).map_err(|error| error.to_string())
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.compiler = None;
    }
}
