use std::path::PathBuf;

use crate::template::TemplateError;

/// Why an emulator did not start, or a resource was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system returned an error.
    #[error("cannot {doing}: {source}")]
    Io {
        /// The action that failed.
        doing: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The database file could not be opened.
    #[error("cannot open the table storage: {0}")]
    Storage(String),
    /// A state file that this version does not read.
    #[error("cannot read the state in `{}`: {message}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// The fault in it.
        message: String,
    },
    /// Another process holds the folder.
    #[error("`{}` is in use by another running instance", .0.display())]
    InUse(PathBuf),
    /// Creating the Python environment failed.
    #[error("cannot set up the AWS emulator: {message}\n{output}")]
    Setup {
        /// The step.
        message: String,
        /// The step's last output.
        output: String,
    },
    /// The child process ended, or did not answer in time.
    #[error("the AWS emulator did not start: {message}\n{output}")]
    NotHealthy {
        /// The failure.
        message: String,
        /// The process's last output.
        output: String,
    },
    /// The template cannot be read or resolved.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// An emulator refused a call.
    #[error("{call} for {resource}: {message}")]
    Call {
        /// The API action.
        call: String,
        /// The resource's logical name.
        resource: String,
        /// The error's code and message.
        message: String,
    },
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
