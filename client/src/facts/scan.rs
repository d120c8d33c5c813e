//! The search for secrets. It says where something was found, never what.
//!
//! Texts are searched for the shapes of secrets, as written and with their escapes resolved. The
//! generated configuration is searched by its structure too: a key that takes a secret may hold a
//! placeholder or the name of a variable, and nothing else.

use std::ffi::OsString;

use admit_policy::{
    escape::any_reading,
    facts::is_credential_variable,
    json::{self, Node, Value},
    secret,
};

/// Values that stand where a secret would and are none.
const PLACEHOLDERS: [&str; 5] = ["", "none", "EMPTY", "ollama", "dummy"];
/// Keys that take a secret, in lower case without `_` and `-`.
const SECRET_KEYS: [&str; 20] = [
    "apikey",
    "xapikey",
    "key",
    "keycmd",
    "token",
    "access",
    "refresh",
    "accountid",
    "chatgptaccountid",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "authorization",
    "clientsecret",
    "secret",
    "secretkey",
    "password",
    "passwd",
    "bearertoken",
];

/// Whether `text`, as written or with its escapes resolved, has something that looks like a secret.
#[must_use]
pub fn has_secret(text: &str) -> bool {
    any_reading(text, secret::is_present)
}

/// Whether the arguments have something that looks like a secret, each by itself or a flag with the
/// value that follows it.
pub(super) fn arguments_have_secret(argv: &[OsString]) -> bool {
    let arguments: Vec<_> = argv
        .iter()
        .map(|argument| argument.to_string_lossy())
        .collect();
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    arguments.iter().any(|argument| has_secret(argument))
        || has_secret(&arguments.join(" "))
        || pairs
            .into_iter()
            .any(|(flag, value)| has_secret(&format!("{flag}={value}")))
}

/// Whether a file of the generated configuration has a secret. `is_variable` tells whether a
/// variable of that name is set: then the name stands for it.
pub(super) fn config_has_secret(bytes: &[u8], is_variable: &impl Fn(&str) -> bool) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    has_secret(text)
        || json::parse(text).is_ok_and(|root| member_has_secret(&root, false, is_variable))
}

fn member_has_secret(node: &Node, is_secret: bool, is_variable: &impl Fn(&str) -> bool) -> bool {
    match &node.value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => is_secret,
        Value::String(text) => {
            is_secret
                && !PLACEHOLDERS.contains(&text.as_str())
                && !names_variable(text, is_variable)
        }
        Value::Array(items) => items
            .iter()
            .any(|item| member_has_secret(item, is_secret, is_variable)),
        Value::Object(members) => members.iter().any(|member| {
            let key = significant(&member.key);
            if key == "headers" || key == "extraheaders" {
                headers_have_secret(&member.value, is_variable)
            } else {
                member_has_secret(&member.value, takes_secret(&key), is_variable)
            }
        }),
    }
}

/// Every value of a header counts.
fn headers_have_secret(node: &Node, is_variable: &impl Fn(&str) -> bool) -> bool {
    match &node.value {
        Value::Object(members) => members
            .iter()
            .any(|member| member_has_secret(&member.value, true, is_variable)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            member_has_secret(node, true, is_variable)
        }
    }
}

fn takes_secret(significant_key: &str) -> bool {
    SECRET_KEYS.contains(&significant_key) || significant_key.starts_with("cfaccess")
}

