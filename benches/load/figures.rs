//! Times into the few numbers that people compare.

use std::time::Duration;

use crate::client::Turn;

/// The turns of one server.
#[derive(Debug, Default)]
pub struct Turns {
    turns: Vec<Turn>,
    /// Processor time a request, in µs, turn by turn.
    pub cost: Vec<f64>,
}

impl Turns {
    pub fn push(&mut self, turn: Turn, spent: Duration) {
        self.cost.push(spent.as_secs_f64() * 1e6 / turn.took.len() as f64);
        self.turns.push(turn);
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        median(self.turns.iter().map(|turn| turn.took.len() as f64 / turn.wall.as_secs_f64()))
    }

    /// So many of 1,000 requests took no longer than this, in ms: turn by turn.
    pub fn percentiles(&self, per_mille: usize) -> Vec<f64> {
        let percentile = |turn: &Turn| {
            let rank = (turn.took.len().saturating_sub(1)) * per_mille / 1000;
            turn.took.get(rank).map_or(f64::NAN, |took| milliseconds(*took))
        };
        self.turns.iter().map(percentile).collect()
    }
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What podgraft's figures are of the echo's, turn by turn: the median, the least and the most.
pub fn ratio(podgraft: &[f64], echo: &[f64]) -> (f64, f64, f64) {
    let ratios: Vec<f64> = podgraft.iter().zip(echo).map(|(podgraft, echo)| podgraft / echo).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    (median(ratios), least, most)
}
