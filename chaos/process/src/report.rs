//! The report as one page.
use crate::verdict::Verdict;
/// The page.
pub(crate) fn html(verdict: &Verdict) -> String {
    verdict.summary()
}
