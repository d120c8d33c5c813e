//! Variables and arguments that no gate can be told of, for which the wrapper refuses by itself.
//!
//! An empty value counts as none: to set a variable empty is how an operator keeps a `.env` file from
//! setting it. Search paths (`PATH`, `LD_LIBRARY_PATH`) are not judged: a host without them is none.
//! Nor is `--mode`: it says only who answers when the pipeline asks; `attended` waits for a person. Nor
//! `ASSETS_REPO`: it says where pictures are uploaded to, and changes nothing of what runs.

use super::{BASE_URL, Ledger, RefusalCode, Surroundings, arguments, refusal::shown_name};

/// Variables that stand for a refusal each.
const SINGLE: [(&str, RefusalCode); 2] = [
    ("CASE_QUIET", RefusalCode::CaseQuietSet),
    ("CASE_PACKAGE_ROOT", RefusalCode::CaseAssetsRedirected),
];
/// Variables that lead requests over a proxy.
const PROXIES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
/// Variables from which the clients of providers take an endpoint.
const ENDPOINTS: [&str; 6] = [
    "OPENAI_BASE_URL",
    "ANTHROPIC_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_VERTEX_BASE_URL",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
];
/// Variables that load code into programs.
const INJECTIONS: [&str; 5] = [
    "LD_PRELOAD",
    "LD_AUDIT",
    "DYLD_INSERT_LIBRARIES",
    "NODE_OPTIONS",
    "BASH_ENV",
];
/// Every other variable of this prefix changes how Bun runs, which code it runs, or what it prints.
const BUN_PREFIX: &str = "BUN_";
/// Variables of Bun that change nothing, or have a code of their own.
const BUN_OTHERS: [&str; 2] = ["BUN_INSTALL", "BUN_OPTIONS"];
/// The variable that lets a client believe every certificate, and the value that does not.
const TLS_VERIFICATION: (&str, &str) = ("NODE_TLS_REJECT_UNAUTHORIZED", "1");

/// Refuses for what the variables and the arguments are.
pub(super) fn refuse(surroundings: &Surroundings, ledger: &mut Ledger) {
    for (name, code) in SINGLE {
        if surroundings.value(name).is_some() {
            ledger.refuse(code, name);
        }
    }
    let has_base_url = surroundings.value(BASE_URL).is_some();
    for (name, value) in &surroundings.variables {
        let name = name.to_string_lossy();
        let code = if value.is_empty() {
            None
        } else if loads_code(&name) {
            Some(RefusalCode::CodeInjectionVariable)
        } else if has_base_url
            && PROXIES
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&name))
        {
            Some(RefusalCode::ProxyConfigured)
        } else if ENDPOINTS.contains(&&*name) {
            Some(RefusalCode::EndpointVariableSet)
        } else if name == TLS_VERIFICATION.0 && value != TLS_VERIFICATION.1 {
            Some(RefusalCode::TlsNotVerified)
        } else {
            None
        };
        if let Some(code) = code {
            ledger.refuse(code, shown_name(&name));
        }
    }
    // Without a command nothing is stated, and with another the arguments mean something else.
    let case_arguments = arguments::of_case(&surroundings.argv);
    if case_arguments.is_some_and(|words| arguments::explicit_task(words).is_none()) {
        ledger.refuse(RefusalCode::TaskNotExplicit, "--task");
    }
}

fn loads_code(name: &str) -> bool {
    INJECTIONS.contains(&name) || (name.starts_with(BUN_PREFIX) && !BUN_OTHERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(variables: &[(&str, &str)], argv: &[&str]) -> Vec<(RefusalCode, String)> {
        let surroundings = Surroundings {
            variables: variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            working_dir: "/".into(),
            argv: argv.iter().map(Into::into).collect(),
        };
        let mut ledger = Ledger::default();
        refuse(&surroundings, &mut ledger);
        ledger
            .refusals
            .into_iter()
            .map(|refusal| (refusal.code, refusal.about))
            .collect()
    }

    #[test]
    fn a_variable_that_is_a_trap_is_refused() {
        for (name, value, code) in [
            ("CASE_QUIET", "1", RefusalCode::CaseQuietSet),
            ("CASE_QUIET", "0", RefusalCode::CaseQuietSet),
            ("CASE_PACKAGE_ROOT", "/x", RefusalCode::CaseAssetsRedirected),
            ("OPENAI_BASE_URL", "u", RefusalCode::EndpointVariableSet),
            ("AWS_ENDPOINT_URL", "u", RefusalCode::EndpointVariableSet),
            (TLS_VERIFICATION.0, "0", RefusalCode::TlsNotVerified),
            ("LD_PRELOAD", "x.so", RefusalCode::CodeInjectionVariable),
            ("LD_AUDIT", "x.so", RefusalCode::CodeInjectionVariable),
            ("NODE_OPTIONS", "-r x", RefusalCode::CodeInjectionVariable),
            ("BASH_ENV", "x", RefusalCode::CodeInjectionVariable),
            ("BUN_BE_BUN", "1", RefusalCode::CodeInjectionVariable),
            ("BUN_INSPECT", "1", RefusalCode::CodeInjectionVariable),
            (
                "BUN_CONFIG_VERBOSE_FETCH",
                "curl",
                RefusalCode::CodeInjectionVariable,
            ),
        ] {
            assert_eq!(refused(&[(name, value)], &[]), [(code, name.to_owned())]);
            assert_eq!(refused(&[(name, "")], &[]), [], "{name}");
        }
        let harmless = [
            ("PATH", "/bin"),
            ("LD_LIBRARY_PATH", "/usr/local/cuda/lib64"),
            ("BUN_INSTALL", "/home/jp/.bun"),
            (TLS_VERIFICATION.0, "1"),
            ("ASSETS_REPO", "x"),
            ("CASE_DEBUG", "1"),
            ("BUNNY", "1"),
        ];
        assert_eq!(refused(&harmless, &[]), []);
    }

    #[test]
    fn a_proxy_is_refused_where_a_base_url_is_to_be_reached() {
        for name in [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            let proxy = (name, "http://10.0.0.1:3128");
            let base_url = (BASE_URL, "http://127.0.0.1:8000/v1");
            let no_proxy = ("NO_PROXY", "*");
            let due = [(RefusalCode::ProxyConfigured, name.to_owned())];
            assert_eq!(refused(&[proxy, base_url], &[]), due);
            assert_eq!(refused(&[proxy, base_url, no_proxy], &[]), due);
            assert_eq!(refused(&[proxy], &[]), []);
            assert_eq!(refused(&[base_url, no_proxy, (name, "")], &[]), []);
        }
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_not_shown() {
        for name in ["BUN_\u{1b}[2J", "BUN_ghp_abcdefghij0123456789"] {
            let refused = refused(&[(name, "1")], &[]);
            assert_eq!(refused.len(), 1);
            assert!(refused.iter().all(|(_, about)| !about.contains("BUN_")));
        }
    }

    #[test]
    fn case_without_an_explicit_task_is_refused() {
        let due = [(RefusalCode::TaskNotExplicit, "--task".to_owned())];
        for argv in [&["ca", "1234"][..], &["ca"], &["bun", "case.ts", "run"]] {
            assert_eq!(refused(&[], argv), due, "{argv:?}");
        }
        for argv in [&["ca", "run", "--task", "t.json"][..], &["sh", "x"], &[]] {
            assert_eq!(refused(&[], argv), [], "{argv:?}");
        }
    }
}
