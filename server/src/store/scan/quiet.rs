//! Whether what a reading saw could be in the middle of a change, by the times that the kernel keeps.
//!
//! The kernel moves the time of change (`ctime`) of a file with every change of it, that of a folder with
//! every entry that comes or goes, and that of both when they are renamed; nobody can set it. So where all of
//! these times are old, the directory has been still for as long, and nothing is gained by looking twice.
//!
//! In doubt it has not: on a file system that is not known to keep these times, where a lookup fails, and
//! where the clock says that the time is still to come. Deliberately absent: what is not below the policy
//! directory. A folder above it that is put in its place by one rename is whole in one step.

use std::{
    fs::File,
    io,
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{Mode, OFlags};

use super::stamp::{Identity, STAMP_STEP_MAX, Times, holds, times};
use crate::store::SETTLE;

/// How old the latest change has to be: as long as two readings are apart, and a step of the clock more, as a
/// time may be given that much too early.
pub const QUIET_MIN: Duration = SETTLE.saturating_add(STAMP_STEP_MAX);

/// Whether all of these times were long ago at `now`.
pub(super) fn are_past(times: Times, now: SystemTime) -> bool {
    times
        .into_iter()
        .all(|time| age(time, now).is_some_and(|age| age >= QUIET_MIN))
}

/// How long ago that was at `now`; `None` when it was later, or is no time.
fn age((seconds, nanoseconds): (i64, i64), now: SystemTime) -> Option<Duration> {
    let whole = Duration::from_secs(u64::try_from(seconds).ok()?);
    let part = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    let time = SystemTime::UNIX_EPOCH
        .checked_add(whole)?
        .checked_add(part)?;
    now.duration_since(time).ok()
}

/// Whether the folder at this real path is certainly as it has been for long.
pub(super) fn is_still(folder: &Path, now: SystemTime) -> bool {
    let look = || -> io::Result<bool> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(folder, flags, Mode::empty())?);
        Ok(are_past(times(&folder.metadata()?), now) && holds(&folder))
    };
    look().unwrap_or(false)
}

