//! One message between nodes, as the pieces it is made of.
//!
//! A body of many kilobytes is never copied into a whole: it leaves as the piece it is, and what
//! arrives is handed on as the pieces the connection delivered.
//!
//! Holds: a small piece that is taken out of a received frame is a copy, so that no header keeps
//! alive the buffer of a connection.

use bytes::{BufMut, Bytes, BytesMut};

/// Pieces smaller than this are copied, larger ones shared.
pub(super) const SHARED_BYTES_MIN: usize = 4 * 1024;

/// One message: its bytes are those of its parts, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) parts: Vec<Bytes>,
}

impl Frame {
    /// A frame of one part.
    pub(crate) fn whole(bytes: Bytes) -> Frame {
        Frame { parts: vec![bytes] }
    }

    /// Bytes of all parts.
    pub(crate) fn byte_count(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// All bytes in one piece.
    pub(crate) fn into_bytes(mut self) -> Bytes {
        match self.parts.len() {
            1 => self.parts.pop().expect("there is one part"),
            _ => self.parts.concat().into(),
        }
    }

    /// The first part, joined with others until it has at least `bytes`, if there are as many.
    pub(crate) fn front(&mut self, bytes: usize) -> &mut Bytes {
        if self.parts.first().is_none_or(|front| front.len() < bytes) {
            let rest = std::mem::take(self);
            self.parts.push(rest.into_bytes());
        }
        &mut self.parts[0]
    }

    /// Takes the next `bytes`; nothing if there are fewer.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Bytes> {
        let spent = self.parts.iter().take_while(|part| part.is_empty()).count();
        self.parts.drain(..spent);
        if bytes < SHARED_BYTES_MIN || self.parts.first().is_none_or(|front| front.len() < bytes) {
            return (self.byte_count() >= bytes).then(|| self.gather(bytes));
        }
        Some(self.parts[0].split_to(bytes))
    }

    /// Copies the next `bytes`, in however many parts they lie.
    fn gather(&mut self, bytes: usize) -> Bytes {
        let mut gathered = BytesMut::with_capacity(bytes);
        for part in &mut self.parts {
            let wanted = part.len().min(bytes - gathered.len());
            gathered.put(part.split_to(wanted));
        }
        gathered.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_does_not_depend_on_how_the_bytes_were_cut(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..6),
            takes in proptest::collection::vec((any::<bool>(), 0usize..12), 0..8),
        ) {
            let mut rest: Vec<u8> = parts.concat();
            let mut frame = Frame { parts: parts.into_iter().map(Bytes::from).collect() };
            for (peek, bytes) in takes {
                if peek {
                    let seen = frame.front(bytes).clone();
                    prop_assert!(seen.len() >= bytes.min(rest.len()));
                    prop_assert_eq!(&seen[..], &rest[..seen.len()]);
                    continue;
                }
                let expected = (bytes <= rest.len()).then(|| rest.drain(..bytes).collect::<Vec<_>>());
                prop_assert_eq!(frame.take(bytes).map(|taken| taken.to_vec()), expected);
            }
            prop_assert_eq!(&frame.into_bytes()[..], &rest[..]);
        }
    }
}
