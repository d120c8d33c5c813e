//! What is good now need not be so later.

use std::{fs, time::Instant};

use admit_server::{
    caller::HandshakeDefect,
    transport::{Credential, Tls},
};
use rcgen::{BasicConstraints, IsCa, Issuer, KeyPair, date_time_ymd};

use crate::{
    authority::{Authority, FUTURE},
    client::{Client, Greeting, params, shown},
    site::{PATIENCE, Site, meet, until},
};

async fn credential(tls: &Tls, client: &Client) -> Credential {
    let meeting = meet(tls, PATIENCE, |stream| client.greet(stream)).await;
    meeting.served.unwrap().credential
}

async fn refusal(tls: &Tls, client: &Client) -> Option<HandshakeDefect> {
    let meeting = meet(tls, PATIENCE, |stream| client.greet(stream)).await;
    assert!(!matches!(meeting.client, Greeting::Welcome(_)));
    meeting.served.err()
}

#[tokio::test]
async fn a_client_that_is_connected_expires_all_the_same() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let shown = shown(&site.authority.issuer, |params| {
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2030, 1, 2);
    });
    let client = Client::new(&site.authority, Some(shown));
    let credential = credential(&tls, &client).await;
    // Before its first second, with a clock that is set back; its last second, and the one after it.
    assert!(credential.is_valid(&tls));
    site.clock.set(crate::site::NOW - 1);
    assert!(!credential.is_valid(&tls));
    site.clock.set(crate::site::NOW + 86_400);
    assert!(credential.is_valid(&tls));
    site.clock.set(crate::site::NOW + 86_401);
    assert!(!credential.is_valid(&tls));
    assert_eq!(refusal(&tls, &client).await, Some(HandshakeDefect::Expired));
}

#[tokio::test]
async fn an_authority_that_is_taken_away_takes_its_clients_with_it() {
    let site = Site::new();
    let (tls, _follower) = site.open();
    let next = Authority::new();
    let of = |authority: &Authority| {
        Client::new(&site.authority, Some(shown(&authority.issuer, |_| ())))
    };
    let (former, new) = (of(&site.authority), of(&next));
    let former_credential = credential(&tls, &former).await;
    let unknown = Some(HandshakeDefect::UnknownAuthority);
    assert_eq!(refusal(&tls, &new).await, unknown);

    // Both for a while.
    let both = format!("{}{}", site.authority.certificate, next.certificate);
    fs::write(&site.config.client_ca, both).unwrap();
    let start = Instant::now();
    let new_credential = loop {
        let meeting = meet(&tls, PATIENCE, |stream| new.greet(stream)).await;
        match meeting.served {
            Ok(secured) => break secured.credential,
            Err(defect) => assert_eq!(Some(defect), unknown),
        }
        assert!(start.elapsed() < PATIENCE);
    };
    assert!(former_credential.is_valid(&tls));

    fs::write(&site.config.client_ca, &next.certificate).unwrap();
    tls.reload();
    let start = Instant::now();
    let gone = loop {
        let meeting = meet(&tls, PATIENCE, |stream| former.greet(stream)).await;
        if let Err(defect) = meeting.served {
            break Some(defect);
        }
        assert!(start.elapsed() < PATIENCE);
    };
    assert_eq!(gone, unknown);
    // Open connections know of it with the first handshake that does.
    assert!(!former_credential.is_valid(&tls));
    assert!(new_credential.is_valid(&tls));
    assert_eq!(refusal(&tls, &former).await, unknown);
    assert_eq!(site.reload_failures(), 0);
}

#[tokio::test]
async fn an_authority_that_has_expired_vouches_for_nobody() {
    let site = Site::new();
    let key = KeyPair::generate().unwrap();
    let mut ending = params();
    ending.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ending.not_after = date_time_ymd(2031, 1, 1);
    let certificate = ending.self_signed(&key).unwrap().pem();
    let ending = Issuer::new(ending, key);
    let both = format!("{certificate}{}", site.authority.certificate);
    fs::write(&site.config.client_ca, both).unwrap();
    let (tls, _follower) = site.open();
    let of = |issuer| Client::new(&site.authority, Some(shown(issuer, |_| ())));
    let (ending, lasting) = (of(&ending), of(&site.authority.issuer));
    let ending_credential = credential(&tls, &ending).await;
    let lasting_credential = credential(&tls, &lasting).await;
    // It is noticed with the next look at the signatures, 30 s after the last at most.
    let end = crate::site::NOW + 365 * 86_400;
    for (now, is_valid) in [(end, true), (end + 29, true), (end + 30, false)] {
        site.clock.set(now);
        assert_eq!(ending_credential.is_valid(&tls), is_valid, "{now}");
        assert!(lasting_credential.is_valid(&tls));
    }
    let unknown = Some(HandshakeDefect::UnknownAuthority);
    assert_eq!(refusal(&tls, &ending).await, unknown);
}

#[tokio::test]
async fn nobody_is_served_under_a_certificate_that_has_expired() {
    let site = Site::new();
    site.put(&site.authority.issue("localhost", 2031));
    let (tls, _follower) = site.open();
    let client = Client::new(&site.authority, Some(shown(&site.authority.issuer, |_| ())));
    let year = 365 * 86_400;
    assert_eq!(tls.seconds_left(), year);
    let gauge = "admit_certificate_expiry_seconds";
    assert_eq!(site.metric(gauge), "31536000.0");
    let end = crate::site::NOW + 365 * 86_400;
    site.clock.set(end);
    assert!(tls.is_usable());
    let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
    assert!(meeting.served.is_ok());
    site.clock.set(end + 1);
    assert!(!tls.is_usable());
    let expired = HandshakeDefect::ServerCertificateExpired;
    assert_eq!(refusal(&tls, &client).await, Some(expired));
    assert_eq!(site.failed(expired), 1);
    tls.reload();
    until("it is told", || site.reload_failures() == 1).await;
    assert_eq!(site.metric(gauge), "-1.0");
    assert!(
        site.log()
            .iter()
            .any(|line| line.contains("ERROR") && line.contains("expired"))
    );

    // A new one mends it.
    site.put(&site.authority.issue("localhost", FUTURE));
    until("the new certificate is in force", || tls.is_usable()).await;
    let meeting = meet(&tls, PATIENCE, |stream| client.greet(stream)).await;
    assert!(meeting.served.is_ok(), "{:?}", meeting.served);
    until("it lasts", || site.metric(gauge) != "-1.0").await;
}
