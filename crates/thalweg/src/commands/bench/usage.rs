//! What servers on this machine use: processor time, bytes written to disk, memory; from `/proc`.
//!
//! Holds: a server that is elsewhere, or may not be looked at, is left out and never guessed.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use thalweg_client::ClusterDescription;

use super::device::Device;

/// The server processes on this machine.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    pids: BTreeSet<u32>,
    device: Option<Device>,
}

/// What the servers have used so far, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    /// As the kernel accounts them to the processes: see [`super::device`].
    pub(super) disk_write_bytes: u64,
    /// Written to the device by anyone.
    pub(super) device_write_bytes: Option<u64>,
    pub(super) resident_bytes: u64,
}

impl Servers {
    /// The processes named, or those that listen on the cluster's local addresses.
    /// Their data is taken to lie on the device under `dir`.
    pub(super) fn find(cluster: &ClusterDescription, named: &[u32], dir: &Path) -> Servers {
        let device = Device::of(dir);
        if !named.is_empty() {
            return Servers { pids: named.iter().copied().collect(), device };
        }
        let ports =
            cluster.nodes.iter().filter(|node| node.connected).filter_map(|node| local_port(&node.public_address));
        let inodes: BTreeSet<u64> = ports.flat_map(listening_inodes).collect();
        Servers { pids: owners(&inodes), device }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.pids.len()
    }

    /// What they have used; nothing when there is none to look at.
    pub(super) fn usage(&self) -> Option<Usage> {
        let each: Vec<_> = self.pids.iter().filter_map(|pid| usage_of(*pid)).collect();
        let mut sum =
            Usage { device_write_bytes: self.device.as_ref().and_then(Device::written_bytes), ..Usage::default() };
        for usage in &each {
            sum.cpu_seconds += usage.cpu_seconds;
            sum.disk_write_bytes += usage.disk_write_bytes;
            sum.resident_bytes += usage.resident_bytes;
        }
        (!each.is_empty() && each.len() == self.pids.len()).then_some(sum)
    }
}

impl Usage {
    /// What was used since `before`; memory as it is now.
    pub(super) fn since(self, before: Usage) -> Usage {
        Usage {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            disk_write_bytes: self.disk_write_bytes.saturating_sub(before.disk_write_bytes),
            device_write_bytes: self.device_write_bytes.zip(before.device_write_bytes).map(|(now, then)| now - then),
            resident_bytes: self.resident_bytes,
        }
    }

    /// What was used in both; memory as it was in the later one.
    pub(super) fn plus(self, later: Usage) -> Usage {
        let device = self.device_write_bytes.zip(later.device_write_bytes);
        Usage {
            cpu_seconds: self.cpu_seconds + later.cpu_seconds,
            disk_write_bytes: self.disk_write_bytes + later.disk_write_bytes,
            device_write_bytes: device.map(|(this, that)| this + that),
            resident_bytes: later.resident_bytes,
        }
    }
}

/// The port of an address on this machine's loopback.
fn local_port(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    let loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
    // Another of this machine's addresses can be bound, one of another machine cannot.
    let ours = loopback || {
        let probe = address.parse::<SocketAddr>().map(|address| SocketAddr::new(address.ip(), 0));
        probe.is_ok_and(|probe| std::net::TcpListener::bind(probe).is_ok())
    };
    if ours { port.parse().ok() } else { None }
}

/// Inodes of the sockets that listen on a port.
fn listening_inodes(port: u16) -> Vec<u64> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| listening_inode(line, port)).collect()
}

fn listening_inode(line: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    let listens = *fields.get(3)? == LISTEN && u16::from_str_radix(local_port, 16) == Ok(port);
    if listens { fields.get(9)?.parse().ok() } else { None }
}

/// Processes that hold one of the sockets.
fn owners(inodes: &BTreeSet<u64>) -> BTreeSet<u32> {
    let wanted: BTreeSet<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| holds_any(*pid, &wanted)).collect()
}

fn holds_any(pid: u32, wanted: &BTreeSet<String>) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let mut links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    links.any(|link| link.to_str().is_some_and(|link| wanted.contains(link)))
}

fn usage_of(pid: u32) -> Option<Usage> {
    let dir = format!("/proc/{pid}");
    let read = |name: &str| fs::read_to_string(Path::new(&dir).join(name)).ok();
    let ticks = cpu_ticks(&read("stat")?)?;
    Some(Usage {
        cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        disk_write_bytes: value_of(&read("io")?, "write_bytes:")?,
        device_write_bytes: None,
        resident_bytes: value_of(&read("status")?, "VmRSS:")? * 1024,
    })
}

/// User and system time of a `stat` line; the name in it may hold blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(user + system)
}

fn value_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_port_leads_to_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inodes = listening_inodes(listener.local_addr().unwrap().port()).into_iter().collect();
        assert!(owners(&inodes).contains(&std::process::id()));
    }

    #[test]
    fn processor_time_is_read_behind_a_name_with_parentheses() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 300 20 0 0 20 0 1 0 9 9 9";
        assert_eq!(cpu_ticks(stat), Some(320));
        assert!(usage_of(std::process::id()).unwrap().resident_bytes > 0);
    }

    #[test]
    fn only_addresses_of_this_machine_count_as_local() {
        assert_eq!(local_port("127.0.0.1:4567"), Some(4567));
        assert_eq!(local_port("192.0.2.1:4567"), None);
    }
}
