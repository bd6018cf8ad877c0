//! Podgraft and the echo, who take turns.

use std::time::Duration;

use anyhow::Result;
use axum::body::Bytes;

use crate::client::{Connection, Target, saturate};
use crate::figures::{Turns, median, ratio};
use crate::server::Server;

/// How many turns each server has, and how long one is.
pub const ROUNDS: usize = 7;
pub const TURN: Duration = Duration::from_millis(700);

/// Podgraft and the echo, asked the same.
pub struct Pair {
    pub servers: [Server; 2],
    pub targets: [Target; 2],
    pub answer: Bytes,
}

impl Pair {
    pub async fn sides(&self, count: usize) -> Result<[Side<'_>; 2]> {
        let side = |which: usize| Side::new(&self.servers[which], &self.targets[which], count);
        Ok([side(0).await?, side(1).await?])
    }

    /// What they come to when so many requests at a time are there always: a row for people, and the ratio of processor time.
    pub async fn saturated(&self, count: usize) -> Result<(String, f64)> {
        let mut sides = self.sides(count).await?;
        for _ in 0..ROUNDS {
            for side in &mut sides {
                let spent = side.server.processor_time()?;
                let turn = saturate(&mut side.connections, &self.answer, TURN, usize::MAX).await?;
                side.turns.push(turn, side.server.processor_time()?.saturating_sub(spent));
            }
        }
        let (median, least, most) = ratio(&sides[0].turns.cost, &sides[1].turns.cost);
        let [podgraft, echo] = [sides[0].row()?, sides[1].row()?];
        Ok((format!("{count:>20}{podgraft} |{echo} | {median:.2} ({least:.2} to {most:.2})"), median))
    }
}

/// One of two servers that take turns.
pub struct Side<'s> {
    pub server: &'s Server,
    pub connections: Vec<Connection>,
    pub turns: Turns,
}

impl<'s> Side<'s> {
    pub async fn new(server: &'s Server, target: &Target, count: usize) -> Result<Self> {
        Ok(Self { server, connections: Connection::open(target, count).await?, turns: Turns::default() })
    }

    fn row(&self) -> Result<String> {
        let percentile = |per_mille| median(self.turns.percentiles(per_mille));
        Ok(format!(
            "{:>10.0}{:>8.2}{:>8.2}{:>8.2}{:>8.1}{:>8.1}",
            self.turns.rate(),
            percentile(500),
            percentile(990),
            percentile(999),
            median(self.turns.cost.iter().copied()),
            self.server.peak()?,
        ))
    }
}
