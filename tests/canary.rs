//! Canaries: texts planted wherever a text can come from, and searched for in every byte that the
//! daemon produces.
//!
//! A caller may be told about its own request, so answers are no place to search; failures are.
//! Deliberately absent: the ids of a trace, which a caller chooses within their form, and the names that
//! a valid admission admits; those are what the log is for.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod daemon;

#[path = "canary/documents.rs"]
mod documents;
#[path = "canary/evidence.rs"]
mod evidence;
#[path = "daemon/finished.rs"]
mod finished;
#[path = "canary/launches.rs"]
mod launches;
#[path = "canary/receiver.rs"]
mod receiver;
#[path = "canary/search.rs"]
mod search;

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path};

use admit_proto::v1::{
    AdmitRequest, Lane, Verdict, WatchPolicyRequest,
    admission_service_client::AdmissionServiceClient,
};
use daemon::{Client, Daemon, Settings, policy::A, within};
use hyper_util::rt::TokioIo;
use receiver::Receiver;
use search::Haystack;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};
use tonic::{
    Code, Request, Status,
    body::Body,
    codegen::http,
    metadata::{AsciiMetadataKey, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use tower::{ServiceExt as _, service_fn};

/// The texts that were planted, by where.
#[derive(Default)]
pub(crate) struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// A text that was nowhere before.
    pub(crate) fn plant(&mut self, place: &str) -> String {
        let number = self.0.len();
        // So that no canary is a part of another one, or of a number.
        let canary = format!("zq7canary{number:03}x{:03}", 997 - number);
        self.0.push((place.to_owned(), canary.clone()));
        canary
    }

    /// A text that is there already and must come up nowhere.
    pub(crate) fn keep(&mut self, place: &str, text: &str) {
        self.0.push((place.to_owned(), text.to_owned()));
    }

    /// None of them is anywhere.
    fn are_nowhere_in(&self, haystack: &Haystack) {
        let found: Vec<String> = self
            .0
            .iter()
            .flat_map(|(place, canary)| {
                let found = haystack.find(canary);
                found.into_iter().map(move |at| format!("{place}: {at}"))
            })
            .collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// The bytes of `text` as hexadecimal digits.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// What a failure tells: its message, its details and its metadata.
fn told(haystack: &mut Haystack, status: &Status) {
    haystack.add("a failure's message", status.message());
    haystack.add("a failure's details", status.details().to_vec());
    let metadata = status.metadata().clone().into_headers();
    haystack.add("a failure's metadata", format!("{metadata:?}"));
}

/// Calls with texts in places that no service looks at.
async fn call_around(channel: &Channel, canaries: &mut Canaries, haystack: &mut Haystack) {
    let mut client = AdmissionServiceClient::new(channel.clone());
    for key in [
        "traceparent",
        "tracestate",
        "baggage",
        "authorization",
        "user-agent",
        "cookie",
        "grpc-accept-encoding",
        "x-request-id",
    ] {
        let canary = canaries.plant(key);
        let mut request = Request::new(A.launch());
        let value: MetadataValue<_> = canary.parse().unwrap();
        request.metadata_mut().insert(key, value);
        if let Err(status) = within("an answer", client.admit(request)).await {
            told(haystack, &status);
        }
    }
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    for form in [
        "00-{id}-00f067aa0ba902b7-01-{}",
        "{}-{id}-00f067aa0ba902b7-01",
        "00-{id}-{}-01",
    ] {
        let canary = canaries.plant("traceparent, malformed");
        let value = form.replace("{id}", id).replace("{}", &canary);
        let mut request = Request::new(A.launch());
        request
            .metadata_mut()
            .insert("traceparent", value.parse().unwrap());
        within("an answer", client.admit(request)).await.unwrap();
    }
    let canary = canaries.plant("a key of the metadata");
    let key = AsciiMetadataKey::from_bytes(canary.as_bytes()).unwrap();
    let mut request = Request::new(A.launch());
    request.metadata_mut().insert(key, "1".parse().unwrap());
    within("an answer", client.admit(request)).await.unwrap();
}

/// Calls that are none: methods that there are not, and bodies that are no messages.
async fn call_wrongly(channel: &Channel, canaries: &mut Canaries, haystack: &mut Haystack) {
    let path = canaries.plant("the path of a call");
    let text = canaries.plant("a body that is no message");
    let length = char::from(u8::try_from(text.len()).unwrap());
    let admit = "admit.v1.AdmissionService/Admit".to_owned();
    for (path, body) in [
        (format!("{path}/{path}"), String::new()),
        (format!("admit.v1.AdmissionService/{path}"), String::new()),
        (admit.clone(), format!("\0\0\0\0{length}{text}")),
        (admit.clone(), format!("\u{1}\0\0\0{length}{text}")),
        (admit, text.repeat(100)),
    ] {
        let request = http::Request::post(format!("http://admitd/{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Body::new(body))
            .unwrap();
        let call = channel.clone().oneshot(request);
        let response = within("a response", call).await.unwrap();
        haystack.add("a response's headers", format!("{:?}", response.headers()));
        if let Some(status) = Status::from_header_map(response.headers()) {
            assert_ne!(status.code(), Code::Ok);
            told(haystack, &status);
        }
    }
}

/// A connection whose authority and user agent are these.
async fn channel_as(socket: &Path, canary: &str) -> Channel {
    let path = socket.to_owned();
    Endpoint::from_shared(format!("http://{canary}"))
        .unwrap()
        .user_agent(canary.to_owned())
        .unwrap()
        .connect_with_connector(service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .unwrap()
}

/// Asks for pairs, services and symbols that nobody knows.
async fn ask_around(client: &mut Client, canaries: &mut Canaries, haystack: &mut Haystack) {
    for (place, provider) in [
        ("a watched provider", "{}"),
        ("no provider to watch", "{} !"),
    ] {
        let canary = canaries.plant(place);
        let request = WatchPolicyRequest {
            provider: provider.replace("{}", &canary),
            model: canary,
            lane: Lane::Real.into(),
        };
        match client.watch(request).await {
            Ok(mut watch) => drop(watch.next().await.unwrap()),
            Err(status) => told(haystack, &status),
        }
    }
    let canary = canaries.plant("a service whose health is asked for");
    let mut health = HealthClient::new(client.channel.clone());
    let check = health.check(HealthCheckRequest { service: canary });
    told(haystack, &within("a failure", check).await.unwrap_err());
    let canary = canaries.plant("a symbol that is reflected on");
    let question = ServerReflectionRequest {
        host: canary.clone(),
        message_request: Some(MessageRequest::FileContainingSymbol(canary)),
    };
    let mut reflection = ServerReflectionClient::new(client.channel.clone());
    let answers = reflection.server_reflection_info(tokio_stream::once(question));
    let mut answers = within("a stream", answers).await.unwrap().into_inner();
    // Reflection is a library's, and tells its caller which symbol there is not. Nobody else is told.
    drop(within("an answer", answers.message()).await);
}

/// The response to an HTTP request for this target.
async fn http_get(address: SocketAddr, target: &str) -> Vec<u8> {
    let get = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nX-Target: {target}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.unwrap();
        response
    };
    within("a page", get).await
}

/// Variables of the environment that mean nothing to the daemon, and some that its libraries may know.
fn environment(canaries: &mut Canaries) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = [
        "ANTHROPIC_API_KEY",
        "CTO_HARNESS_CASE_LOCAL_BASE_URL",
        "OTEL_SERVICE_NAME",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        "RUST_LOG",
        "ADMIT_CANARY",
        "TRACEPARENT",
        "HOSTNAME",
        "USER",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), canaries.plant(name)))
    .collect();
    let attributes = canaries.plant("OTEL_RESOURCE_ATTRIBUTES");
    variables.push((
        "OTEL_RESOURCE_ATTRIBUTES".into(),
        format!("{attributes}={attributes},service.name={attributes}"),
    ));
    let name = canaries.plant("the name of a variable");
    variables.push((name.to_uppercase(), "1".into()));
    variables
}

/// The rest of the configuration: comments, classes, and an export with headers.
fn configuration(folder: &Path, receiver: &Receiver, canaries: &mut Canaries) -> String {
    let headers = folder.join("headers");
    let header = canaries.plant("the headers file");
    fs::write(&headers, format!("authorization: Bearer {header}\n")).unwrap();
    fs::set_permissions(&headers, fs::Permissions::from_mode(0o600)).unwrap();
    let comment = canaries.plant("a comment in the configuration");
    let class = canaries.plant("a network class");
    format!(
        "# {comment}\n[export]\nendpoint = {:?}\nheaders_file = {headers:?}\ndiagnostics = true\n\
         [network_classes]\n{class} = [\"loopback\"]\n",
        receiver.endpoint,
    )
}

/// Sends every launch; how many were answered. What failed is added.
async fn send(client: &mut Client, launches: Vec<AdmitRequest>, haystack: &mut Haystack) -> usize {
    let mut answered = 0;
    for launch in launches {
        match client.admit(launch).await {
            Ok(answer) => answered += usize::from(!answer.record_hash.is_empty()),
            Err(status) => told(haystack, &status),
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_came_from_outside_is_written_down() {
    let mut canaries = Canaries::default();
    let mut haystack = Haystack::default();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    let admission = documents::write_valid(&policy, &mut canaries);
    let receiver = Receiver::start(canaries.plant("a receiver's error")).await;
    let audit = folder.path().join("audit");
    let settings = Settings {
        audit_dir: Some(audit.clone()),
        more_audit: configuration(folder.path(), &receiver, &mut canaries),
        env: environment(&mut canaries),
        metrics: true,
        ..Settings::new(&policy)
    };
    let mut daemon = Daemon::start(&settings).await;
    let mut client = daemon.client().await;
    let answer = client.admit(A.launch_with(&admission)).await.unwrap();
    assert_eq!(answer.verdict(), Verdict::Allow, "{answer:?}");

    let launches = launches::launches(&mut canaries);
    let sent = launches.len();
    let answered = send(&mut client, launches, &mut haystack).await;
    assert!(answered > 10 && answered < sent, "{answered} of {sent}");
    evidence::hand_in(&mut client, answer.permit, &mut canaries, &mut haystack).await;
    call_around(&client.channel, &mut canaries, &mut haystack).await;
    call_wrongly(&client.channel, &mut canaries, &mut haystack).await;
    ask_around(&mut client, &mut canaries, &mut haystack).await;
    let authority = canaries.plant("the authority and the user agent");
    let mut other = Client::new(channel_as(daemon.socket(), &authority).await);
    let last = other.admit(A.launch()).await.unwrap();

    let address = daemon.metrics_address().await;
    let target = canaries.plant("the target of an HTTP request");
    haystack.add(
        "no page",
        http_get(address, &format!("/{target}?{target}")).await,
    );
    haystack.add("the metrics", http_get(address, "/metrics").await);
    receiver.took(usize::try_from(last.seq).unwrap()).await;
    let log = daemon.log();
    haystack.add("the standard output", daemon.stdout());
    assert_eq!(daemon.terminate().await.code(), Some(0));

    haystack.add("the daemon's log", log);
    haystack.add("the spans", receiver.spans());
    haystack.add("the diagnostics", receiver.diagnostics());
    haystack.add_folder(&audit);
    for (place, text) in [
        ("the daemon's log", "listening"),
        ("the diagnostics", "listening"),
        ("the metrics", "admit_audit_appended_records_total"),
        ("the spans", "admit.decision"),
        ("the spans", "admit.evidence"),
        ("a failure's message", "host"),
        ("audit/segment-", "\"type\":\"decision\""),
        ("audit/segment-", "\"type\":\"evidence\""),
        ("audit/bases/", "claude-alpha-1"),
    ] {
        assert!(haystack.has(place, text), "no `{text}` in {place}");
    }
    canaries.are_nowhere_in(&haystack);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_document_that_is_wrong_is_written_down() {
    let mut canaries = Canaries::default();
    let mut haystack = Haystack::default();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy");
    fs::create_dir(&policy).unwrap();
    documents::write_invalid(&policy, &mut canaries);
    let receiver = Receiver::start(canaries.plant("a receiver's error")).await;
    let audit = folder.path().join("audit");
    let settings = Settings {
        audit_dir: Some(audit.clone()),
        more_audit: configuration(folder.path(), &receiver, &mut canaries),
        ..Settings::new(&policy)
    };
    let daemon = Daemon::start(&settings).await;
    let mut client = daemon.client().await;
    let mut last = 0;
    for _ in 0..5 {
        let answer = client.admit(A.launch()).await.unwrap();
        assert!(!answer.reasons.is_empty());
        last = answer.seq;
    }
    receiver.took(usize::try_from(last).unwrap()).await;
    let log = daemon.log();
    haystack.add("the standard output", daemon.stdout());
    assert_eq!(daemon.terminate().await.code(), Some(0));
    haystack.add("the daemon's log", log);
    haystack.add("the spans", receiver.spans());
    haystack.add("the diagnostics", receiver.diagnostics());
    haystack.add_folder(&audit);
    for (place, text) in [
        ("the spans", "decision-record-invalid"),
        ("audit/segment-", "decision-record-invalid"),
        ("audit/bases/", "invalid"),
    ] {
        assert!(haystack.has(place, text), "no `{text}` in {place}");
    }
    canaries.are_nowhere_in(&haystack);
}
