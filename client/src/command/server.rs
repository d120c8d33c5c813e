//! The servers, and how they are asked: the one place where the command makes a client.

use std::{path::PathBuf, time::Duration};

use admit_client::{Client, Endpoint, EndpointError, Endpoints, Tls, TlsOptions};

use super::UsageError;

/// Where a shell's place in a trace stands.
pub(super) const TRACE_PARENT_VARIABLE: &str = "TRACEPARENT";

/// The servers, and how they are asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Server {
    /// Where a server is: `https://HOST:PORT`, `unix:/PATH`, or `http://HOST:PORT` on this host. Up
    /// to 8, repeated or with commas; the next is asked when one cannot answer.
    #[arg(
        long = "server",
        value_name = "ENDPOINT",
        env = "ADMIT_SERVER",
        hide_env_values = true,
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7117"
    )]
    endpoints: Vec<String>,

    /// Takes `http` to other hosts too, where anybody on the way could answer ALLOW.
    #[arg(long)]
    insecure_plaintext: bool,

    /// The certificate authorities to trust, in PEM, in place of the system's.
    #[arg(
        long,
        value_name = "FILE",
        env = "ADMIT_TLS_CA",
        hide_env_values = true
    )]
    tls_ca: Option<PathBuf>,

    /// The certificate to show to a server that asks for one, in PEM.
    #[arg(
        long,
        value_name = "FILE",
        env = "ADMIT_TLS_CERT",
        hide_env_values = true,
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,

    /// Its private key in PEM, readable by nobody else.
    #[arg(
        long,
        value_name = "FILE",
        env = "ADMIT_TLS_KEY",
        hide_env_values = true,
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,

    /// The name that a server's certificate has to be good for, in place of the endpoint's host.
    #[arg(
        long,
        value_name = "NAME",
        env = "ADMIT_TLS_SERVER_NAME",
        hide_env_values = true
    )]
    tls_server_name: Option<String>,

    /// Time for everything until the answer, in milliseconds.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 5000,
        value_parser = clap::value_parser!(u64).range(50..=60_000)
    )]
    deadline_ms: u64,

    /// Prints JSON of a versioned shape.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Server {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    /// A client whose calls have to be through within `deadline`.
    ///
    /// The endpoints are parsed here and not by clap, whose errors would repeat them.
    pub(crate) fn client(&self, deadline: Duration) -> Result<Client, UsageError> {
        let endpoints = self.endpoints()?;
        let options = TlsOptions {
            ca_file: self.tls_ca.clone(),
            certificate_file: self.tls_cert.clone(),
            key_file: self.tls_key.clone(),
            server_name: self.tls_server_name.clone(),
        };
        let tls = if options == TlsOptions::default() {
            Tls::system()
        } else if endpoints.iter().any(Endpoint::is_tls) {
            Tls::read(&options).map_err(|error| UsageError(format!("TLS: {error}")))?
        } else {
            // Whoever names an authority believes that the server is verified.
            return Err(UsageError(
                "the flags and variables for TLS need an endpoint `https://HOST:PORT`".to_owned(),
            ));
        };
        let client = Client::new(endpoints, deadline).with_tls(tls);
        Ok(match std::env::var(TRACE_PARENT_VARIABLE) {
            Ok(trace_parent) => client.in_trace(&trace_parent),
            // Unset, or no text at all.
            Err(_) => client,
        })
    }

    fn endpoints(&self) -> Result<Endpoints, UsageError> {
        let parse = |text: &String| {
            if self.insecure_plaintext {
                Endpoint::allow_plaintext_beyond_loopback(text)
            } else {
                text.parse()
            }
        };
        let refused = |error: EndpointError| {
            let help = match error {
                EndpointError::PlaintextBeyondLoopback => {
                    "; --insecure-plaintext takes it all the same"
                }
                EndpointError::Scheme
                | EndpointError::UserInformation
                | EndpointError::Path
                | EndpointError::Port
                | EndpointError::Host
                | EndpointError::SocketPath
                | EndpointError::Count
                | EndpointError::Twice => "",
            };
            UsageError(format!("--server or ADMIT_SERVER: {error}{help}"))
        };
        let endpoints: Vec<Endpoint> = self
            .endpoints
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        Endpoints::new(endpoints).map_err(refused)
    }

    /// A server of one endpoint where nobody listens.
    #[cfg(test)]
    pub(crate) fn nobody(json: bool) -> Self {
        Self {
            endpoints: vec!["http://127.0.0.1:1".into()],
            insecure_plaintext: false,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            tls_server_name: None,
            deadline_ms: 50,
            json,
        }
    }
}
