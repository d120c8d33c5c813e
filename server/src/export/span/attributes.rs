//! The attributes of a span, written in the encoding of protobuf as they come.
//!
//! An attribute is field 9 of a span: a message with the key in field 1 and in field 2 a message with the
//! value, whose field says what it is. Deliberately absent: which attributes there are.

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::{
    Message as _,
    bytes::{BufMut as _, Bytes, BytesMut},
    encode_length_delimiter, length_delimiter_len,
};
use serde::Serialize;

use crate::audit::names::HMAC_PREFIX;

/// Field numbers, with the wire type of what follows.
const ATTRIBUTE: u8 = (9 << 3) | LENGTH_DELIMITED;
const KEY: u8 = (1 << 3) | LENGTH_DELIMITED;
const VALUE: u8 = (2 << 3) | LENGTH_DELIMITED;
const STRING: u8 = (1 << 3) | LENGTH_DELIMITED;
const BOOL: u8 = 2 << 3;
const INT: u8 = 3 << 3;
const ARRAY: u8 = (5 << 3) | LENGTH_DELIMITED;
const ARRAY_VALUE: u8 = (1 << 3) | LENGTH_DELIMITED;
const LENGTH_DELIMITED: u8 = 2;

/// What most spans have room in, in bytes.
const SPAN_BYTES: usize = 2048;
/// What a span has besides its attributes, at most, in bytes.
const REST_BYTES: usize = 128;

/// Attributes in the order of their making.
pub(super) struct Attributes(BytesMut);

/// The length of a field of one byte and of `length` bytes behind their own length.
fn field_length(length: usize) -> usize {
    1_usize
        .saturating_add(length_delimiter_len(length))
        .saturating_add(length)
}

impl Attributes {
    pub(super) fn new() -> Self {
        Self(BytesMut::with_capacity(SPAN_BYTES))
    }

    /// `span`, which has none yet, with these attributes, as a message.
    pub(super) fn of(self, span: &Span) -> Bytes {
        let Self(mut bytes) = self;
        // The order of fields is of no meaning.
        bytes.reserve(REST_BYTES);
        // The buffer grows; nothing else can fail.
        let _ = span.encode(&mut bytes);
        bytes.freeze()
    }

    fn number_of_bytes(&mut self, number: usize) {
        // The buffer grows; nothing else can fail.
        let _ = encode_length_delimiter(number, &mut self.0);
    }

    fn bytes(&mut self, field: u8, bytes: &[u8]) {
        self.begin(field, bytes.len());
        self.0.put_slice(bytes);
    }

    fn begin(&mut self, field: u8, length: usize) {
        self.0.put_u8(field);
        self.number_of_bytes(length);
    }

    /// Begins an attribute whose value has this length.
    fn attribute(&mut self, key: &str, value_length: usize) {
        let length = field_length(key.len()).saturating_add(field_length(value_length));
        self.begin(ATTRIBUTE, length);
        self.bytes(KEY, key.as_bytes());
        self.begin(VALUE, value_length);
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.attribute(key, field_length(text.len()));
        self.bytes(STRING, text.as_bytes());
    }

    pub(super) fn some_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    pub(super) fn texts(&mut self, key: &str, texts: &[String]) {
        let value_length = |text: &String| field_length(text.len());
        let lengths = texts.iter().map(|text| field_length(value_length(text)));
        let length = lengths.fold(0, usize::saturating_add);
        self.attribute(key, field_length(length));
        self.begin(ARRAY, length);
        for text in texts {
            self.begin(ARRAY_VALUE, value_length(text));
            self.bytes(STRING, text.as_bytes());
        }
    }

    pub(super) fn number(&mut self, key: &str, number: u64) {
        // An integer of OTLP is signed.
        let number = usize::try_from(number).map_or(usize::MAX, |number| number);
        let number = number.min(usize::MAX >> 1);
        self.attribute(key, length_delimiter_len(number).saturating_add(1));
        self.begin(INT, number);
    }

    pub(super) fn truth(&mut self, key: &str, truth: bool) {
        self.attribute(key, 2);
        self.begin(BOOL, usize::from(truth));
    }

    /// The call that was answered.
    pub(super) fn call(&mut self, method: &str) {
        self.text("rpc.system.name", "grpc");
        self.text("rpc.method", method);
        self.text("rpc.response.status_code", "OK");
    }

    /// The pair that a model was asked for with. An HMAC is no name of a provider or a model that
    /// another system could make use of.
    pub(super) fn pair(&mut self, provider: &str, model: &str) {
        for (key, name) in [
            ("gen_ai.provider.name", provider),
            ("gen_ai.request.model", model),
        ] {
            if !name.is_empty() && !name.starts_with(HMAC_PREFIX) {
                self.text(key, name);
            }
        }
    }

    /// An enum, as the log spells it.
    pub(super) fn word(&mut self, key: &str, word: &impl Serialize) {
        if let Ok(serde_json::Value::String(word)) = serde_json::to_value(word) {
            self.text(key, &word);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, KeyValue, any_value::Value,
    };

    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        // Its length has two bytes, and so has that of what is around it.
        let long = "x".repeat(300);
        let texts = vec![String::new(), long.clone()];
        let mut attributes = Attributes::new();
        attributes.text("empty", "");
        attributes.text("long", &long);
        attributes.texts("none", &[]);
        attributes.texts("two", &texts);
        attributes.number("zero", 0);
        attributes.number("more", 300);
        attributes.number("most", u64::MAX);
        attributes.truth("true", true);
        attributes.truth("false", false);
        let span = Span {
            name: "a span".into(),
            flags: 7,
            ..Span::default()
        };
        let read = Span::decode(attributes.of(&span)).unwrap();
        let text = |text: &String| Value::StringValue(text.clone());
        let array = |texts: &[String]| {
            let value = |one| AnyValue {
                value: Some(text(one)),
            };
            let values = texts.iter().map(value).collect();
            Value::ArrayValue(ArrayValue { values })
        };
        let expected = [
            ("empty", text(&String::new())),
            ("long", text(&long)),
            ("none", array(&[])),
            ("two", array(&texts)),
            ("zero", Value::IntValue(0)),
            ("more", Value::IntValue(300)),
            ("most", Value::IntValue(i64::MAX)),
            ("true", Value::BoolValue(true)),
            ("false", Value::BoolValue(false)),
        ];
        let expected = expected.map(|(key, value)| KeyValue {
            key: key.into(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        });
        let attributes = expected.into();
        assert_eq!(read, Span { attributes, ..span });
    }
}
