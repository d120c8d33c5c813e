//! Words: enums that stand in the log and in bases, and how they follow their twins in the domain.

use serde::{Deserialize, Serialize};

/// Defines an enum whose variants stand in the log as kebab-case words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }
    };
}

/// Turns two enums with the same variants, one of the domain and one that is kept, into each other.
macro_rules! same_words {
    ($($domain:path => $kept:path { $($variant:ident,)+ })+) => {
        $(
            impl From<$domain> for $kept {
                fn from(value: $domain) -> Self {
                    match value { $(<$domain>::$variant => Self::$variant,)+ }
                }
            }

            impl From<$kept> for $domain {
                fn from(value: $kept) -> Self {
                    match value { $(<$kept>::$variant => Self::$variant,)+ }
                }
            }
        )+
    };
}

pub(super) use same_words;

words! {
    /// The lane.
    Lane {
        /// Not stated, or not known.
        Unspecified,
        /// No model is used.
        Fake,
        /// Case runs with a model.
        Real,
    }
}

words! {
    /// Whether something is there.
    Presence {
        /// Nobody looked.
        Unstated,
        /// Not there.
        Absent,
        /// There.
        Present,
    }
}

words! {
    /// A place that is searched for secrets.
    ScanTarget {
        /// Not stated, or not known.
        Unstated,
        /// The arguments.
        Argv,
        /// The task file.
        TaskFile,
        /// The generated configuration.
        GeneratedConfig,
    }
}

words! {
    /// The kind of a fixture.
    Fixture {
        /// Not stated, or not known.
        Unstated,
        /// A copy of an artificial one.
        CopiedArtificial,
        /// An artificial one itself.
        ArtificialOriginal,
        /// A real repository.
        RealRepository,
    }
}

words! {
    /// The fake baseline that is declared.
    Baseline {
        /// None.
        Absent,
        /// One of another run.
        OtherRun,
        /// One of the same run.
        SameRun,
    }
}

words! {
    /// From where an endpoint can be reached.
    EndpointScope {
        /// The host itself.
        Loopback,
        /// A private network.
        Private,
        /// A Tailscale network.
        Tailnet,
        /// Anything else.
        Public,
    }
}

words! {
    /// What Pi's `models.json` holds.
    Adapter {
        /// Not there, or not stated.
        Absent,
        /// The pair, at the base URL.
        Valid,
        /// What Pi cannot read.
        Malformed,
        /// No entry for the pair.
        PairAbsent,
        /// An entry that points elsewhere.
        OtherEndpoint,
        /// A value that runs a shell command.
        ShellCommand,
    }
}

words! {
    /// Whether the endpoint serves the model.
    ServedModel {
        /// Not stated, or not known.
        Unstated,
        /// It was not asked.
        NotProbed,
        /// It does.
        Match,
        /// It does not.
        Mismatch,
    }
}

words! {
    /// Why a `config.json` cannot be used at all.
    ConfigFault {
        /// Too large.
        TooLarge,
        /// Not UTF-8.
        NotUtf8,
        /// Not JSON.
        NotJson,
        /// A key twice in one object.
        DuplicateKey,
        /// Not an object.
        NotAnObject,
    }
}

words! {
    /// What a report states as `case_model_admission_status`.
    ReportedStatus {
        /// Nothing.
        Unstated,
        /// `admitted`.
        Admitted,
        /// `not_admitted`.
        NotAdmitted,
        /// `not_required`.
        NotRequired,
        /// Anything else.
        Other,
    }
}

words! {
    /// Whether everything that could tell of a model was read.
    ObservationState {
        /// Not stated, or not known.
        Unstated,
        /// It was.
        Complete,
        /// It was not.
        Incomplete,
    }
}

words! {
    /// Where a model was seen.
    ObservationSource {
        /// Not stated, or not known.
        Unstated,
        /// Case's events on standard error.
        CaseStderr,
        /// A session log of Pi.
        PiSession,
    }
}

words! {
    /// Whether a file was touched.
    ChangeState {
        /// Not stated, or not known.
        Unstated,
        /// It was not.
        Unchanged,
        /// It was.
        Changed,
    }
}

words! {
    /// How a pipeline ended.
    PipelineOutcome {
        /// Not stated, or not known.
        Unstated,
        /// Its event log has no end.
        Incomplete,
        /// It failed.
        Failed,
        /// It succeeded.
        Passed,
    }
}

words! {
    /// A place that is searched for secrets after a run.
    EvidenceTarget {
        /// Not stated, or not known.
        Unstated,
        /// The report.
        Report,
        /// Case's event log.
        Trace,
        /// The logs of the backend.
        BackendLogs,
    }
}

words! {
    /// The verdict on evidence.
    EvidenceVerdict {
        /// Every check holds.
        Accepted,
        /// At least one does not.
        Rejected,
    }
}

words! {
    /// Why nothing could be recorded.
    Cause {
        /// The file system has less free space than the reserve, or none.
        NoSpace,
        /// A write failed.
        WriteFailed,
        /// A sync failed.
        SyncFailed,
        /// The log's file was deleted or replaced.
        FileReplaced,
        /// A new file could not be made.
        CreateFailed,
        /// The disk took longer than the patience.
        Stalled,
        /// More requests were waiting than there are places.
        QueueFull,
    }
}

words! {
    /// How a caller is connected.
    Via {
        /// TCP without encryption.
        Plaintext,
        /// A unix socket.
        Unix,
        /// Mutual TLS.
        Tls,
    }
}

words! {
    /// A call that a caller may be granted.
    Rpc {
        /// Asking about a launch.
        Admit,
        /// Handing in evidence.
        CheckEvidence,
        /// Reading the policy in force.
        GetPolicy,
        /// Following it.
        WatchPolicy,
        /// Reading the public keys of permits.
        GetPermitKeys,
    }
}

words! {
    /// Why a call was refused before anything of it was judged.
    RefusalCause {
        /// No caller of the configuration is this peer.
        UnknownCaller,
        /// The names of one certificate belong to several callers.
        AmbiguousCaller,
        /// The client certificate has expired since, or its authority is no longer trusted.
        CertificateUnusable,
        /// The caller may not make this call.
        RpcNotGranted,
        /// The caller may not ask for this lane.
        LaneNotGranted,
        /// The caller may not speak for this host.
        HostNotGranted,
    }
}
