//! What can be done to a running cluster: the catalogue, and who does it.
//!
//! A fault begins, lasts, is healed, and says to whom it happened. Codes are those of the
//! project's list of 56 kinds (chaos/process/README.md).
//!
//! Holds: a fault that returns has been healed, also when it returns an error. One that cannot
//! happen now, because another has hold of what it needs, returns [`Happening::NotNow`] and has
//! done nothing.

mod arena;
mod clients;
mod clocks;
mod network;
mod operations;
mod process;
mod storage;

pub(crate) use arena::{Arena, Happening};

use std::time::Duration;

use rand::rngs::StdRng;

/// Declares the kinds once: variant, name in scenarios, codes.
macro_rules! kinds {
    ($($variant:ident $name:literal [$($code:literal)*] $about:literal;)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Kind { $(#[doc = $about] $variant,)* }

        impl Kind {
            /// All kinds.
            pub(crate) const ALL: &[Kind] = &[$(Kind::$variant),*];

            /// Its name in scenarios.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// Its codes in the project's list.
            pub(crate) fn codes(self) -> &'static [&'static str] {
                match self { $(Kind::$variant => &[$($code),*],)* }
            }

            /// What it does.
            pub(crate) fn about(self) -> &'static str {
                match self { $(Kind::$variant => $about,)* }
            }
        }
    };
}

kinds! {
    Kill "kill" ["F01"] "kill -9 of any node";
    KillLeader "kill-leader" ["F01"] "kill -9 of a node that leads shards";
    KillController "kill-controller" ["F01"] "kill -9 of the controller's leader";
    KillAll "kill-all" ["F10"] "kill -9 of all nodes at once";
    Stop "stop" ["F02"] "a node ends in order and comes back";
    PauseShort "pause-short" ["F03"] "SIGSTOP for less than an election takes";
    PauseLeader "pause-leader" ["F04"] "SIGSTOP of a leader for longer than an election takes";
    StarveCpu "starve-cpu" ["F06"] "a node gets a few milliseconds of CPU now and then";
    CrashLoop "crash-loop" ["F07"] "a node dies again and again soon after its start";
    KillInRecovery "kill-in-recovery" ["F08"] "a node dies while it reads its log back";
    RollingRestart "rolling-restart" ["F02"] "all nodes one after another end in order and come back";
    Partition "partition" ["F11"] "two groups of nodes do not reach each other";
    OneWay "one-way" ["F12"] "a node sends but does not receive, or the reverse";
    IsolateLeader "isolate-leader" ["F13"] "a node that leads shards reaches no other, clients still reach it";
    IsolateController "isolate-controller" ["F14"] "the same for the controller's leader";
    Bridge "bridge" ["F15"] "two groups that only one node reaches both of";
    Loss "loss" ["F16"] "1 to 30 % of frames are lost";
    Delay "delay" ["F17"] "every frame takes 5 to 150 ms longer";
    Jitter "jitter" ["F18"] "frames overtake each other";
    Duplicate "duplicate" ["F19"] "a tenth of the frames comes twice";
    RateLimit "rate-limit" ["F20"] "a node has 50 to 500 KB/s";
    Reset "reset" ["F21"] "all connections of a node are reset, again and again";
    HalfOpen "half-open" ["F22"] "connections of a node stay open and carry nothing, for clients too";
    ClientPartition "client-partition" ["F23"] "clients do not reach some nodes, which reach each other";
    PowerCut "power-cut" ["F25"] "a node loses its power: what it had not synced is gone";
    PowerCutAll "power-cut-all" ["F26"] "all nodes lose their power at once";
    SyncError "sync-error" ["F27"] "a node's fdatasync fails once";
    WriteError "write-error" ["F28"] "a node's writes to its log fail";
    DiskFull "disk-full" ["F30"] "a node's disk is full";
    WalFlip "wal-flip" ["F32"] "one bit in the log of a dead node flips";
    WalCut "wal-cut" ["F34"] "the log of a dead node ends early";
    WalDelete "wal-delete" ["F35"] "a file of a dead node's log is gone";
    StoreFlip "store-flip" ["F31"] "one bit in a record file of a dead node flips";
    SlowDisk "slow-disk" ["F37"] "a node's disk does 20 writes a second";
    StalledDisk "stalled-disk" ["F38"] "nothing is written or synced for a while";
    ReadOnly "read-only" ["F39"] "a node's file system turns read-only";
    Wipe "wipe" ["F40" "F48"] "a node loses its disk, is refused, and a new one takes its place";
    ClockForward "clock-forward" ["F41"] "a node's clock jumps ahead by up to ten hours";
    ClockBack "clock-back" ["F42"] "a node's clock jumps back by up to ten hours";
    ClockYears "clock-years" ["F41" "F42"] "a node's clock jumps by ten years";
    RestartInWrongYear "restart-in-wrong-year" ["F41" "F42"] "a node starts while its clock is wrong by ten years";
    ClockDrift "clock-drift" ["F43"] "a node's clock runs at half or twice its speed";
    ClockFreeze "clock-freeze" ["F44"] "a node's clock stands still";
    ClockSkew "clock-skew" ["F45"] "every node has a time of its own";
    Split "split" ["F46"] "a shard is split";
    Merge "merge" ["F47"] "two neighbours are merged";
    Scale "scale" ["F46" "F47"] "the number of shards is changed";
    Transfer "transfer" ["F49"] "shards change their leaders";
    Drain "drain" ["F49"] "a node is drained and taken back";
    AddNode "add-node" ["F48"] "a node joins, and leaves again";
    Retention "retention" ["F50"] "the retention is raised and lowered";
    Malformed "malformed" ["F55"] "clients send nonsense, too much, or too slowly";
    Overload "overload" ["F56"] "a client writes to one key as much as it can";
}

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Processes.
    Process,
    /// The network.
    Network,
    /// Disks.
    Storage,
    /// Wall clocks.
    Clock,
    /// Nothing: it is what operators do.
    Operation,
    /// Nothing: it is what clients do.
    Client,
}

