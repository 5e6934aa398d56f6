//! The memory that this process may use.

use std::{fs, path::Path};

/// The memory in bytes: the machine's, or the limit of a control group (container, systemd unit) that the process is in,
/// if lower. `None` if neither is known.
pub(crate) fn limit() -> Option<u64> {
    limit_below(Path::new("/"))
}

/// The same for a system whose files are below `root`.
fn limit_below(root: &Path) -> Option<u64> {
    let machine = read(&root.join("proc/meminfo")).and_then(|info| total(&info));
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let groups = groups.lines().filter_map(|line| group_limit(root, line));
    machine.into_iter().chain(groups).min()
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn total(info: &str) -> Option<u64> {
    let mut lines = info.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The lowest limit of the group in this line and of the groups that contain it: `0::/path` (version 2) or
/// `9:memory:/path` (version 1). A path that does not exist is the host's path, seen from within a container.
fn group_limit(root: &Path, line: &str) -> Option<u64> {
    let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
    let (mount, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|one| one == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    let path = Path::new(path.trim_start_matches('/'));
    let limits = path.ancestors().filter_map(|group| {
        let limit = read(&root.join(mount).join(group).join(file))?;
        limit.trim().parse().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        }
        root
    }

    #[test]
    fn lowest_of_machine_group_and_the_groups_around_it_counts() {
        let machine = ("proc/meminfo", "MemTotal:  1000 kB\nMemFree: 1 kB\n");
        let group = ("proc/self/cgroup", "0::/system.slice/bff.service\n");
        let own = "sys/fs/cgroup/system.slice/bff.service/memory.max";
        let around = "sys/fs/cgroup/system.slice/memory.max";
        for (files, expected) in [
            (vec![], None),
            (vec![machine], Some(1_024_000)),
            (vec![machine, group], Some(1_024_000)),
            (vec![machine, group, (own, "max\n")], Some(1_024_000)),
            (vec![machine, group, (own, "5000\n")], Some(5000)),
            (vec![group, (own, "5000\n"), (around, "4000\n")], Some(4000)),
            (
                vec![machine, group, ("sys/fs/cgroup/memory.max", "3000\n")],
                Some(3000),
            ),
        ] {
            let root = system(&files);
            assert_eq!(limit_below(root.path()), expected, "{files:?}");
        }
    }

    #[test]
    fn limit_of_version_1_counts() {
        let root = system(&[
            ("proc/self/cgroup", "3:cpu:/a\n2:memory,hugetlb:/a\n0::/a\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "7000\n"),
        ]);
        assert_eq!(limit_below(root.path()), Some(7000));
    }
}
