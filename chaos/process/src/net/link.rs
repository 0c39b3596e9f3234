//! What one direction of a cable does to the frames on it. Pure.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

/// A frame that waits longer than this for a slow link is dropped, as a full buffer would.
const BACKLOG_MAX: Duration = Duration::from_millis(500);

/// One direction between two ports. The default passes everything at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Link {
    /// Passes nothing, and says nothing.
    pub(crate) cut: bool,
    /// Which share of frames is lost: 0 to 1.
    pub(crate) loss: f64,
    /// Which share comes twice: 0 to 1.
    pub(crate) duplicated: f64,
    /// How long each frame takes.
    pub(crate) delay: Duration,
    /// Up to how much longer some take; those that take longer are overtaken.
    pub(crate) jitter: Duration,
    /// Bytes a second.
    pub(crate) rate: Option<u64>,
}

impl Link {
    /// A link that passes nothing.
    pub(crate) fn cut() -> Link {
        Link { cut: true, ..Link::default() }
    }

    /// When the copies of a frame arrive: none, one, or two. `free_at` is when the link has sent
    /// what was given to it before.
    pub(crate) fn arrivals(
        &self,
        bytes: usize,
        now: Instant,
        free_at: &mut Instant,
        random: &mut StdRng,
    ) -> Vec<Instant> {
        let lost = self.cut || (self.loss > 0.0 && random.random_bool(self.loss.min(1.0)));
        if lost {
            return Vec::new();
        }
        let mut leaves = now;
        if let Some(rate) = self.rate {
            leaves = now.max(*free_at);
            if leaves > now + BACKLOG_MAX {
                return Vec::new();
            }
            *free_at = leaves + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            leaves = *free_at;
        }
        let copies = 1 + usize::from(self.duplicated > 0.0 && random.random_bool(self.duplicated.min(1.0)));
        (0..copies).map(|_| leaves + self.delay + self.jitter.mul_f64(random.random::<f64>())).collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn arrivals(link: Link, frames: usize) -> Vec<Vec<Duration>> {
        let (now, mut random) = (Instant::now(), StdRng::seed_from_u64(1));
        let mut free_at = now;
        let mut one = || link.arrivals(1_000, now, &mut free_at, &mut random);
        (0..frames).map(|_| one().into_iter().map(|at| at - now).collect()).collect()
    }

    #[test]
    fn a_plain_link_passes_every_frame_at_once() {
        assert_eq!(arrivals(Link::default(), 100), vec![vec![Duration::ZERO]; 100]);
    }

    #[test]
    fn a_cut_link_passes_nothing() {
        assert_eq!(arrivals(Link::cut(), 100), vec![Vec::<Duration>::new(); 100]);
    }

    #[test]
    fn loss_and_duplicates_have_about_their_shares() {
        let link = Link { loss: 0.3, duplicated: 0.1, ..Link::default() };
        let copies: Vec<usize> = arrivals(link, 10_000).iter().map(Vec::len).collect();
        let count = |wanted| copies.iter().filter(|copies| **copies == wanted).count();
        assert!((2_800..3_200).contains(&count(0)), "{} lost", count(0));
        assert!((600..800).contains(&count(2)), "{} doubled", count(2));
    }

    #[test]
    fn a_slow_link_spaces_frames_out_and_drops_what_would_wait_too_long() {
        let arrived = arrivals(Link { rate: Some(10_000), ..Link::default() }, 100);
        let times: Vec<u128> = arrived.iter().flatten().map(|at| at.as_millis()).collect();
        assert_eq!(times, [100, 200, 300, 400, 500, 600]);
    }

    #[test]
    fn jitter_reorders() {
        let link = Link { delay: Duration::from_millis(5), jitter: Duration::from_millis(20), ..Link::default() };
        let times: Vec<Duration> = arrivals(link, 100).concat();
        assert!(times.iter().all(|at| (5..=25).contains(&at.as_millis())));
        assert!(!times.is_sorted());
    }
}
