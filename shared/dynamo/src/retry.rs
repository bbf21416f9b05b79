//! How long to wait before a call is tried again, and how often a change that loses to concurrent writes is attempted.

use std::time::Duration;

/// Attempts of a change that keeps losing to concurrent writes. With the pauses between them they take about a second.
pub const MAX_ATTEMPTS: u32 = 12;

/// The pause after `attempts` failed attempts: none after 0, then about 10, 20, 40 ms and at most 160 ms. Half of it is random,
/// because instances that collided once would otherwise collide again.
pub fn pause(attempts: u32) -> Duration {
    if attempts == 0 {
        return Duration::ZERO;
    }
    let step = 10_000u64 << (attempts - 1).min(4);
    Duration::from_micros(fastrand::u64(step / 2..step))
}

/// Waits for the [`pause`] after `attempts` failed attempts.
pub async fn back_off(attempts: u32) {
    if attempts > 0 {
        tokio::time::sleep(pause(attempts)).await;
    }
}

/// Makes attempts until one settles the matter, at most [`MAX_ATTEMPTS`] of them, with pauses in between. An attempt returns
/// `None` if a concurrent write got ahead of it; so does this function if every attempt lost.
///
/// # Errors
/// The first error of an attempt. Errors are not retried.
pub async fn until_settled<T, E, F>(mut attempt: impl FnMut() -> F) -> Result<Option<T>, E>
where
    F: Future<Output = Result<Option<T>, E>>,
{
    for attempts in 0..MAX_ATTEMPTS {
        back_off(attempts).await;
        if let Some(settled) = attempt().await? {
            return Ok(Some(settled));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_attempt_waits_for_nothing_and_later_pauses_are_bounded() {
        assert_eq!(pause(0), Duration::ZERO);
        for attempts in 1..100 {
            let pause = pause(attempts);
            assert!(pause >= Duration::from_millis(5) && pause < Duration::from_millis(160));
        }
    }
}
