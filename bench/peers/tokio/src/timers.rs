//! timers: set and cancel while many are pending.

use crate::args::Args;
use crate::measure::runtime;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

async fn register(mut sleep: Pin<&mut Sleep>) {
    poll_fn(|context| {
        assert!(sleep.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await
}

/// Fills up to `pending` timers, sets and cancels `count` more, then cancels all. Deadlines lie
/// between a minute and some 70 minutes ahead, spread by a multiplicative hash. A sleep is set when
/// it is first polled and cancelled when it is dropped.
pub fn timers(args: &Args) {
    let (pending, count) = (args.number("pending", 1_000_000), args.number("count", 1_000_000));
    runtime(1).block_on(async {
        let task = tokio::spawn(async move {
            let base = Instant::now() + Duration::from_secs(60);
            let deadline = |i: u64| {
                base + Duration::from_millis(i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 42)
            };
            let mut sleeps: Vec<Pin<Box<Sleep>>> = Vec::with_capacity(pending as usize);
            let start = Instant::now();
            for i in 0..pending {
                sleeps.push(Box::pin(sleep_until(deadline(i))));
                register(sleeps.last_mut().unwrap().as_mut()).await;
            }
            let fill = start.elapsed();
            let start = Instant::now();
            for i in 0..count {
                let mut sleep = pin!(sleep_until(deadline(pending + i)));
                register(sleep.as_mut()).await;
            }
            let churn = start.elapsed();
            let start = Instant::now();
            sleeps.clear();
            let drain = start.elapsed();
            let each = |time: Duration, n: u64| time.as_nanos() as f64 / n.max(1) as f64;
            println!(
                "{{\"name\":\"timers\",\"variant\":\"{pending} pending\",\"ns_per_op\":{:.3},\
                 \"set_ns\":{:.3},\"cancel_ns\":{:.3}}}",
                each(churn, 2 * count),
                each(fill, pending),
                each(drain, pending)
            );
        });
        task.await.unwrap();
    });
}
