use std::path::PathBuf;

use dynoxide::Database;

use crate::Error;
use crate::server::Server;

/// Where the tables are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory: gone when stopped.
    Memory,
    /// In one SQLite file, made if missing. Its folder must exist.
    File(PathBuf),
}

/// DynamoDB and its streams, in this process.
///
/// Differs from AWS in four ways that callers must know: there are no backups or point-in-time recovery, a stream has one
/// shard, expired items stay until [`Dynamo::delete_expired`] is called, and a transaction never conflicts with another.
pub struct Dynamo {
    server: Server,
    database: Database,
}

impl std::fmt::Debug for Dynamo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dynamo").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Dynamo {
    /// Opens the storage and serves it on a free loopback port.
    ///
    /// # Errors
    /// [`Error::Storage`] if the file cannot be opened; [`Error::Io`] if no port can be had.
    pub fn start(storage: Storage) -> Result<Self, Error> {
        let database = match storage {
            Storage::Memory => Database::memory(),
            Storage::File(path) => {
                let text = path.to_str().ok_or_else(|| Error::Storage(format!("`{}` is not UTF-8", path.display())))?;
                Database::new(text)
            }
        }
        .map_err(|error| Error::Storage(error.to_string()))?;
        let served = database.clone();
        let server = Server::spawn("dynamodb", |listener, shutdown| async move {
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, served, shutdown).await {
                eprintln!("dynamodb: {error}");
            }
        })?;
        Ok(Self { server, database })
    }

    /// The URL for `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.server.endpoint()
    }

    /// Deletes what has expired, as AWS does on its own within a few days; answers how many items that were.
    ///
    /// # Errors
    /// [`Error::Storage`] if the storage fails.
    pub fn delete_expired(&self) -> Result<usize, Error> {
        self.database.sweep_ttl().map_err(|error| Error::Storage(error.to_string()))
    }

    /// Finishes what was asked so far, for two seconds at most, and frees the port and the file.
    pub fn stop(self) {
        self.server.stop();
    }
}
