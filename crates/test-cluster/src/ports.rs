//! Ports that nothing else will take while a node is down.
//!
//! They lie below the range from which the system gives ports to outgoing connections: a killed
//! node's port would otherwise be taken by somebody's connection before the node is back.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 10_000;
const COUNT: u16 = 22_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that is free now and was not given out before by this process.
pub(crate) fn free_port() -> u16 {
    // Processes that run side by side begin at different places.
    let beginning = (std::process::id() as u16).wrapping_mul(97) % COUNT;
    for _ in 0..COUNT {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (beginning + turn) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {FIRST}..{} is free", FIRST + COUNT);
}
