//! A fleet of instances in simulated time: the engine's and the management's own code on a store that is reached through a
//! network which delays, loses and refuses by a seed. No sockets, no waiting; the same seed gives the same run.
//!
//! The store is the embedded one, asked in process. Every charge is seen where it is made, and checked there and at the
//! end against what must always hold.

use std::time::Duration;

use fastrand::Rng;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tokio::time::{Instant, sleep, timeout};

mod crowd;
mod fleet;
mod ledger;
#[expect(
    clippy::large_futures,
    reason = "one call at a time, and each inside a boxed one"
)]
mod management;
mod network;

pub use crowd::{Crowd, Met};
pub use ledger::Summary;
pub use network::Faults;

use fleet::Fleet;

/// A run: all of it follows from this.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Chooses everything that is left open.
    pub seed: u64,
    /// Decisions to be made.
    pub decisions: usize,
    /// What the network does; by the seed where nothing is said.
    pub faults: Option<Faults>,
    /// All clocks are right and nothing is frozen. If nothing goes wrong on the way either, whatever has room is admitted.
    pub is_calm: bool,
}

impl Scenario {
    /// By this seed.
    pub fn new(seed: u64, decisions: usize) -> Self {
        Self {
            seed,
            decisions,
            faults: None,
            is_calm: false,
        }
    }

    /// By this seed, with nothing that goes wrong.
    pub fn calm(seed: u64, decisions: usize) -> Self {
        Self {
            faults: Some(Faults::default()),
            is_calm: true,
            ..Self::new(seed, decisions)
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// What did not hold, and the seed that shows it again.
    pub fn run(self) -> Result<Summary, String> {
        // Back-off is drawn from this thread's generator. Ids and lanes are not; they are names, and nothing goes by them.
        fastrand::seed(self.seed);
        let broken = |broken: Vec<String>| format!("{self:?}\n{}", broken.join("\n"));
        runtime().block_on(self.play()).map_err(broken)
    }

    async fn play(self) -> Result<Summary, Vec<String>> {
        let mut random = Rng::with_seed(self.seed);
        let faults = self.faults.unwrap_or_else(|| Faults::draw(&mut random));
        let fleet = Fleet::new(faults, self.is_calm, &mut random).await;
        let mut left = self.decisions;
        while left > 0 {
            let share = random.usize(50..400).min(left);
            fleet.episode(share, &mut random).await;
            left -= share;
            sleep(fleet.time().pause(&mut random)).await;
        }
        fleet.end().await
    }
}

/// A runtime whose time goes on only when there is nothing to do.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// The true time.
#[derive(Debug, Clone, Copy)]
struct Time {
    start: Instant,
    base: Timestamp,
}

impl Time {
    /// Shortly before a month ends.
    fn new() -> Self {
        Self {
            start: Instant::now(),
            base: "2054-06-29T23:59:30Z".parse().expect("a time"),
        }
    }

    fn now(self) -> Timestamp {
        let elapsed = self.start.elapsed();
        self.base.saturating_add(elapsed).expect("a span")
    }

    /// Until something else happens: a moment, or until shortly before midnight.
    fn pause(self, random: &mut Rng) -> Duration {
        if random.u8(..3) > 0 {
            return Duration::from_millis(random.u64(..60_000));
        }
        let now = self.now().to_zoned(TimeZone::UTC);
        let tomorrow = now.start_of_day().and_then(|day| day.checked_add(1.day()));
        let midnight = tomorrow
            .expect("a day")
            .timestamp()
            .duration_since(self.now());
        let midnight = Duration::try_from(midnight).unwrap_or_default();
        midnight.saturating_sub(Duration::from_millis(random.u64(..10_000)))
    }
}

/// Lets a future run for a while, then leaves it unpolled for a while, as an environment that is frozen, then lets it end.
async fn frozen<F: Future>(future: F, after: Duration, length: Duration) -> F::Output {
    let mut future = std::pin::pin!(future);
    if let Ok(output) = timeout(after, &mut future).await {
        return output;
    }
    sleep(length).await;
    future.await
}
