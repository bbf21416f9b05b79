//! The requests of a batch, and the outcome of each.

use std::num::NonZeroU32;

use super::Outcome;

/// Requests in order of arrival.
#[derive(Debug)]
pub(super) struct Batch<E> {
    requests: Vec<Request<E>>,
}

#[derive(Debug)]
struct Request<E> {
    cost: NonZeroU32,
    /// Whether a caller still waits for the outcome.
    is_waited_for: bool,
    outcome: Option<Outcome<E>>,
}

impl<E: Clone> Batch<E> {
    pub(super) fn new(costs: impl IntoIterator<Item = NonZeroU32>) -> Self {
        let requests = costs.into_iter().map(|cost| Request {
            cost,
            is_waited_for: true,
            outcome: None,
        });
        Self {
            requests: requests.collect(),
        }
    }

    pub(super) fn keep_waiting(&mut self, waits: impl Fn(usize) -> bool) {
        for (position, request) in self.requests.iter_mut().enumerate() {
            request.is_waited_for = waits(position);
        }
    }

    /// The requests that are waited for and not decided, by position, with their costs.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (usize, NonZeroU32)> {
        let requests = self.requests.iter().enumerate();
        let waiting =
            requests.filter(|(_, request)| request.outcome.is_none() && request.is_waited_for);
        waiting.map(|(position, request)| (position, request.cost))
    }

    pub(super) fn cost_of(&self, position: usize) -> NonZeroU32 {
        self.requests[position].cost
    }

    /// The sum of the costs of these requests; if there are none, the cost of the first request that waits.
    pub(super) fn cost(&self, positions: &[usize]) -> NonZeroU32 {
        let costs = positions.iter().map(|position| self.cost_of(*position));
        let sum = costs.map(NonZeroU32::get).sum();
        let first = || {
            self.waiting()
                .next()
                .map_or(NonZeroU32::MIN, |(_, cost)| cost)
        };
        NonZeroU32::new(sum).unwrap_or_else(first)
    }

    pub(super) fn decide(&mut self, position: usize, outcome: Outcome<E>) {
        self.requests[position].outcome.get_or_insert(outcome);
    }

    pub(super) fn has_outcome(&self, position: usize) -> bool {
        self.requests[position].outcome.is_some()
    }

    pub(super) fn is_decided(&self) -> bool {
        self.requests
            .iter()
            .all(|request| request.outcome.is_some())
    }

    pub(super) fn admits(&self) -> bool {
        self.requests.iter().any(|request| {
            matches!(&request.outcome, Some(Outcome::Decided(verdict)) if verdict.is_allowed())
        })
    }

    /// Lets requests without an outcome be decided again from the start.
    pub(super) fn again(&mut self, reread: bool) {
        self.rest(&Outcome::Again { reread });
    }

    /// Gives this outcome to every request that has none yet.
    pub(super) fn rest(&mut self, outcome: &Outcome<E>) {
        for request in &mut self.requests {
            request.outcome.get_or_insert_with(|| outcome.clone());
        }
    }

    pub(super) fn into_outcomes(self) -> Vec<Outcome<E>> {
        let outcomes = self.requests.into_iter().map(|request| request.outcome);
        outcomes.flatten().collect()
    }
}
