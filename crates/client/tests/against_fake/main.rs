//! The client against an in-memory cluster with scripted faults: gRPC over in-memory connections,
//! tokio's paused clock, no sockets.

mod calling;
mod consuming;
mod fake;
mod producing;
mod reading;
mod tailing;
