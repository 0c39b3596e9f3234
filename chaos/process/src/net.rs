//! A network of namespaces: one for each node, all on one switch.
//!
//! ```text
//!   namespace of node 1        this process                     its own namespace
//!   eth0 10.77.0.1 ══ TAP ══►  switch ── link rules ──►  TAP ══ eth-clients 10.77.0.250
//!   namespace of node 2          │ ▲
//!   eth0 10.77.0.2 ══ TAP ═══════╛ ╘══ cut, loss, delay, jitter, duplicates, rate: each direction
//! ```
//! Every frame between nodes, and between clients and nodes, passes [`switch`]. What a link does to
//! frames is a value, changed at once and for one direction at a time.
//!
//! Holds: namespaces are made inside the sandbox's own, so they end with it ([`crate::sandbox`]).

mod link;
mod switch;

use std::net::Ipv4Addr;

pub(crate) use link::Link;
pub(crate) use switch::{Port, Switch};

use crate::tools::{run, run_aside};

/// The port on which all clients are.
pub(crate) const CLIENTS: Port = Port(250);

/// What joins the namespaces.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    switch: Switch,
}

impl Network {
    /// The network with the clients' side of it and no node.
    pub(crate) async fn start(seed: u64) -> anyhow::Result<Network> {
        let switch = Switch::start(seed)?;
        run("ip link set lo up")?;
        let name = tap_name(CLIENTS);
        switch.add_port(CLIENTS, name.clone()).await?;
        configure("ip", &name, CLIENTS)?;
        Ok(Network { switch })
    }

    /// Adds a namespace for a node.
    pub(crate) async fn add_node(&self, port: Port) -> anyhow::Result<()> {
        let (tap, namespace) = (tap_name(port), namespace(port));
        self.switch.add_port(port, tap.clone()).await?;
        run_aside(format!("ip netns add {namespace}")).await?;
        run(&format!("ip link set {tap} netns {namespace}"))?;
        run(&format!("ip -n {namespace} link set lo up"))?;
        run(&format!("ip -n {namespace} link set {tap} name eth0"))?;
        configure(&format!("ip -n {namespace}"), "eth0", port)
    }

    /// The rules of all links.
    pub(crate) fn switch(&self) -> &Switch {
        &self.switch
    }

    /// Breaks every TCP connection between a node and one other address, both sides told.
    pub(crate) async fn reset(&self, node: Port, other: Port) -> anyhow::Result<()> {
        let (ns, to) = (namespace(node), address(other));
        run_aside(format!("ip netns exec {ns} ss -K dst {to}")).await.map(drop)
    }
}

/// The address of whoever is on a port.
pub(crate) fn address(port: Port) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, port.0)
}

/// The name of the namespace on a port.
pub(crate) fn namespace(port: Port) -> String {
    format!("thalweg-{}", port.0)
}

fn tap_name(port: Port) -> String {
    format!("tw{}", port.0)
}

fn configure(ip: &str, device: &str, port: Port) -> anyhow::Result<()> {
    let mac = switch::mac(port).map(|byte| format!("{byte:02x}")).join(":");
    run(&format!("{ip} link set {device} address {mac} mtu 9000"))?;
    run(&format!("{ip} addr add {}/24 dev {device}", address(port)))?;
    run(&format!("{ip} link set {device} up")).map(drop)
}