fn significant(key: &str) -> String {
    key.chars()
        .filter(|character| !matches!(character, '_' | '-'))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// Whether `text` stands for a variable: one that is set, or the name of a credential variable.
/// Anything else would be taken as it is, and so may be the secret.
fn names_variable(text: &str, is_variable: &impl Fn(&str) -> bool) -> bool {
    let is_name = text.starts_with(|first: char| first.is_ascii_uppercase() || first == '_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_variable(text) || (is_name && is_credential_variable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_hide_nothing() {
        for text in [
            "sk-ant-0123456789abcdef",
            r#"{"a":"\u0073k-ant-0123456789abcdef"}"#,
            r#"{"a":"{\"b\":\"\\u0073k-ant-0123456789abcdef\"}"}"#,
            r"http:\/\/jp:hunter2@example.com\/",
            r#"{\"api_key\": \"s3cr3t-value\"}"#,
        ] {
            assert!(has_secret(text), "{text}");
        }
        for text in ["", "\\", "\\u", "\\u00", "\\ud800", "a\\u00e9b\\q"] {
            assert!(!has_secret(text), "{text}");
        }
    }

    #[test]
    fn a_secret_in_the_arguments_is_found() {
        for arguments in [
            &["case", "sk-ant-0123456789abcdef"][..],
            &["case", "--token", "s3cr3t-value"],
            &["case", "--api-key=s3cr3t-value"],
            &["curl", "-H", "Authorization: Bearer", "abcdef0123456789"],
        ] {
            let argv: Vec<OsString> = arguments.iter().map(Into::into).collect();
            assert!(arguments_have_secret(&argv), "{arguments:?}");
        }
        let argv: Vec<OsString> = ["bun", "--no-env-file", "case.ts", "--task", "t1.task.json"]
            .iter()
            .map(Into::into)
            .collect();
        assert!(!arguments_have_secret(&argv));
        assert!(!arguments_have_secret(&[]));
    }

    #[test]
    fn a_key_that_takes_a_secret_may_hold_a_placeholder_or_a_name() {
        let is_set = |name: &str| name == "MY_LOCAL_KEYRING";
        for value in [
            "\"none\"",
            "\"EMPTY\"",
            "\"ollama\"",
            "\"dummy\"",
            "\"\"",
            "null",
            "false",
            "\"OPENAI_API_KEY\"",
            "\"MY_LOCAL_KEYRING\"",
            "{\"mode\":\"read\"}",
        ] {
            for key in ["apiKey", "api_key", "access", "key"] {
                let json = format!("{{\"providers\":{{\"p\":{{\"{key}\":{value}}}}}}}");
                assert!(!config_has_secret(json.as_bytes(), &is_set), "{json}");
            }
        }
        for value in [
            "\"hunter2\"",
            "\"JBSWY3DPEHPK3PXP\"",
            "\"NOT_A_SET_NAME\"",
            "\"!pass show x\"",
            "12345678",
            "[\"hunter2\"]",
        ] {
            for key in ["apiKey", "Refresh_Token", "key_cmd", "CF-Access-Client-Id"] {
                let json = format!("\u{feff}{{\"a\":[{{\"{key}\":{value}}}]}}");
                assert!(config_has_secret(json.as_bytes(), &is_set), "{json}");
            }
        }
    }

    #[test]
    fn every_value_of_a_header_counts() {
        let none = |_: &str| false;
        assert!(config_has_secret(
            br#"{"headers":{"x-team":"blue"}}"#,
            &none
        ));
        assert!(config_has_secret(br#"{"extra_headers":["blue"]}"#, &none));
        assert!(!config_has_secret(
            br#"{"headers":{"x-team":"none"}}"#,
            &none
        ));
    }

    #[test]
    fn a_secret_in_a_malformed_file_is_found() {
        let none = |_: &str| false;
        assert!(config_has_secret(
            b"{\"a\":\"sk-ant-0123456789abcdef\",\xff",
            &none
        ));
    }

    #[test]
    fn an_ordinary_config_has_none() {
        let none = |_: &str| false;
        let config = br#"{"models":{"default":{"provider":"qwen-local","model":"qwen3"}},"projects":"./projects.json","version":1}"#;
        assert!(!config_has_secret(config, &none));
        let models = br#"{"providers":{"p":{"baseUrl":"http://127.0.0.1:8000/v1","apiKey":"none","api":"openai-completions","models":[{"id":"m","maxTokens":4096}]}}}"#;
        assert!(!config_has_secret(models, &none));
    }
}
