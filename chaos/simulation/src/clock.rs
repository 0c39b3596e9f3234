//! Wall clocks that differ, drift and jump; the time below them is the simulation's.

use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_types::{Clock, UnixMillis};

/// When simulations begin: 2026-01-01.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// The simulation's time, told by the director before every step.
#[derive(Clone, Debug, Default)]
pub struct SimTime(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    now_ms: u64,
    /// How much more time has passed while nothing ran.
    slept_ms: u64,
    /// By how much all clocks are ahead.
    leapt_ms: u64,
    /// Whether time ever passed, or clocks ever leapt.
    moved: bool,
    /// When time passed while nothing ran for the first time.
    slept_first_at: Option<u64>,
    /// The most that clocks which are right otherwise have ever shown.
    shown_max_ms: u64,
}

impl Told {
    fn shown_ms(&self) -> u64 {
        EPOCH_MS + self.now_ms + self.slept_ms + self.leapt_ms
    }
}

impl SimTime {
    /// Milliseconds since the beginning.
    pub fn now_ms(&self) -> u64 {
        self.0.lock().now_ms
    }

    /// Moves it on.
    pub fn set_ms(&self, now: u64) {
        let mut told = self.0.lock();
        told.now_ms = now;
        told.shown_max_ms = told.shown_max_ms.max(told.shown_ms());
    }

    /// So much time passes while nothing runs: only calendars notice.
    pub fn sleep_ms(&self, ms: u64) {
        let mut told = self.0.lock();
        told.slept_ms += ms;
        told.moved = true;
        let now = told.now_ms;
        told.slept_first_at.get_or_insert(now);
    }

    /// When time passed for the first time while nothing ran, in milliseconds since the beginning.
    pub fn slept_first_at(&self) -> Option<u64> {
        self.0.lock().slept_first_at
    }

    /// All clocks are ahead by so much, from now on.
    pub fn leap_ms(&self, by: u64) {
        let mut told = self.0.lock();
        told.leapt_ms = by;
        told.moved |= by > 0;
    }

    /// Whether calendars ever showed more time than the simulation has taken.
    pub fn was_moved(&self) -> bool {
        self.0.lock().moved
    }

    /// What a clock that is right shows.
    pub fn calendar(&self) -> UnixMillis {
        let told = self.0.lock();
        UnixMillis(EPOCH_MS + told.now_ms + told.slept_ms)
    }

    /// The latest time that most clocks have agreed on: a log's time does not go back with them.
    pub fn shown_max(&self) -> UnixMillis {
        UnixMillis(self.0.lock().shown_max_ms)
    }
}

/// One machine's wall clock. It outlives crashes.
#[derive(Clone, Debug)]
pub struct SimClock {
    time: SimTime,
    error: Arc<Mutex<Error>>,
}

/// How a clock differs from the true time.
#[derive(Clone, Copy, Debug, Default)]
struct Error {
    /// Milliseconds that it was ahead at `since`.
    ahead_ms: i64,
    since: u64,
    /// Millionths by which it runs too fast.
    drift_ppm: i64,
}

impl Error {
    fn at(&self, now: u64) -> i64 {
        self.ahead_ms + (now.saturating_sub(self.since)) as i64 * self.drift_ppm / 1_000_000
    }
}

impl SimClock {
    /// A clock that is right.
    pub fn new(time: SimTime) -> SimClock {
        SimClock { time, error: Arc::default() }
    }

    /// Jumps.
    pub fn jump_ms(&self, by: i64) {
        self.error.lock().ahead_ms += by;
    }

    /// Runs too fast or too slow from now on.
    pub fn drift_ppm(&self, ppm: i64) {
        let now = self.time.now_ms();
        let mut error = self.error.lock();
        *error = Error { ahead_ms: error.at(now), since: now, drift_ppm: ppm };
    }

    /// Somebody sets it right.
    pub fn set_right(&self) {
        *self.error.lock() = Error::default();
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixMillis {
        let now = self.time.now_ms();
        let shown = self.time.0.lock().shown_ms();
        UnixMillis(shown.saturating_add_signed(self.error.lock().at(now)))
    }
}