/// Whether it is this folder that stands at the real path `root`: one above it may have been renamed.
pub(super) fn is_there(root: &Path, identity: Identity) -> bool {
    root.symlink_metadata()
        .is_ok_and(|metadata| Identity::of(&metadata) == identity)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use admit_policy::document::DECISION_RECORD_NAME;
    use tempfile::TempDir;

    use super::*;
    use crate::store::scan::{
        Limits, Search,
        memory::{Memory, Trust},
        scan_still,
    };

    const ADMISSION: &str = "sub/CTO-CASE-MODEL-PROVIDER-ADMISSION.a.json";
    const OTHER: &str = "CTO-CASE-MODEL-PROVIDER-ADMISSION.b.json";
    /// More than enough for everything to have been as it is.
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn both_times_have_to_be_past() {
        let now = SystemTime::UNIX_EPOCH + LONG;
        let time = |age: Duration| {
            let time = LONG.checked_sub(age).unwrap();
            (
                i64::try_from(time.as_secs()).unwrap(),
                i64::from(time.subsec_nanos()),
            )
        };
        let (past, recent) = (time(QUIET_MIN), time(QUIET_MIN - Duration::from_nanos(1)));
        let future = (time(Duration::ZERO).0, 1);
        let far = (time(Duration::ZERO).0 * 2, 0);
        let never = (-1, 0);
        for (changed, modified, expected) in [
            (past, past, true),
            (time(LONG), time(LONG), true),
            (recent, past, false),
            (past, recent, false),
            (future, past, false),
            (past, future, false),
            (far, past, false),
            (never, past, false),
            (past, never, false),
            ((i64::MAX, 0), past, false),
        ] {
            assert_eq!(
                are_past([changed, modified], now),
                expected,
                "{changed:?} {modified:?}"
            );
        }
    }

    /// A decision record, and an admission in a folder below.
    fn policy_dir() -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("above/policy");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join(DECISION_RECORD_NAME), "record").unwrap();
        fs::write(root.join(ADMISSION), "admission").unwrap();
        (folder, root)
    }

    #[test]
    fn what_is_in_doubt_is_not_still() {
        type Doubt = (&'static str, fn(&Path), fn(SystemTime) -> SystemTime, bool);
        let doubts: &[Doubt] = &[
            ("nothing", |_| {}, |now| now + LONG, true),
            ("just written", |_| {}, |now| now, false),
            ("written in the future", |_| {}, |now| now - LONG, false),
            (
                "a link",
                |root| std::os::unix::fs::symlink("sub", root.join("link")).unwrap(),
                |now| now + LONG,
                false,
            ),
            (
                "a file that is none",
                |root| rustix::fs::mkfifoat(rustix::fs::CWD, root.join(OTHER), Mode::RUSR).unwrap(),
                |now| now + LONG,
                false,
            ),
            (
                "a file that alone has a time in the future",
                |root| {
                    let times = fs::FileTimes::new().set_modified(SystemTime::now() + LONG * 2);
                    let file = File::options().write(true).open(root.join(ADMISSION));
                    file.unwrap().set_times(times).unwrap();
                },
                |now| now + LONG,
                false,
            ),
            (
                "a file under two names",
                |root| fs::hard_link(root.join(ADMISSION), root.join(OTHER)).unwrap(),
                |now| now + LONG,
                false,
            ),
        ];
        for (name, doubt, moment, expected) in doubts {
            let (_folder, root) = policy_dir();
            doubt(&root);
            let mut memory = Memory::new(Trust::DEFAULT);
            let now = moment(SystemTime::now());
            let (_, is_still) = scan_still(&root, &Limits::DEFAULT, &mut memory, now).unwrap();
            assert_eq!(is_still, *expected, "{name}");
        }
    }

    #[test]
    fn a_directory_behind_a_link_is_not_still() {
        let (folder, root) = policy_dir();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(root, &link).unwrap();
        let now = SystemTime::now() + LONG;
        let mut memory = Memory::new(Trust::DEFAULT);
        let (_, is_still) = scan_still(&link, &Limits::DEFAULT, &mut memory, now).unwrap();
        assert!(!is_still);
    }

    #[test]
    fn what_changes_during_the_reading_is_not_still() {
        type Change = (&'static str, fn(&Path), bool);
        let changes: &[Change] = &[
            ("nothing", |_| {}, true),
            (
                "a folder that is gone",
                |root| fs::remove_dir_all(root.join("sub")).unwrap(),
                false,
            ),
            (
                "another directory in its place, by a folder above",
                |root| {
                    let above = root.parent().unwrap();
                    fs::rename(above, above.with_file_name("aside")).unwrap();
                    fs::create_dir_all(root.join("sub")).unwrap();
                },
                false,
            ),
        ];
        for (name, change, expected) in changes {
            let (_folder, root) = policy_dir();
            let mut memory = Memory::new(Trust::DEFAULT);
            let search = Search::whole(&root, &Limits::DEFAULT, &mut memory).unwrap();
            change(&root);
            let is_still = search.is_still(&root, SystemTime::now() + LONG);
            assert_eq!(is_still, *expected, "{name}");
        }
    }

    #[test]
    fn only_a_folder_that_can_be_looked_up_where_times_hold_is_still() {
        let (_folder, root) = policy_dir();
        let link = root.join("link");
        std::os::unix::fs::symlink("sub", &link).unwrap();
        let now = SystemTime::now() + LONG;
        for (path, expected) in [
            (root.join("sub"), true),
            (root.join("nothing"), false),
            (root.join(ADMISSION), false),
            (link, false),
            ("/proc".into(), false),
        ] {
            assert_eq!(is_still(&path, now), expected, "{}", path.display());
        }
    }
}
