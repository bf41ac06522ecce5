use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use dynoxide::Database;
use rusqlite::Connection;

use crate::Error;
use crate::lag::Lag;
use crate::server::Server;

/// dynoxide reads the whole stream to find its next sequence number and a reader's position: after ten thousand records every
/// write would take tens of milliseconds. This index speeds up both queries and changes nothing else.
const INDEXES: &str = "
    CREATE INDEX IF NOT EXISTS stream_last ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
    CREATE INDEX IF NOT EXISTS stream_order ON _stream_records (table_name, shard_id, CAST(sequence_number AS INTEGER));
";

/// Where the tables are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory; lost when stopped.
    Memory,
    /// In one SQLite file, created if missing. Its folder must exist.
    File(PathBuf),
}

/// DynamoDB and its streams, in this process.
///
/// Differs from AWS in four ways that callers must know: there are no backups or point-in-time recovery, a stream has one shard,
/// expired items stay until [`Dynamo::delete_expired`] is called, and transactions never conflict.
pub struct Dynamo {
    server: Server,
    database: Database,
    /// The delay of the indexes.
    late: Option<Lag>,
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
    /// [`Error::Storage`] if the file cannot be opened; [`Error::Io`] if no port is free.
    pub fn start(storage: Storage) -> Result<Self, Error> {
        let path = match storage {
            // A shared name lets this process open it twice. <https://www.sqlite.org/inmemorydb.html>
            Storage::Memory => {
                static NEXT: AtomicU64 = AtomicU64::new(0);
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                PathBuf::from(format!("file:cloister-{}-{number}?mode=memory&cache=shared", std::process::id()))
            }
            Storage::File(path) => path,
        };
        let text = path.to_str().ok_or_else(|| Error::Storage(format!("`{}` is not UTF-8", path.display())))?;
        let database = Database::new(text).map_err(|error| Error::Storage(error.to_string()))?;
        let indexed = Connection::open(&path).and_then(|connection| connection.execute_batch(INDEXES));
        indexed.map_err(|error| Error::Storage(error.to_string()))?;
        let served = database.clone();
        let server = Server::spawn("dynamodb", |listener, shutdown| async move {
            if let Err(error) = dynoxide::server::serve_with_shutdown(listener, served, shutdown).await {
                eprintln!("dynamodb: {error}");
            }
        })?;
        Ok(Self { server, database, late: None })
    }

    /// The same, but indexes show a write after this delay, measured by `now`. They never lack more than 100 writes.
    ///
    /// # Errors
    /// As [`Dynamo::start`].
    pub fn start_with_late_indexes(
        storage: Storage,
        after: Duration,
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let indexes = match &storage {
            Storage::Memory => Database::memory(),
            Storage::File(path) => Database::new(&copy(path)?.to_string_lossy()),
        };
        let indexes = indexes.map_err(|error| Error::Storage(error.to_string()))?;
        let mut dynamo = Self::start(storage)?;
        let (table, url) = (dynamo.database.clone(), dynamo.server.endpoint());
        dynamo.late = Some(Lag::start(table, url, indexes, after, Box::new(now))?);
        Ok(dynamo)
    }

    /// Freezes the indexes at their current state until they are released. Only if they are delayed.
    pub fn hold_indexes(&self, held: bool) {
        if let Some(lag) = &self.late {
            lag.hold(held);
        }
    }

    /// Has the indexes show all writes so far, without the delay. Only if they are delayed and not frozen.
    pub fn settle_indexes(&self) {
        if let Some(lag) = &self.late {
            lag.settle();
        }
    }

    /// The URL for `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.late.as_ref().map_or_else(|| self.server.endpoint(), Lag::endpoint)
    }

    /// A connector that makes the calls of [`Dynamo::endpoint`] as its proxy does, but in this process. `inner` makes all other
    /// calls.
    #[must_use]
    pub fn connector(&self, inner: SharedHttpConnector) -> SharedHttpConnector {
        match &self.late {
            Some(lag) => lag.connector(inner),
            None => inner,
        }
    }

    /// Deletes expired items, as AWS does within a few days. Returns their number.
    ///
    /// # Errors
    /// [`Error::Storage`] if the storage fails.
    pub fn delete_expired(&self) -> Result<usize, Error> {
        let swept = match &self.late {
            Some(lag) => lag.delete_expired(),
            None => self.database.sweep_ttl(),
        };
        swept.map_err(|error| Error::Storage(error.to_string()))
    }

    /// Finishes open requests, for two seconds at most, and frees the port and the file.
    pub fn stop(self) {
        if let Some(lag) = self.late {
            lag.stop();
        }
        self.server.stop();
    }
}

/// Copies the storage and replaces an older copy. The copy is the indexes' first state.
fn copy(path: &std::path::Path) -> Result<PathBuf, Error> {
    let storage = |error: std::io::Error| Error::Storage(error.to_string());
    let named = |path: &std::path::Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let copied = named(path, ".indexes");
    for end in ["", "-wal", "-shm"] {
        let (from, to) = (named(path, end), named(&copied, end));
        if to.exists() {
            std::fs::remove_file(&to).map_err(storage)?;
        }
        if from.exists() {
            std::fs::copy(&from, &to).map_err(storage)?;
        }
    }
    Ok(copied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulators_stream_queries_use_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tables.sqlite");
        Dynamo::start(Storage::File(path.clone())).unwrap().stop();
        let connection = Connection::open(path).unwrap();
        let plan = |query: &str| -> String {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let steps = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
            steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
        };
        let sequence = "CAST(sequence_number AS INTEGER)";
        for (query, index) in [
            (format!("SELECT COALESCE(MAX({sequence}), 0) + 1 FROM _stream_records WHERE table_name = 't'"), "stream_last"),
            (
                format!(
                    "SELECT event_name FROM _stream_records WHERE table_name = 't' AND shard_id = 's' AND {sequence} > 1 \
                     ORDER BY {sequence} LIMIT 10"
                ),
                "stream_order",
            ),
        ] {
            let plan = plan(&query);
            assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }
}
