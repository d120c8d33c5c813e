//! Which entries of `models.json` Pi accepts. It drops every custom entry of a file with one that it
//! does not.

use admit_policy::json::{Member, Node, Value};

/// Whether Pi accepts the provider. It drops every custom entry of the file otherwise.
pub(super) fn is_provider(node: &Node) -> bool {
    let Some(fields) = members(node) else {
        return false;
    };
    let has = |key| text(node, key).is_some();
    let overrides = node.get("modelOverrides").and_then(members);
    let are_types_right = ["baseUrl", "apiKey", "api"]
        .into_iter()
        .all(|key| is_text_or_absent(node, key))
        && is_bool_or_absent(node, "authHeader")
        && is_object_or_absent(node, "compat")
        && is_object_or_absent(node, "modelOverrides")
        && are_headers(node)
        && overrides
            .unwrap_or_default()
            .iter()
            .all(|member| is_model_override(&member.value));
    let models = match node.get("models") {
        None => &[],
        Some(models) => match items(models) {
            Some(models) => models,
            None => return false,
        },
    };
    let is_complete = if models.is_empty() {
        has("baseUrl")
            || fields.iter().any(|member| member.key == "compat")
            || overrides.is_some_and(|overrides| !overrides.is_empty())
    } else {
        has("baseUrl") && has("apiKey")
    };
    are_types_right
        && is_complete
        && models
            .iter()
            .all(|model| is_model(model) && (has("api") || text(model, "api").is_some()))
}

fn is_model(node: &Node) -> bool {
    let is_positive = |key| match node.get(key) {
        None => true,
        Some(number) => number_of(number).is_some_and(|number| number > 0.0),
    };
    text(node, "id").is_some()
        && is_text_or_absent(node, "api")
        && is_text_or_absent(node, "baseUrl")
        && is_positive("contextWindow")
        && is_positive("maxTokens")
        && is_cost(node, true)
        && is_model_override(node)
}

/// Whether the fields that a model and an override of one share are right.
fn is_model_override(node: &Node) -> bool {
    let is_number_or_absent = |key| node.get(key).is_none_or(|value| number_of(value).is_some());
    let is_input = |value: &Node| matches!(value.as_str(), Some("text" | "image"));
    members(node).is_some()
        && is_text_or_absent(node, "name")
        && is_bool_or_absent(node, "reasoning")
        && is_number_or_absent("contextWindow")
        && is_number_or_absent("maxTokens")
        && is_object_or_absent(node, "compat")
        && are_headers(node)
        && is_cost(node, false)
        && node
            .get("input")
            .is_none_or(|input| items(input).is_some_and(|input| input.iter().all(is_input)))
}

fn is_cost(node: &Node, is_whole: bool) -> bool {
    let Some(cost) = node.get("cost") else {
        return true;
    };
    members(cost).is_some()
        && ["input", "output", "cacheRead", "cacheWrite"]
            .into_iter()
            .all(|key| match cost.get(key) {
                None => !is_whole,
                Some(value) => number_of(value).is_some(),
            })
}

fn are_headers(node: &Node) -> bool {
    node.get("headers").is_none_or(|headers| {
        members(headers)
            .is_some_and(|headers| headers.iter().all(|header| header.value.as_str().is_some()))
    })
}

/// The text of `key`, if it is one and not empty.
pub(super) fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn is_text_or_absent(node: &Node, key: &str) -> bool {
    node.get(key).is_none() || text(node, key).is_some()
}

fn is_bool_or_absent(node: &Node, key: &str) -> bool {
    node.get(key)
        .is_none_or(|value| matches!(value.value, Value::Bool(_)))
}

fn is_object_or_absent(node: &Node, key: &str) -> bool {
    node.get(key).is_none_or(|value| members(value).is_some())
}

pub(super) fn members(node: &Node) -> Option<&[Member]> {
    match &node.value {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

pub(super) fn items(node: &Node) -> Option<&[Node]> {
    match &node.value {
        Value::Array(items) => Some(items),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            None
        }
    }
}

fn number_of(node: &Node) -> Option<f64> {
    match &node.value {
        Value::Number(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}
