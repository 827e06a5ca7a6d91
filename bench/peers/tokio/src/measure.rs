//! Runtimes, repeated timing and the JSON line of a result.

use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// One worker means the current_thread runtime; more mean the multi_thread one.
pub fn runtime(workers: u64) -> Runtime {
    if workers <= 1 {
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread().worker_threads(workers as usize).enable_all().build()
    }
    .expect("the runtime starts")
}

pub fn runtime_name(workers: u64) -> String {
    if workers <= 1 { "current_thread".into() } else { format!("multi_thread({workers})") }
}

/// Median of `repeat` timings of `work`, which does `operations` operations, in ns per operation.
/// The first run warms up and does not count.
pub fn ns_per_op(repeat: u64, operations: u64, mut work: impl FnMut()) -> f64 {
    work();
    let mut times: Vec<f64> = (0..repeat.max(1))
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_nanos() as f64 / operations as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

pub fn print(name: &str, variant: &str, ns: f64) {
    println!("{{\"name\":\"{name}\",\"variant\":\"{variant}\",\"ns_per_op\":{ns:.3}}}");
}

/// Resident bytes of this process.
pub fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("proc is mounted");
    let line = text.lines().find(|line| line.starts_with("Rss:")).expect("a line Rss");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kB") * 1024
}
