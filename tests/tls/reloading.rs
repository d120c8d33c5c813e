//! Files that change while they are in use.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use admit_server::transport::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    authority::{Authority, FUTURE, Issued},
    client::{Client, Greeting, shown},
    site::{PATIENCE, Site, meet, until, write_key},
};

fn client(site: &Site) -> Client {
    Client::new(&site.authority, Some(shown(&site.authority.issuer, |_| ())))
}

async fn is_served(tls: &Tls, client: &Client) -> bool {
    let meeting = meet(tls, PATIENCE, |stream| client.greet(stream)).await;
    meeting.served.is_ok() && matches!(meeting.client, Greeting::Welcome(_))
}

/// Writes a whole set into a new folder, as a Secret of Kubernetes is.
fn write_set(folder: &Path, server: &Issued, authority: &Authority) {
    fs::create_dir(folder).unwrap();
    fs::write(folder.join("tls.crt"), &server.certificate).unwrap();
    write_key(&folder.join("tls.key"), &server.key);
    fs::write(folder.join("ca.crt"), &authority.certificate).unwrap();
}

/// The ways in which a set of files comes into place.
#[derive(Clone, Copy, Debug)]
enum Way {
    InPlace,
    KeyFirst,
    Renamed,
    Linked,
}

/// Puts a set in place; how often it was done before is `turn`.
fn put(site: &Site, way: Way, server: &Issued, turn: u32) {
    let folder = site.folder.path();
    match way {
        Way::InPlace => {
            fs::write(&site.config.certificate, &server.certificate).unwrap();
            fs::write(&site.config.key, &server.key).unwrap();
        }
        Way::KeyFirst => site.put(server),
        Way::Renamed => {
            let (certificate, key) = (folder.join("new.crt"), folder.join("new.key"));
            fs::write(&certificate, &server.certificate).unwrap();
            write_key(&key, &server.key);
            fs::rename(certificate, &site.config.certificate).unwrap();
            fs::rename(key, &site.config.key).unwrap();
        }
        Way::Linked => {
            let set = format!("..{turn}");
            write_set(&folder.join(&set), server, &site.authority);
            symlink(&set, folder.join("..new")).unwrap();
            fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
        }
    }
}

#[tokio::test]
async fn every_way_of_writing_is_seen_and_no_connection_ends() {
    for way in [Way::InPlace, Way::KeyFirst, Way::Renamed, Way::Linked] {
        let site = Site::new();
        if matches!(way, Way::Linked) {
            put(&site, way, &site.authority.issue("localhost", FUTURE), 0);
            for name in ["tls.crt", "tls.key", "ca.crt"] {
                let path = site.folder.path().join(name);
                fs::remove_file(&path).unwrap();
                symlink(Path::new("..data").join(name), path).unwrap();
            }
        }
        let (tls, _follower) = site.open();
        let client = client(&site);
        let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
        let mut server_end = meeting.served.unwrap();
        let Greeting::Welcome(mut client_end) = meeting.client else {
            panic!("{:?}", meeting.client);
        };
        for turn in 1..3 {
            let former = tls.fingerprint();
            put(&site, way, &site.authority.issue("localhost", FUTURE), turn);
            until(&format!("{way:?}"), || tls.fingerprint() != former).await;
            assert!(is_served(&tls, &client).await, "{way:?}");
        }
        server_end.stream.write_all(b"still").await.unwrap();
        server_end.stream.flush().await.unwrap();
        let mut told = [0; 5];
        client_end.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"still", "{way:?}");
        assert!(server_end.credential.is_valid(&tls));
        assert_eq!(site.reload_failures(), 0, "{way:?}: {:?}", site.log());
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table: one row for each case")]
async fn a_broken_set_changes_nothing_and_is_told_once() {
    type Break = fn(&Site);
    let cases: [(&str, Break, &str); 9] = [
        (
            "certificate gone",
            |site| fs::remove_file(&site.config.certificate).unwrap(),
            "cannot be read",
        ),
        (
            "key gone",
            |site| fs::remove_file(&site.config.key).unwrap(),
            "cannot be read",
        ),
        (
            "authorities gone",
            |site| fs::remove_file(&site.config.client_ca).unwrap(),
            "cannot be read",
        ),
        (
            "garbage",
            |site| fs::write(&site.config.certificate, "canary").unwrap(),
            "holds no certificate",
        ),
        (
            "no authorities",
            |site| fs::write(&site.config.client_ca, "").unwrap(),
            "holds no certificate",
        ),
        (
            "key of another",
            |site| {
                fs::write(
                    &site.config.key,
                    site.authority.issue("localhost", FUTURE).key,
                )
                .unwrap();
            },
            "is not the private key",
        ),
        (
            "expired",
            |site| site.put(&site.authority.issue("localhost", 2029)),
            "expired at",
        ),
        (
            "open to others",
            |site| fs::set_permissions(&site.config.key, Permissions::from_mode(0o644)).unwrap(),
            "chmod 600",
        ),
        (
            "an authority that is none",
            |site| {
                let server = site.authority.issue("localhost", FUTURE);
                fs::write(&site.config.client_ca, server.certificate).unwrap();
            },
            "not one of an authority",
        ),
    ];
    for (name, break_it, message) in cases {
        let site = Site::new();
        let (tls, _follower) = site.open();
        let (former, client) = (tls.fingerprint(), client(&site));
        break_it(&site);
        until(name, || site.reload_failures() == 1).await;
        let told = site.log();
        let told: Vec<_> = told.iter().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        assert!(told[0].contains(message), "{name}: {told:?}");
        assert!(!told[0].contains("canary"), "{name}: {told:?}");
        assert_eq!(tls.fingerprint(), former, "{name}");
        assert!(is_served(&tls, &client).await, "{name}");
        assert!(tls.is_usable(), "{name}");

        // Whoever asks is told again.
        tls.reload();
        until(name, || site.reload_failures() == 2).await;

        // What is mended is taken.
        fs::write(&site.config.client_ca, &site.authority.certificate).unwrap();
        site.put(&site.authority.issue("localhost", FUTURE));
        until(name, || tls.fingerprint() != former).await;
        assert!(is_served(&tls, &client).await, "{name}");
        assert_eq!(site.reload_failures(), 2, "{name}");
    }
}

#[tokio::test]
async fn halves_of_a_rotation_wait_for_each_other() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let (former, client) = (tls.fingerprint(), client(&site));
    let next = site.authority.issue("localhost", FUTURE);
    write_key(&site.config.key, &next.key);
    tls.reload();
    until("the half is told of", || site.reload_failures() == 1).await;
    assert_eq!(tls.fingerprint(), former);
    assert!(is_served(&tls, &client).await);
    fs::write(&site.config.certificate, &next.certificate).unwrap();
    until("both are taken", || tls.fingerprint() != former).await;
    assert!(is_served(&tls, &client).await);
}
