//! The Kinesis contract as pure code: what requests may say, and what answers look like.
//!
//! ```text
//!   body ──► codec ──► Struct ──► validate ──►  (gateway)  ──► Struct ──► codec ──► body
//!               ▲                    ▲                            or ApiError ──►
//!               └──── model: operations and shapes as data ────┘
//!   beside them: sign (SigV4), token (iterators and pages), arn (names), event (push frames)
//! ```
//! Holds: no input makes anything here panic or take memory out of proportion to its size; a
//! request that is wrong in several ways gets the error that the service itself would give first;
//! nothing reads a clock or draws random numbers.

pub mod arn;
pub mod codec;
pub mod error;
pub mod event;
pub mod model;
pub mod sign;
pub mod texts;
pub mod token;
pub mod validate;
pub mod value;

pub use codec::{Format, decode, encode};
pub use error::{ApiError, ErrorKind};
pub use model::Operation;
pub use validate::validate;
pub use value::{Struct, Value};
