//! The only way wall-clock time enters the system.
//!
//! Holds: rules and apply code never read a clock; the time they need travels in commands.
//! Waits use the async runtime's own timer, which simulations replace as a whole.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Whole seconds since the epoch.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// This instant moved back by `ms` milliseconds, not below zero.
    pub fn minus_ms(self, ms: u64) -> UnixMillis {
        UnixMillis(self.0.saturating_sub(ms))
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Tells the wall-clock time. Injected wherever time is needed.
pub trait Clock: Send + Sync + 'static {
    /// Now, in milliseconds since the Unix epoch. May jump in either direction.
    fn now(&self) -> UnixMillis;

    /// Whether other clocks bear out what this one shows.
    fn agreement(&self) -> Agreement {
        Agreement::Alone
    }
}

/// What other clocks say to what a clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// There is no other to ask.
    Alone,
    /// There are others, but no majority of all is known to show about the same.
    Pending,
    /// A majority shows about the same.
    Reached,
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> UnixMillis {
        (**self).now()
    }

    fn agreement(&self) -> Agreement {
        (**self).agreement()
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> UnixMillis {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixMillis(since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: UnixMillis) -> ManualClock {
        ManualClock(Arc::new(AtomicU64::new(now.0)))
    }

    /// Moves the clock forward by `ms` milliseconds.
    pub fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: UnixMillis) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}
