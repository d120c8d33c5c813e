//! Tests of the seal, and of every touch and exchange that is found.

use std::{fs, os::unix::fs::symlink, path::Path};

use rustix::fs::{CWD, FileType, mknodat};

use super::*;

fn stated(path: PathBuf, role: FileRole) -> ReadFile {
    ReadFile {
        path,
        role,
        digest: Some(Digest::of(b"{}")),
    }
}

fn config(folder: &Path) -> ReadFile {
    let path = folder.join("config.json");
    fs::write(&path, b"{}").unwrap();
    stated(path, FileRole::CaseConfig)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Waits until the clock of the file system, whose steps may be milliseconds long, has moved on.
fn next_tick() {
    let probe = tempfile::NamedTempFile::new().unwrap();
    let changed = || {
        let metadata = probe.path().metadata().unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let before = changed();
    while changed() == before {
        fs::set_permissions(probe.path(), Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_sealed_config_is_read_only_until_the_end_and_belongs_to_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let files = [config(folder.path())];
    fs::set_permissions(&files[0].path, Permissions::from_mode(0o640)).unwrap();
    let sealed = Sealed::seal(&files).unwrap();
    assert_eq!(mode(&files[0].path), 0o440);
    assert!(matches!(Sealed::seal(&files), Err(SealError::InUse)));
    drop(sealed);
    assert_eq!(mode(&files[0].path), 0o640);
    assert!(Sealed::seal(&files).unwrap().is_some());
}

#[test]
fn a_config_that_is_not_there_is_not_sealed() {
    assert!(Sealed::seal(&[]).unwrap().is_none());
}

#[test]
fn only_the_stated_file_is_sealed() {
    let changes: [fn(&Path); 6] = [
        |path| fs::write(path, b"{ }").unwrap(),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        },
        |path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len(BYTES_MAX + 1).unwrap();
        },
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let files = [config(folder.path())];
        change(&files[0].path);
        let sealed = Sealed::seal(&files);
        assert!(matches!(sealed, Err(SealError::Changed)), "change {at}");
    }
}

#[test]
fn only_a_lock_that_is_held_means_another_run() {
    assert!(matches!(
        SealError::of_lock(Errno::WOULDBLOCK),
        SealError::InUse
    ));
    for fault in [Errno::BADF, Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
        let error = SealError::of_lock(fault);
        let SealError::Unclaimable(told) = error else {
            panic!("{error}");
        };
        assert_eq!(told.raw_os_error(), Some(fault.raw_os_error()));
    }
}

#[test]
fn every_touch_is_found() {
    let touches: [fn(&Path); 5] = [
        |path| fs::write(path, b"{ }").unwrap(),
        |path| {
            fs::write(path, b"[]").unwrap();
            fs::write(path, b"{}").unwrap();
        },
        |path| {
            fs::write(path.with_extension("new"), b"{}").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
        // Nothing but Case's own reading goes on in its folder.
        |path| fs::write(path.with_extension("new"), b"").unwrap(),
    ];
    for (at, touch) in touches.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let files = [config(folder.path())];
        let watched = Watched::new(&files, FileRole::CaseConfig);
        assert!(!watched.state().is_touched);
        next_tick();
        touch(&files[0].path);
        assert!(watched.state().is_touched, "touch {at}");
    }
}

/// Puts another in the place of `path`, and everything back.
fn exchange_and_put_back(path: &Path) {
    let away = path.with_extension("away");
    fs::rename(path, &away).unwrap();
    fs::create_dir(path).unwrap();
    fs::remove_dir(path).unwrap();
    fs::rename(&away, path).unwrap();
}

fn lead_elsewhere_and_back(link: &Path) {
    let target = fs::read_link(link).unwrap();
    fs::remove_file(link).unwrap();
    symlink("elsewhere", link).unwrap();
    fs::remove_file(link).unwrap();
    symlink(target, link).unwrap();
}

/// `base/above/data` and, as a link, `base/linked`; with both files in it.
fn layout() -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("above/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("file.json"), b"{}").unwrap();
    symlink("above/data", base.path().join("linked")).unwrap();
    symlink("file.json", data.join("config.json")).unwrap();
    base
}

#[test]
fn an_exchange_on_the_way_that_was_undone_is_found() {
    type Exchange = fn(&Path);
    let exchanges: [(&str, Exchange, bool, bool); 7] = [
        ("above/data", |_| {}, false, false),
        (
            "above/data",
            |base| exchange_and_put_back(&base.join("above/data")),
            true,
            true,
        ),
        (
            "linked",
            |base| exchange_and_put_back(&base.join("above/data")),
            true,
            true,
        ),
        (
            "above/data",
            |base| exchange_and_put_back(&base.join("above")),
            true,
            false,
        ),
        (
            "linked",
            |base| lead_elsewhere_and_back(&base.join("linked")),
            true,
            true,
        ),
        (
            "linked",
            |base| exchange_and_put_back(&base.join("linked")),
            true,
            true,
        ),
        (
            "linked",
            |base| lead_elsewhere_and_back(&base.join("above/data/config.json")),
            true,
            true,
        ),
    ];
    for (at, (folder, exchange, is_found, is_found_of_busy)) in exchanges.into_iter().enumerate() {
        for (role, is_found) in [
            (FileRole::CaseConfig, is_found),
            (FileRole::Models, is_found_of_busy),
        ] {
            let base = layout();
            let files = [stated(base.path().join(folder).join("config.json"), role)];
            next_tick();
            let watched = Watched::new(&files, role);
            exchange(base.path());
            assert_eq!(watched.state().is_touched, is_found, "{at} {role:?}");
        }
    }
}

#[test]
fn a_folder_that_is_another_one_is_found() {
    for role in [FileRole::CaseConfig, FileRole::Models] {
        let base = layout();
        let files = [stated(base.path().join("above/data/config.json"), role)];
        let watched = Watched::new(&files, role);
        let above = base.path().join("above");
        fs::rename(&above, base.path().join("away")).unwrap();
        fs::create_dir(&above).unwrap();
        fs::rename(base.path().join("away/data"), above.join("data")).unwrap();
        assert!(files[0].is_unchanged());
        assert!(watched.state().is_touched, "{role:?}");
    }
}

#[test]
fn what_goes_on_beside_an_adapter_or_above_a_config_is_no_touch() {
    let base = layout();
    let data = base.path().join("above/data");
    let files = [
        stated(data.join("config.json"), FileRole::Models),
        stated(data.join("config.json"), FileRole::CaseConfig),
    ];
    next_tick();
    let adapter = Watched::new(&files, FileRole::Models);
    let config = Watched::new(&files, FileRole::CaseConfig);
    fs::write(base.path().join("above/other"), b"").unwrap();
    assert!(!config.state().is_touched);
    fs::write(data.join("auth.json"), b"").unwrap();
    assert!(!adapter.state().is_touched);
    assert!(config.state().is_touched);
}

#[test]
fn a_file_that_was_and_is_absent_is_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let files = [ReadFile {
        path: folder.path().join("agent/models.json"),
        role: FileRole::Models,
        digest: None,
    }];
    let watched = Watched::new(&files, FileRole::Models);
    assert!(!watched.state().is_touched);
    fs::create_dir(folder.path().join("agent")).unwrap();
    fs::write(folder.path().join("agent/auth.json"), b"{}").unwrap();
    assert!(!watched.state().is_touched);
    fs::write(&files[0].path, b"{}").unwrap();
    assert!(watched.state().is_touched);
    assert!(Watched::new(&[], FileRole::Models).state().is_touched);
}
