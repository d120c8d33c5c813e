//! `admit health`: whether the server is serving.

use std::io::Write as _;

use serde::Serialize;

use super::{
    Break, Outcome, Server,
    render::{BAD, ErrorShape, GOOD, json_line, no_answer},
};

/// Asks whether the server is serving.
#[derive(Debug, clap::Args)]
pub(crate) struct Health {
    #[command(flatten)]
    server: Server,

    /// The service to ask about, such as `admit.v1.AdmissionService`; without it, the server as a
    /// whole.
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
}

#[derive(Debug, Serialize)]
struct HealthShape<'a> {
    schema: &'static str,
    serving: Option<bool>,
    error: Option<ErrorShape<'a>>,
}

impl Health {
    pub(crate) async fn run(&self) -> Result<Outcome, Break> {
        let mut client = self.server.client(self.server.deadline())?;
        let answer = client.health(&self.service).await;
        let mut out = anstream::stdout();
        if self.server.json {
            let shape = HealthShape {
                schema: "admit.health/1",
                serving: answer.as_ref().ok().copied(),
                error: answer.as_ref().err().map(ErrorShape::from),
            };
            json_line(&mut out, &shape)?;
        } else {
            match &answer {
                Ok(true) => writeln!(out, "{GOOD}SERVING{GOOD:#}")?,
                Ok(false) => writeln!(out, "{BAD}NOT SERVING{BAD:#}")?,
                Err(error) => no_answer(&mut anstream::stderr(), error, "take it for not serving")?,
            }
        }
        out.flush()?;
        Ok(match answer {
            Ok(true) => Outcome::Yes,
            Ok(false) => Outcome::No,
            Err(_) => Outcome::NoAnswer,
        })
    }
}
