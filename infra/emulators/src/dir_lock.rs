use std::fs::{File, TryLockError};
use std::path::Path;

use crate::Error;

/// Locks a folder for one process. The operating system releases the lock when the process ends, for any reason.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Creates the folder if it is missing, and locks it; fails if it is locked.
    ///
    /// # Errors
    /// [`Error::InUse`] while another process holds it; [`Error::Io`] if the folder cannot be written.
    pub fn try_take(dir: &Path) -> Result<Self, Error> {
        let file = open(dir)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(Error::io(format!("lock `{}`", dir.display()))(source)),
        }
    }

    /// Locks the folder, and waits while another process holds the lock.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be written.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        let file = open(dir)?;
        file.lock().map_err(Error::io(format!("lock `{}`", dir.display())))?;
        Ok(Self { _file: file })
    }
}

fn open(dir: &Path) -> Result<File, Error> {
    std::fs::create_dir_all(dir).map_err(Error::io(format!("create `{}`", dir.display())))?;
    let path = dir.join(".lock");
    File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io(format!("open `{}`", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_folder_is_refused_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::try_take(dir.path()).unwrap();
        assert!(matches!(DirLock::try_take(dir.path()), Err(Error::InUse(_))));
        drop(held);
        DirLock::try_take(dir.path()).unwrap();
    }
}
