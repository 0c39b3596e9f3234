//! An Ethernet switch in user space: it reads frames from TAP devices and writes them to others.
//!
//! It has a thread of its own, so that a busy test delays no frame more than it must.
//!
//! Holds: a frame leaves only by the port whose address it names, or by all others if it names
//! everybody, and only as [`Link`] says.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tun::{Tun, TunBuilder};

use super::Link;

/// A place on the switch, and the last byte of the address there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Port(pub(crate) u8);

/// Longest frame: MTU and header.
const FRAME_BYTES_MAX: usize = 9_100;

/// The switch. Clones share it; it works until the process ends.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    shared: Arc<Shared>,
    handle: Handle,
    late: mpsc::UnboundedSender<Late>,
}

struct Shared {
    state: Mutex<State>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Switch").field("ports", &self.state.lock().ports.len()).finish_non_exhaustive()
    }
}

struct State {
    ports: HashMap<Port, Arc<Tun>>,
    links: HashMap<(Port, Port), Link>,
    free_at: HashMap<(Port, Port), Instant>,
    random: StdRng,
    /// Frames that a rule dropped, doubled or held back.
    touched: u64,
}

/// A frame that arrives later.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Late {
    at: Instant,
    to: Port,
    frame: Vec<u8>,
}

impl Switch {
    /// A switch without ports.
    pub(super) fn start(seed: u64) -> anyhow::Result<Switch> {
        let random = StdRng::seed_from_u64(seed);
        let (ports, links, free_at) = (HashMap::new(), HashMap::new(), HashMap::new());
        let state = State { ports, links, free_at, random, touched: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, (late, queue)) = (runtime.handle().clone(), mpsc::unbounded_channel());
        let delivering = deliver_late(shared.clone(), queue);
        std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || runtime.block_on(delivering))
            .context("cannot start the switch's thread")?;
        Ok(Switch { shared, handle, late })
    }

    /// Makes a TAP device and serves it.
    pub(super) async fn add_port(&self, port: Port, name: String) -> anyhow::Result<()> {
        let switch = self.clone();
        let added = self.handle.spawn(async move {
            let mut made = TunBuilder::new().name(&name).tap().build().context("cannot make a TAP device")?;
            let tap = Arc::new(made.pop().context("a builder makes one device")?);
            switch.shared.state.lock().ports.insert(port, tap.clone());
            tokio::spawn(switch.clone().serve(port, tap));
            anyhow::Ok(())
        });
        added.await?
    }

    /// Changes both directions between two ports.
    pub(crate) fn set_both(&self, a: Port, b: Port, link: Link) {
        self.set(a, b, link);
        self.set(b, a, link);
    }

    /// Changes one direction.
    pub(crate) fn set(&self, from: Port, to: Port, link: Link) {
        self.shared.state.lock().links.insert((from, to), link);
    }

    /// All links pass everything again.
    pub(crate) fn heal(&self) {
        let mut state = self.shared.state.lock();
        state.links.clear();
        state.free_at.clear();
    }

    /// Frames that a rule has dropped, doubled or held back so far.
    pub(crate) fn touched(&self) -> u64 {
        self.shared.state.lock().touched
    }

    async fn serve(self, port: Port, tap: Arc<Tun>) {
        let mut frame = vec![0; FRAME_BYTES_MAX];
        // It fails while the device is not up yet.
        loop {
            match tap.recv(&mut frame).await {
                Ok(length) => self.forward(port, &frame[..length]),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    }

    fn forward(&self, from: Port, frame: &[u8]) {
        let Some(destination) = frame.get(..6) else { return };
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let targets: Vec<Port> = match destination[0] & 1 {
            0 => vec![Port(destination[5])],
            _ => state.ports.keys().copied().filter(|port| *port != from).collect(),
        };
        for to in targets {
            for at in state.arrivals(from, to, frame.len(), now) {
                if at <= now {
                    state.deliver(to, frame);
                } else {
                    // The other end lives as long as the thread.
                    let _ = self.late.send(Late { at, to, frame: frame.to_vec() });
                }
            }
        }
    }
}

impl State {
    fn arrivals(&mut self, from: Port, to: Port, bytes: usize, now: Instant) -> Vec<Instant> {
        let Some(link) = self.links.get(&(from, to)) else { return vec![now] };
        let free_at = self.free_at.entry((from, to)).or_insert(now);
        let arrivals = link.arrivals(bytes, now, free_at, &mut self.random);
        if arrivals != [now] {
            self.touched += 1;
        }
        arrivals
    }

    fn deliver(&self, to: Port, frame: &[u8]) {
        // A device that is down or full loses the frame, as a real one does.
        if let Some(tap) = self.ports.get(&to) {
            let _ = tap.try_send(frame);
        }
    }
}

async fn deliver_late(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Late>) {
    let mut waiting: BinaryHeap<Reverse<Late>> = BinaryHeap::new();
    loop {
        let next = waiting.peek().map(|first| first.0.at);
        tokio::select! {
            late = queue.recv() => match late {
                Some(late) => waiting.push(Reverse(late)),
                None => return,
            },
            () = sleep_until(next) => {
                let now = Instant::now();
                let state = shared.state.lock();
                while waiting.peek().is_some_and(|first| first.0.at <= now) {
                    let Some(Reverse(late)) = waiting.pop() else { break };
                    state.deliver(late.to, &late.frame);
                }
            }
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The hardware address of a port: administered locally, the port last.
pub(super) fn mac(port: Port) -> [u8; 6] {
    [0x02, 0x74, 0x68, 0x77, 0, port.0]
}
