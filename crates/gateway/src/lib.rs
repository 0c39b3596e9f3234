//! The Kinesis-compatible HTTP front of a node: dispatch, authentication, limits, one handler an action.
