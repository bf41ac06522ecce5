//! Limits a process to a quarter of one CPU, as Lambda does with a function of 442 MB (a whole CPU is at 1,769 MB).
//!
//! It uses the kernel's CPU quota with the shortest allowed period: 1 ms in each 4 ms. In the default period of 100 ms a request
//! would end before its quarter is used up, so the limit would have no effect.

use super::Failed;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The quota in microseconds.
const QUOTA: u32 = 1000;
const PERIOD: u32 = 4000;

/// A control group, removed with this value. Its processes must have ended by then.
#[derive(Debug)]
pub(crate) struct Quota {
    group: PathBuf,
    version: u8,
}

impl Quota {
    /// Creates the group. It needs a writable cgroup hierarchy: root, or one that was delegated to this user.
    pub(crate) fn quarter() -> Result<Self, Failed> {
        let (mounts, groups) = (fs::read_to_string("/proc/self/mountinfo")?, fs::read_to_string("/proc/self/cgroup")?);
        let (parent, version) = parent(&mounts, &groups).ok_or("no cgroup hierarchy with a cpu controller is mounted")?;
        let group = parent.join(format!("cloister-bench-{}", std::process::id()));
        fs::create_dir(&group).map_err(|e| format!("cannot make `{}`: {e}", group.display()))?;
        let quota = Self { group, version };
        let limited = match version {
            2 => quota.set("cpu.max", &format!("{QUOTA} {PERIOD}")),
            _ => quota
                .set("cpu.cfs_period_us", &PERIOD.to_string())
                .and_then(|()| quota.set("cpu.cfs_quota_us", &QUOTA.to_string())),
        };
        limited.map_err(|e| format!("cannot limit `{}`: {e}", quota.group.display()))?;
        Ok(quota)
    }

    pub(crate) fn method(&self) -> String {
        format!("cgroup v{}, {QUOTA} us of CPU in each {PERIOD} us", self.version)
    }

    /// Moves a process with all its threads into the group.
    pub(crate) fn confine(&self, process: u32) -> io::Result<()> {
        self.set("cgroup.procs", &process.to_string())
    }

    fn set(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.group.join(file), value)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // A group that cannot be removed is an empty folder in a virtual file system; the kernel drops it at the next boot.
        let _ = fs::remove_dir(&self.group);
    }
}

/// This process's own group in the hierarchy that has the cpu controller, and its version.
fn parent(mounts: &str, groups: &str) -> Option<(PathBuf, u8)> {
    let own = |hierarchy: &str| {
        let named = |line: &&str| line.split(':').nth(1).is_some_and(|names| names.split(',').any(|name| name == hierarchy));
        groups.lines().find(named)?.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/').to_owned())
    };
    // Fields of mountinfo: 5 is the mount point; after ` - ` come type, source, options.
    let mounted = |kind: &str, option: Option<&str>| {
        mounts.lines().find_map(|line| {
            let (place, what) = line.split_once(" - ")?;
            let mut what = what.split_whitespace();
            let right = what.next() == Some(kind)
                && option.is_none_or(|o| what.nth(1).is_some_and(|all| all.split(',').any(|one| one == o)));
            right.then(|| PathBuf::from(place.split_whitespace().nth(4).unwrap_or_default()))
        })
    };
    if let (Some(mount), Some(own)) = (mounted("cgroup", Some("cpu")), own("cpu")) {
        return Some((mount.join(own), 1));
    }
    let group = mounted("cgroup2", None)?.join(own("")?);
    // A group with its own processes cannot delegate controllers, so the new one goes beside ours.
    let beside = group.parent().filter(|_| group != Path::new("/sys/fs/cgroup")).unwrap_or(&group).to_owned();
    Some((beside, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_controller_is_found_in_either_version() {
        let v1 = "30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(parent(v1, "2:cpu:/\n0::/\n"), Some((PathBuf::from("/sys/fs/cgroup/cpu/"), 1)));
        let v2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(parent(v2, "0::/user.slice/run-1.scope\n"), Some((PathBuf::from("/sys/fs/cgroup/user.slice"), 2)));
        assert_eq!(parent("", ""), None);
    }
}
