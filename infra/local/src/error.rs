use std::{net::SocketAddr, path::PathBuf};

/// Why the stack did not start, or stopped with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("port {} is in use: another `cargo dev` may be running; stop it or choose another with --port", .0.port())]
    PortInUse(SocketAddr),
    #[error("data directory `{}` is in use by another `cargo dev`; stop that one, choose another with --data-dir, or use --ephemeral", .0.display())]
    DataDirInUse(PathBuf),
    #[error("cannot {doing}: {source}")]
    Io { doing: String, source: std::io::Error },
    #[error(transparent)]
    Emulator(#[from] emulators::Error),
    #[error("{0}")]
    Config(String),
    #[error("seeding {what}: {source}")]
    Seed { what: String, source: common::base::Error },
    /// The stored users have another password.
    #[error("the users in `{}` were made with another password than CLOISTER_DEMO_PASSWORD: unset it, or use another --data-dir", .0.display())]
    OtherPassword(PathBuf),
    #[error("cannot read `{}`: {message}", path.display())]
    Handover { path: PathBuf, message: String },
    #[error("IAM would have refused calls:\n{0}")]
    Refused(String),
    /// A background task of the start failed without an error of its own.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

impl Error {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}
