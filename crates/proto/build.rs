//! Compiles the top-level `proto/` folder with protox, so that no `protoc` has to be installed.

use std::path::PathBuf;

use prost::Message;

const FILES: [&str; 4] =
    ["thalweg/v1/stream.proto", "thalweg/v1/record.proto", "thalweg/v1/cluster.proto", "thalweg/peer/v1/peer.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
