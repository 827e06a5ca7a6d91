//! forkjoin --n N --workers W: Fibonacci by rayon::join, one fork to each call; ns per call.

use std::hint::black_box;
use std::time::Instant;

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = rayon::join(|| fib(n - 1), || fib(n - 2));
    a + b
}

fn calls(n: u64) -> u64 {
    if n < 2 { 1 } else { 1 + calls(n - 1) + calls(n - 2) }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |key: &str, default: u64| {
        let at = words.iter().position(|word| word == key);
        at.map_or(default, |at| words[at + 1].parse().expect("a number"))
    };
    assert_eq!(words.get(1).map(String::as_str), Some("forkjoin"), "usage: forkjoin [--n N]");
    let (n, workers) = (number("--n", 32), number("--workers", 1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers as usize).build().unwrap();
    pool.install(|| black_box(fib(black_box(n))));
    let mut times: Vec<f64> = (0..number("--repeat", 5))
        .map(|_| {
            let start = Instant::now();
            pool.install(|| black_box(fib(black_box(n))));
            start.elapsed().as_nanos() as f64 / calls(n) as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{{\"name\":\"forkjoin\",\"variant\":\"rayon, {workers} workers\",\"ns_per_op\":{:.3}}}",
        times[times.len() / 2]
    );
}
