//! The node that the system tests start: `thalweg server` without the rest of the command line.

fn main() -> anyhow::Result<()> {
    thalweg_test_cluster::run_node()
}
