//! The crate table and the fences, as data.
//!
//! This is the table of ARCHITECTURE.md in the form that a test can hold. A change here is a
//! change of the architecture: make it in both places, and say why in the commit.

/// One crate and the workspace crates it may name.
pub(crate) struct Row {
    /// The folder under `crates/`; the package is `thalweg-NAME`, the binary's is `thalweg`.
    pub(crate) name: &'static str,
    /// Dependencies never climb: a crate uses its own floor or lower ones.
    pub(crate) floor: Floor,
    /// What its shipped code may use. Its tests may also use everything on lower floors.
    pub(crate) uses: &'static [&'static str],
}

/// How high a crate sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Floor {
    /// Part of the binary.
    Shipped(u8),
    /// For `tests/` and `chaos/` only; nothing shipped may name it.
    Test,
}

/// Every crate under `crates/`, existing or to come.
pub(crate) const TABLE: &[Row] = &[
    Row { name: "types", floor: Floor::Shipped(0), uses: &[] },
    Row { name: "proto", floor: Floor::Shipped(1), uses: &["types"] },
    Row { name: "catalog", floor: Floor::Shipped(1), uses: &["types"] },
    Row { name: "kinesis", floor: Floor::Shipped(1), uses: &["types"] },
    Row { name: "wal", floor: Floor::Shipped(1), uses: &["types"] },
    Row { name: "storage", floor: Floor::Shipped(1), uses: &["types", "wal"] },
    Row { name: "raft", floor: Floor::Shipped(2), uses: &["types", "proto", "storage"] },
    Row { name: "client", floor: Floor::Shipped(2), uses: &["types", "proto", "catalog"] },
    Row { name: "shard", floor: Floor::Shipped(3), uses: &["types", "proto", "storage", "raft"] },
    Row { name: "controller", floor: Floor::Shipped(3), uses: &["types", "proto", "catalog", "raft", "client"] },
    Row { name: "gateway", floor: Floor::Shipped(3), uses: &["types", "catalog", "kinesis", "client"] },
    Row { name: "server", floor: Floor::Shipped(4), uses: SERVER_BUILDS },
    Row { name: "thalweg", floor: Floor::Shipped(5), uses: &["types", "kinesis", "client", "server"] },
    Row { name: "test-cluster", floor: Floor::Test, uses: &["types", "proto", "catalog", "client", "server"] },
];

/// The node builds every part, so it may name every part.
const SERVER_BUILDS: &[&str] =
    &["types", "proto", "catalog", "wal", "storage", "raft", "client", "shard", "controller", "gateway"];

/// Libraries that only some crates may name.
pub(crate) struct Fence {
    /// What the fence is about, for the message.
    pub(crate) what: &'static str,
    /// Package names; a trailing `*` stands for any ending.
    pub(crate) packages: &'static [&'static str],
    /// Crates that may name them.
    pub(crate) only: &'static [&'static str],
    /// Whether it binds tests as well.
    pub(crate) tests_too: bool,
}

/// The fences.
pub(crate) const FENCES: &[Fence] = &[
    Fence { what: "RocksDB", packages: &["rocksdb", "librocksdb-sys"], only: &["storage"], tests_too: true },
    Fence { what: "openraft", packages: &["openraft", "openraft-*"], only: &["raft"], tests_too: true },
    Fence {
        what: "protobuf and its code generation",
        packages: &["prost", "prost-*", "protox", "tonic-prost", "tonic-prost-build", "tonic-types"],
        only: &["proto"],
        tests_too: true,
    },
    Fence {
        what: "HTTP",
        packages: &["axum", "axum-*", "hyper", "hyper-*", "tower-http"],
        only: &["gateway", "server", "thalweg"],
        tests_too: false,
    },
    Fence {
        what: "gRPC",
        packages: &["tonic", "tonic-build", "tonic-health", "tonic-reflection"],
        only: &["proto", "raft", "client", "shard", "controller", "server", "thalweg", "test-cluster"],
        tests_too: false,
    },
    Fence {
        what: "the async runtime",
        packages: &["tokio", "tokio-*"],
        only: &["storage", "raft", "client", "shard", "controller", "gateway", "server", "thalweg", "test-cluster"],
        tests_too: false,
    },
    Fence {
        what: "the command line",
        packages: &["clap", "clap_*", "comfy-table", "indicatif"],
        only: &["thalweg"],
        tests_too: false,
    },
    Fence {
        what: "configuration files",
        packages: &["figment", "toml"],
        only: &["server", "thalweg"],
        tests_too: false,
    },
    Fence { what: "untyped errors", packages: &["anyhow"], only: &["thalweg", "test-cluster"], tests_too: false },
    Fence {
        what: "randomness",
        packages: &["rand", "rand_*", "getrandom"],
        only: &[
            "wal",
            "storage",
            "raft",
            "client",
            "shard",
            "controller",
            "gateway",
            "server",
            "thalweg",
            "test-cluster",
        ],
        tests_too: false,
    },
];
