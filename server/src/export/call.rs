//! A call to a receiver: OTLP's `TraceService/Export`, with spans that are encoded already.
//!
//! In the encoding of protobuf a message within a message is its bytes, so these types are OTLP's with
//! the spans as bytes. A span is encoded once, however often it is sent. Deliberately absent: what
//! becomes of a call; see [`super::receiver`].

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceResponse,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};
use prost::bytes::Bytes;
use tonic::{
    Request, Response, Status, client::Grpc, codegen::http::uri::PathAndQuery, transport::Channel,
};
use tonic_prost::ProstCodec;

use super::span::{SCOPE, SERVICE};

const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<InstrumentationScope>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

impl Export {
    /// What one call carries: `spans`, with who sends them.
    pub(super) fn of(spans: Vec<Bytes>) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let attributes = [("service.name", SERVICE), ("service.version", version)];
        let attribute = |(key, text): (&str, &str)| KeyValue {
            key: key.into(),
            value: Some(AnyValue {
                value: Some(Value::StringValue(text.into())),
            }),
            ..KeyValue::default()
        };
        Self {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: attributes.map(attribute).into(),
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: SCOPE.into(),
                        version: version.into(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                }],
            }],
        }
    }
}

/// Calls the receiver at the end of `channel`.
pub(super) async fn export(
    channel: Channel,
    request: Request<Export>,
) -> Result<Response<ExportTraceServiceResponse>, Status> {
    let mut client = Grpc::new(channel);
    client
        .ready()
        .await
        .map_err(|error| Status::unknown(format!("the channel is not ready: {error}")))?;
    let path = PathAndQuery::from_static(METHOD);
    client.unary(request, path, ProstCodec::default()).await
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span,
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_receiver_reads_the_spans_that_were_encoded() {
        let spans = ["one", "two"].map(|name| Span {
            name: name.into(),
            ..Span::default()
        });
        let encoded = spans.iter().map(|span| span.encode_to_vec().into());
        let sent = Export::of(encoded.collect()).encode_to_vec();
        let read = ExportTraceServiceRequest::decode(sent.as_slice()).unwrap();
        let [resource] = read.resource_spans.as_slice() else {
            panic!("{read:?}");
        };
        let [scope] = resource.scope_spans.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(scope.spans, spans);
        assert_eq!(scope.scope.as_ref().unwrap().name, SCOPE);
        assert_eq!(resource.resource.as_ref().unwrap().attributes.len(), 2);
    }
}
