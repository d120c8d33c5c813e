//! A certificate authority for one test.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd,
};

/// A year far off.
pub(crate) const FUTURE: i32 = 2049;

/// An authority.
pub(crate) struct Authority {
    /// What signs.
    pub(crate) issuer: Issuer<'static, KeyPair>,
    /// Its certificate in PEM.
    pub(crate) certificate: String,
}

/// What an authority gives to others, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// An authority of a name that no other has.
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[]);
        let own = key.public_key_raw().iter().skip(1).take(8);
        let own: String = own.map(|byte| format!("{byte:02x}")).collect();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {own}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Vouches for somebody of the name `name`, and of the address 127.0.0.1 if that is this host,
    /// from the first day of 2025 until the first one of the year `end`.
    pub(crate) fn issue(&self, name: &str, end: i32) -> Issued {
        let mut params = params(&[name]);
        if name == "localhost" {
            let address = std::net::Ipv4Addr::LOCALHOST;
            params
                .subject_alt_names
                .push(SanType::IpAddress(address.into()));
        }
        params.not_after = date_time_ymd(end, 1, 1);
        let key = KeyPair::generate().unwrap();
        Issued {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A certificate of these DNS names, valid from the first day of 2025 on.
fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(FUTURE, 1, 1);
    params
}
