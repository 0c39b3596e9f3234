//! What happened, line by line: equal for equal seeds, byte for byte.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use parking_lot::Mutex;

use crate::clock::SimTime;

/// Collects lines; keeps their hash in any case and the lines if there is a file for them.
pub struct Trace {
    time: SimTime,
    inner: Mutex<Inner>,
}

struct Inner {
    hash: u64,
    lines: u64,
    file: Option<BufWriter<File>>,
    text: String,
}

impl Trace {
    /// A trace into `file`, if there is one.
    pub fn new(time: SimTime, file: Option<File>) -> Trace {
        let inner =
            Inner { hash: 0xcbf2_9ce4_8422_2325, lines: 0, file: file.map(BufWriter::new), text: String::new() };
        Trace { time, inner: Mutex::new(inner) }
    }

    /// Adds a line.
    pub fn line(&self, what: std::fmt::Arguments<'_>) {
        let inner = &mut *self.inner.lock();
        inner.text.clear();
        writeln!(inner.text, "{:>8} {what}", self.time.now_ms()).expect("a string takes what it is given");
        inner.lines += 1;
        for byte in inner.text.bytes() {
            inner.hash = (inner.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(file) = &mut inner.file {
            // A trace that cannot be written is no reason to stop: its hash is reported all the same.
            let _ = file.write_all(inner.text.as_bytes());
        }
    }

    /// The hash of all lines, and how many there are. What is in memory goes to the file.
    pub fn finish(&self) -> (u64, u64) {
        let inner = &mut *self.inner.lock();
        if let Some(file) = &mut inner.file {
            let _ = file.flush();
        }
        (inner.hash, inner.lines)
    }
}
