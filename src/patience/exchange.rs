//! How long an exchange may take: time in which this process runs, not time in which it stands still.
//!
//! The HTTP client's own timeout is looked at before the reply is. After a pause of the process (SIGSTOP, a frozen
//! container, a suspended machine) it would throw away a reply that has long arrived, and with it the only refresh token.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::sleep;

/// What a pause costs of the limit, at most.
const STEP: Duration = Duration::from_secs(1);

/// Later than a timer ever is on a machine that only works hard.
const LATE: Duration = Duration::from_millis(500);

/// Steps that are given after the limit, at most: each only where the one before was as late as after a pause.
const MORE: u32 = 3;

/// What `work` gives; `None` where it takes longer than `limit`.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let (mut left, mut more) = (limit, MORE);
    loop {
        let step = left.min(STEP);
        let timer = sleep(step);
        let due = timer.deadline();
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = timer => {}
        }
        let late = due.elapsed();
        // A busy machine's delays are the exchange's own; a pause is nobody's.
        left = left.saturating_sub(if late < LATE { step + late } else { step });
        if left.is_zero() {
            if more == 0 || late < LATE {
                return None;
            }
            // What came meanwhile lies in the socket, and other tasks have yet to read it.
            (left, more) = (STEP, more - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// As a stopped process does: no task runs, while the clock does.
    fn stand_still(span: Duration) {
        std::thread::sleep(span);
    }

    #[tokio::test]
    async fn the_limit_is_the_limit() {
        for limit in [0, 1, 300, 1_200].map(millis) {
            let begin = sleep(Duration::ZERO).deadline();
            assert_eq!(within(limit, std::future::pending::<()>()).await, None);
            assert!(begin.elapsed() >= limit, "{:?} of {limit:?}", begin.elapsed());
            assert_eq!(within(limit, std::future::ready(7)).await, Some(7), "looked at before the clock");
        }
    }

    #[tokio::test]
    async fn what_came_while_the_process_stood_still_is_not_thrown_away() {
        // What has come is read by another task first, as the HTTP client's does.
        let work = |before: u64| async move {
            sleep(millis(before)).await;
            stand_still(millis(1_700));
            sleep(millis(50)).await;
        };
        assert_eq!(within(millis(300), work(100)).await, Some(()), "in the last step");
        assert_eq!(within(millis(1_400), work(100)).await, Some(()), "in a step before");
    }

    #[tokio::test]
    async fn who_always_stands_still_does_not_wait_for_ever() {
        let work = async {
            loop {
                stand_still(millis(1_600));
                sleep(millis(1)).await;
            }
        };
        let begin = sleep(Duration::ZERO).deadline();
        assert_eq!(within(millis(100), work).await, None::<()>);
        assert!(begin.elapsed() >= millis(100) + STEP * MORE, "{:?}", begin.elapsed());
    }
}
