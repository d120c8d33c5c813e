//! What is answered: `/metrics`, `/livez`, `/readyz`, and the status page at `/`.
//!
//! Reading only: any method but GET and HEAD is refused everywhere. Deliberately absent: how much is taken
//! of whom ([`super::listener`]).

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus_client::encoding::text::encode;

use super::{
    Watched,
    observe::observe,
    readiness::readiness,
    status::{self, Unshown},
};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The routes, for what is watched.
pub(super) fn routes(watched: Arc<Watched>) -> Router {
    let page = status::StatusPage::new(Arc::clone(&watched));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(watched)
        .merge(Router::new().route("/", get(status_page)).with_state(page))
        .layer(middleware::from_fn(guard))
}

/// Refuses what is no reading, and gives every answer the headers that a browser heeds.
async fn guard(request: Request, next: Next) -> Response {
    let is_reading = [Method::GET, Method::HEAD].contains(request.method());
    let mut response = if is_reading {
        next.run(request).await
    } else {
        let allow = [(header::ALLOW, "GET, HEAD")];
        (StatusCode::METHOD_NOT_ALLOWED, allow).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in every_answer() {
        headers.entry(name).or_insert(value);
    }
    response
}

fn every_answer() -> [(HeaderName, HeaderValue); 4] {
    [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)))
}

async fn metrics(State(watched): State<Arc<Watched>>) -> Response {
    observe(&watched);
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = encode(&mut text, &watched.registry);
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

async fn livez(State(watched): State<Arc<Watched>>) -> Response {
    match watched.liveness.standstill() {
        None => words(StatusCode::OK, "live"),
        Some(standstill) => words(StatusCode::SERVICE_UNAVAILABLE, standstill.as_str()),
    }
}

async fn readyz(State(watched): State<Arc<Watched>>) -> Response {
    match readiness(&watched.store, &watched.trail, &watched.stop) {
        Ok(()) => words(StatusCode::OK, "ready"),
        Err(unready) => words(StatusCode::SERVICE_UNAVAILABLE, unready.as_str()),
    }
}

fn words(status: StatusCode, words: &'static str) -> Response {
    let text = format!("{words}\n");
    (status, [(header::CONTENT_TYPE, PLAIN)], text).into_response()
}

async fn status_page(State(page): State<status::StatusPage>, headers: HeaderMap) -> Response {
    if !is_addressed_directly(&headers) {
        return words(
            StatusCode::MISDIRECTED_REQUEST,
            "ask for this page by an IP address or `localhost`",
        );
    }
    let page: Result<Bytes, Unshown> = page.shown().await;
    match page {
        Ok(page) => {
            let security = status::SECURITY_POLICY.clone();
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static(HTML)),
                (header::CONTENT_SECURITY_POLICY, security),
            ];
            (headers, page).into_response()
        }
        Err(unshown) => words(StatusCode::SERVICE_UNAVAILABLE, unshown.as_str()),
    }
}

/// Whether the one `Host` is an IP address or `localhost`. Any other name may be one that somebody else
/// let lead here, so that pages of theirs count as of the same origin (DNS rebinding).
fn is_addressed_directly(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let unbracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost") || unbracketed.unwrap_or(host).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt as _;

    use super::{super::stage, *};

    #[tokio::test]
    async fn a_probe_says_what_is_wrong() {
        let (watched, kept) = stage::watched();
        let router = routes(Arc::new(watched));
        let probe = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), 100).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let is = |status: u16, words: &str| (status, format!("{words}\n"));
        assert_eq!(probe("/livez").await, is(200, "live"));
        assert_eq!(probe("/readyz").await, is(503, "policy-unread"));
        drop(kept.trail_writer);
        assert_eq!(probe("/livez").await, is(503, "audit-writer-gone"));
        assert_eq!(probe("/readyz").await, is(503, "audit-unwritable"));
        kept.stop.send_replace(true);
        assert_eq!(probe("/readyz").await, is(503, "stopping"));
    }

    #[test]
    fn a_name_that_anybody_can_register_is_no_address() {
        for (hosts, expected) in [
            (&["127.0.0.1:7118"][..], true),
            (&["127.0.0.1"], true),
            (&["[::1]:7118"], true),
            (&["[fd00::7]"], true),
            (&["localhost:7118"], true),
            (&["LOCALHOST"], true),
            (&["192.0.2.7:80"], true),
            (&[], false),
            (&[""], false),
            (&["localhost", "localhost"], false),
            (&["evil.example"], false),
            (&["localhost.evil.example:7118"], false),
            (&["127.0.0.1.evil.example"], false),
            (&["evil.example@127.0.0.1"], false),
            (&["evil.localhost"], false),
            (&["2130706433"], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            assert_eq!(is_addressed_directly(&headers), expected, "{hosts:?}");
        }
    }
}
