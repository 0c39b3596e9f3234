//! The term of every retained entry, as runs: terms change rarely, so a few pairs cover a log.
//!
//! Holds: runs start at rising indexes and neighbours differ in term.

/// `(first index, term)` of each run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TermRuns(Vec<(u64, u64)>);

impl TermRuns {
    pub(crate) fn from_runs(runs: Vec<(u64, u64)>) -> TermRuns {
        TermRuns(runs)
    }

    pub(crate) fn runs(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// The term at `index`; the caller knows that the log has that index.
    pub(crate) fn term_of(&self, index: u64) -> Option<u64> {
        let after = self.0.partition_point(|(start, _)| *start <= index);
        after.checked_sub(1).map(|run| self.0[run].1)
    }

    /// Notes the term of the entry that now ends the log.
    pub(crate) fn push(&mut self, index: u64, term: u64) {
        if self.0.last().is_none_or(|(_, last)| *last != term) {
            self.0.push((index, term));
        }
    }

    /// Forgets entries from `end` on.
    pub(crate) fn truncate(&mut self, end: u64) {
        let keep = self.0.partition_point(|(start, _)| *start < end);
        self.0.truncate(keep);
    }

    /// Forgets entries below `first`.
    pub(crate) fn trim(&mut self, first: u64) {
        let after = self.0.partition_point(|(start, _)| *start <= first);
        self.0.drain(..after.saturating_sub(1));
    }

    /// The runs of entries below `end`.
    pub(crate) fn below(&self, end: u64) -> TermRuns {
        let mut cut = self.clone();
        cut.truncate(end);
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_answer_as_a_list_of_all_terms_would() {
        let terms = [1u64, 1, 1, 2, 2, 5, 5, 5, 6];
        let mut runs = TermRuns::default();
        for (index, term) in terms.iter().enumerate() {
            runs.push(index as u64, *term);
        }
        assert_eq!(runs.runs(), [(0, 1), (3, 2), (5, 5), (8, 6)]);
        runs.trim(4);
        runs.truncate(7);
        for index in 4..7 {
            assert_eq!(runs.term_of(index), Some(terms[index as usize]));
        }
        runs.push(7, 9);
        assert_eq!((runs.term_of(6), runs.term_of(7)), (Some(5), Some(9)));
    }
}
