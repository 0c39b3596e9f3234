//! Defects that can be switched on, to see whether the tests would notice.
//!
//! A harness that has never failed proves little. Each name here is a mistake that somebody could
//! make, built into the place where it would be made, and each must be caught by a test, a
//! simulation or a chaos run: `make planted` shows by which, and how fast.
//!
//! Holds: without `--cfg thalweg_planted` [`planted`] is the constant `false`, so that nothing of
//! this is in a build that anyone runs. With it, the environment variable `THALWEG_PLANT` names
//! the defect of the process, or `plant` chooses it before anything starts.

/// Defines the defects, so that none can be missing from [`Planted::ALL`].
macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A defect. The name says what goes wrong; its place in the code, where.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Planted {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Planted {
            /// All of them.
            pub const ALL: &'static [Planted] = &[$(Planted::$name,)+];

            /// What goes wrong, in one sentence.
            pub fn what(self) -> &'static str {
                match self {
                    $(Planted::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

defects! {
    // The write-ahead log.
    /// A sync returns without having been made.
    SyncSkipped,
    /// The log goes on after a sync has failed.
    SyncErrorForgotten,
    /// A new segment's name is not made durable.
    DirectoryNotSynced,
    /// Damage below what was acknowledged passes for a torn end.
    DamageTakenForTorn,
    /// Damage that an earlier start reported is forgotten by the next.
    DamageReportedOnce,
    /// Records of the log are believed without their checksums.
    LogChecksumIgnored,
    /// The fence file is not written while the log runs.
    FenceFileNotWritten,

    // A node's storage.
    /// Appends are answered before they are synced.
    AnsweredBeforeSync,
    /// Votes are answered before they are synced.
    VoteNotSynced,
    /// A truncation is forgotten by a restart.
    TruncationNotReplayed,
    /// Segments are recycled before what is in them has moved on.
    SegmentRecycledEarly,
    /// Entries move to the record store before they are committed.
    UncommittedMoved,
    /// Values of the record store are believed without their checksums.
    StoreChecksumIgnored,
    /// A store iterator that failed passes for one that ended.
    IteratorStatusIgnored,
    /// After damage no group is fenced.
    GroupsNotFenced,

    // Raft.
    /// A replica that lost entries votes, campaigns and leads like any other.
    FenceIgnored,
    /// The fence is lowered by the first commit that is heard of and held.
    FenceLoweredEarly,
    /// A leader vouches for what is newest without asking a majority.
    FreshReadUnconfirmed,
    /// A leader serves before it has applied the first entry of its term.
    LeadsBeforeItsTerm,
    /// A vote from before a restart passes for a living leader.
    OldVoteNamesLeader,
    /// Readers see entries that are not committed.
    UncommittedRead,
    /// A node votes before it has the log.
    VoterWithoutTheLog,
    /// A snapshot stands for everything applied, not only for what was trimmed.
    SnapshotSkipsTheLog,
    /// A follower claims to know the newest entry.
    FollowerClaimsNewest,
    /// A wall clock that leaps is believed.
    ClockLeapBelieved,

    // A shard.
    /// Producer windows are in no checkpoint.
    WindowsNotSaved,
    /// A seal empties the producer windows.
    WindowsDroppedAtSeal,
    /// A replica calls the shard closed because the catalog does, whatever it has applied.
    ClosedByTheImage,
    /// A leader calls the shard closed while the seal may yet be lost.
    ClosedBeforeTheSeal,
    /// A leader changes who votes by whatever its catalog says, however old that is.
    OldPlacementFollowed,
    /// Appends behind the seal count.
    SealIgnored,
    /// A retry does not find the attempt that is on its way.
    InFlightForgotten,
    /// What a leader let through counts, duplicate or not.
    DuplicateCounts,
    /// Entries that do not count are shown to readers.
    VoidsShown,
    /// The arrival time is the clock's, also when that goes back.
    ArrivalMayFall,
    /// Everything is past retention at once.
    TrimmedBeforeRetention,
    /// A trim may move the trim point back.
    TrimMovesBack,
    /// A tail leaves out a batch.
    TailSkips,
    /// A tail sends a page again.
    TailResends,
    /// Every reader is told that it is at the tip.
    BehindIsZero,
    /// A reader is told of the end of a shard before it has read it.
    EndBeforeTheEnd,
    /// A batch outside the shard's range is taken.
    RangeNotChecked,

    // The catalog and the controller.
    /// Children open without waiting for where their parents end.
    PublishBeforeSeal,
    /// Children are open from the plan on.
    ChildrenOpenEarly,
    /// Children may be created at the time of their parents.
    ChildrenNotYounger,
    /// The lower child of a split keeps the whole range.
    SplitOverlaps,
    /// A shard that is being resharded may be resharded.
    BusyParentTaken,
    /// A node id is given to another disk.
    NodeIdReused,
    /// An empty replica may found its group again.
    GroupFoundedTwice,
    /// A replica is removed before the new voters are in place.
    RemovedBeforeSettled,
    /// Closed shards are forgotten before their records expire.
    ShardsForgottenEarly,
    /// A node is given up at its first absence.
    DeadAtOnce,

    // The client.
    /// A retry carries no tag.
    RetryWithoutTag,
    /// A batch in doubt moves to the children.
    MovedInDoubt,
    /// An attempt without an answer counts as not applied.
    UnknownIsFailure,
    /// A producer's first batches do not wait for the very first.
    FirstBatchNotAlone,
    /// A consumer begins children before it has finished their parents.
    ChildReadEarly,
}

impl std::str::FromStr for Planted {
    type Err = String;

    fn from_str(name: &str) -> Result<Planted, String> {
        let found = Planted::ALL.iter().find(|defect| format!("{defect:?}") == name);
        found.copied().ok_or_else(|| format!("no defect is called `{name}`"))
    }
}

/// Whether this build can have defects at all.
pub const CAN_PLANT: bool = cfg!(thalweg_planted);

/// Whether the defect is switched on.
#[cfg(not(thalweg_planted))]
#[inline(always)]
pub const fn planted(_: Planted) -> bool {
    false
}

#[cfg(thalweg_planted)]
static CHOSEN: std::sync::OnceLock<Option<Planted>> = std::sync::OnceLock::new();

/// Whether the defect is switched on.
#[cfg(thalweg_planted)]
pub fn planted(defect: Planted) -> bool {
    let named = || std::env::var("THALWEG_PLANT").ok().filter(|name| !name.is_empty());
    let chosen = CHOSEN.get_or_init(|| named().map(|name| name.parse().unwrap_or_else(|why: String| panic!("{why}"))));
    *chosen == Some(defect)
}

/// Switches a defect on for the rest of the process. False if another was chosen, or if something
/// has already asked.
#[cfg(thalweg_planted)]
pub fn plant(defect: Planted) -> bool {
    CHOSEN.set(Some(defect)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_is_found_by_its_name_and_says_what_it_does() {
        for defect in Planted::ALL {
            assert_eq!(format!("{defect:?}").parse(), Ok(*defect));
            assert!(defect.what().ends_with('.'), "{defect:?}: {}", defect.what());
        }
        assert!("NoSuchDefect".parse::<Planted>().is_err());
    }

    #[cfg(not(thalweg_planted))]
    #[test]
    fn an_ordinary_build_has_no_defect_and_knows_so_when_it_is_compiled() {
        const { assert!(!CAN_PLANT && !planted(Planted::SyncSkipped)) };
        assert!(Planted::ALL.iter().all(|defect| !planted(*defect)));
    }
}