impl Group {
    /// All groups.
    pub(crate) const ALL: [Group; 6] =
        [Group::Process, Group::Network, Group::Storage, Group::Clock, Group::Operation, Group::Client];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Group::Process => "process",
            Group::Network => "network",
            Group::Storage => "storage",
            Group::Clock => "clock",
            Group::Operation => "operation",
            Group::Client => "client",
        }
    }
}

impl Kind {
    /// What it strikes.
    pub(crate) fn group(self) -> Group {
        match self {
            kind if kind <= Kind::RollingRestart => Group::Process,
            kind if kind <= Kind::ClientPartition => Group::Network,
            kind if kind <= Kind::Wipe => Group::Storage,
            kind if kind <= Kind::ClockSkew => Group::Clock,
            kind if kind <= Kind::Retention => Group::Operation,
            _ => Group::Client,
        }
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether nodes have to be started with clocks that can be set.
    pub(crate) fn needs_clocks(self) -> bool {
        self.group() == Group::Clock
    }
}

/// Makes a fault happen, for so long, and heals it.
pub(crate) async fn happen(
    kind: Kind,
    arena: &Arena,
    lasts: Duration,
    random: &mut StdRng,
) -> anyhow::Result<Happening> {
    match kind.group() {
        Group::Process => process::happen(kind, arena, lasts, random).await,
        Group::Network => network::happen(kind, arena, lasts, random).await,
        Group::Storage => storage::happen(kind, arena, lasts, random).await,
        Group::Clock => clocks::happen(kind, arena, lasts, random).await,
        Group::Operation => operations::happen(kind, arena, lasts, random).await,
        Group::Client => clients::happen(kind, arena, lasts, random).await,
    }
}
