//! A load on one instance, run twice: once to count, once to measure times.

use std::time::{Duration, Instant};

use tollgate_tests::proxy::Proxy;
use tollgate_tests::stores::Store;

use crate::cost::Consumed;
use crate::subject::{Decided, Program, Round, Subject};

/// The figures of a load.
pub(crate) struct Row {
    pub(super) load: String,
    pub(super) decisions: usize,
    pub(super) admitted: usize,
    pub(super) consumed: Consumed,
    pub(super) round: Round,
    pub(super) peak_memory: f64,
}

/// Decisions under a load.
#[derive(Default)]
pub(super) struct Run {
    admitted: usize,
    took: Vec<Duration>,
}

/// One instance twice: one calls the store directly, for the times; one calls it through a proxy that counts.
pub(super) struct Pair {
    pub(super) direct: Subject,
    pub(super) counted: Subject,
    proxy: Proxy,
}

impl Pair {
    pub(super) async fn start(store: &Store) -> Self {
        let proxy = Proxy::to(&store.endpoint).await;
        let counted = Subject::start(Program::Authorizer, &store.through(&proxy.endpoint)).await;
        Self {
            direct: Subject::start(Program::Authorizer, store).await,
            counted,
            proxy,
        }
    }

    /// Runs a load on both.
    pub(super) async fn run(
        &self,
        load: impl Into<String>,
        run: impl AsyncFn(&Subject) -> Run,
    ) -> Row {
        self.run_each(load, &run, &run).await
    }

    /// Runs one load to count calls, and one to measure times.
    pub(super) async fn run_each(
        &self,
        load: impl Into<String>,
        count: impl AsyncFn(&Subject) -> Run,
        time: impl AsyncFn(&Subject) -> Run,
    ) -> Row {
        self.proxy.take_calls();
        let counted = count(&self.counted).await;
        let calls = self.proxy.take_calls();
        let before = self.direct.processor_time();
        let timed = time(&self.direct).await;
        let processor = self.direct.processor_time().saturating_sub(before);
        Row {
            load: load.into(),
            decisions: counted.took.len(),
            admitted: counted.admitted,
            consumed: Consumed::of(counted.took.len(), &calls),
            round: Round::new(&timed.took, processor),
            peak_memory: self.counted.peak_memory(),
        }
    }
}

/// Makes decisions until the time is up.
pub(super) async fn gather(time: Duration, decide: impl AsyncFnMut() -> Decided) -> Run {
    let mut decide = decide;
    let end = Instant::now() + time;
    let mut run = Run::default();
    while Instant::now() < end {
        run.add(decide().await);
    }
    run
}

impl Run {
    pub(super) fn add(&mut self, decided: Decided) {
        self.admitted += usize::from(decided.admitted);
        self.took.push(decided.took);
    }
}
