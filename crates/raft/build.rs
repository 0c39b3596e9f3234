//! Generates the client and server of the peer transport: one bidirectional stream of raw frames.

fn main() {
    let exchange = tonic_build::manual::Method::builder()
        .name("exchange")
        .route_name("Exchange")
        .input_type("crate::transport::Frame")
        .output_type("crate::transport::Frame")
        .codec_path("crate::transport::FrameCodec")
        .client_streaming()
        .server_streaming()
        .build();
    let service = tonic_build::manual::Service::builder()
        .name("RaftTransport")
        .package("thalweg.raft.v1")
        .method(exchange)
        .build();
    tonic_build::manual::Builder::new().compile(&[service]);
}
