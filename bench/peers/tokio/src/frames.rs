//! frames: periodic tracks beside hogs and an echo pair. The same work as
//! bench/frames/workload.hpp, which says why each thing is as it is.
//!
//! --hogs-yield-us N: a hog yields to the runtime after that long (0: never).
//! --hogs-blocking 1: hogs run on the threads of spawn_blocking, as Tokio advises.

use crate::args::{Args, fail};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SLICE_US: f64 = 50.0;
const LEAD: Duration = Duration::from_millis(300);

#[inline(never)]
fn spin(iterations: u64) {
    let mut x = 88172645463325252u64;
    for _ in 0..iterations {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x);
}

#[derive(Default)]
struct Outcome {
    wake: Vec<u64>,
    done: Vec<u64>,
    work: Vec<u64>,
    late: u64,
    dropped: u64,
}

async fn track(first: Instant, period: Duration, frames: u64, work: u64) -> Outcome {
    let mut outcome = Outcome::default();
    for values in [&mut outcome.wake, &mut outcome.done, &mut outcome.work] {
        values.reserve(frames as usize);
    }
    for frame in 0..frames {
        let due = first + period * frame as u32;
        if Instant::now() < due {
            tokio::time::sleep_until(due.into()).await;
        }
        let began = Instant::now();
        let since = began.saturating_duration_since(due);
        outcome.wake.push(since.as_nanos() as u64);
        if since >= period {
            outcome.done.push(since.as_nanos() as u64);
            outcome.late += 1;
            outcome.dropped += 1;
            continue;
        }
        spin(work);
        let ended = Instant::now();
        outcome.done.push((ended - due).as_nanos() as u64);
        outcome.work.push((ended - began).as_nanos() as u64);
        outcome.late += u64::from(ended > due + period);
    }
    outcome
}

#[repr(align(64))]
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn add(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }
}

struct Background {
    stop: AtomicBool,
    hogs: Vec<Counter>,
    trips: Counter,
}

impl Background {
    fn slices(&self) -> u64 {
        self.hogs.iter().map(|hog| hog.0.load(Relaxed)).sum()
    }
    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

async fn echo_pair(shared: Arc<Background>, pause: Duration) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let mut asks = TcpStream::connect(listener.local_addr()?).await?;
    let (mut answers, _) = listener.accept().await?;
    asks.set_nodelay(true)?;
    answers.set_nodelay(true)?;
    tokio::spawn(async move {
        let mut data = [0; 64];
        while answers.read_exact(&mut data).await.is_ok()
            && answers.write_all(&data).await.is_ok()
        {}
    });
    let mut data = [0; 64];
    let mut next = Instant::now();
    while !shared.stopped() {
        asks.write_all(&data).await?;
        asks.read_exact(&mut data).await?;
        shared.trips.add();
        next = (next + pause).max(Instant::now());
        tokio::time::sleep_until(next.into()).await;
    }
    Ok(())
}

fn quantile(sorted: &[u64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).map_or(0.0, |&ns| ns as f64 / 1000.0)
}

fn histogram(values: &[u64]) -> String {
    let mut buckets = BTreeMap::new();
    for &ns in values {
        *buckets.entry((32.0 * (ns.max(1) as f64).log2()) as i32).or_insert(0u64) += 1;
    }
    let pairs: Vec<String> = buckets
        .iter()
        .map(|(bucket, count)| {
            format!("[{:.3},{count}]", ((bucket + 1) as f64 / 32.0).exp2() / 1000.0)
        })
        .collect();
    format!("[{}]", pairs.join(","))
}

pub fn frames(args: &Args) {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let cores = args.number("cores", processors);
    let (tracks, frames) = (args.number("tracks", 4), args.number("frames", 600));
    let work_us = args.float("work-us", 1000.0);
    let per_us = args.float("iterations-per-us", 0.0);
    if per_us == 0.0 {
        fail("--iterations-per-us is wanted (bench_frames_floor calibrate tells it)");
    }
    let period = Duration::from_secs(1) / args.number("hz", 120) as u32;
    let hogs = args.number("hogs", cores + 2) as usize;
    let yield_after = args.float("hogs-yield-us", 0.0);
    let blocking = args.flag("hogs-blocking");
    let slice = (SLICE_US * per_us) as u64;
    let shared = Arc::new(Background {
        stop: AtomicBool::new(false),
        hogs: (0..hogs).map(|_| Counter::default()).collect(),
        trips: Counter::default(),
    });

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores as usize)
        .enable_all()
        .build()
        .expect("the runtime starts");
    let first = Instant::now() + LEAD;
    let running: Vec<_> = (0..tracks)
        .map(|i| {
            let work = (work_us * per_us) as u64;
            runtime.spawn(track(first + period * i as u32 / tracks as u32, period, frames, work))
        })
        .collect();
    let io_hz = args.number("io-hz", 1000);
    if io_hz > 0 {
        let (shared, pause) = (shared.clone(), Duration::from_secs(1) / io_hz as u32);
        runtime.spawn(async move { echo_pair(shared, pause).await.expect("an echo pair") });
    }
    for i in 0..hogs {
        let shared = shared.clone();
        if blocking {
            runtime.spawn_blocking(move || {
                while !shared.stopped() {
                    spin(slice);
                    shared.hogs[i].add();
                }
            });
            continue;
        }
        runtime.spawn(async move {
            let mut run_us = 0.0;
            while !shared.stopped() {
                spin(slice);
                shared.hogs[i].add();
                run_us += SLICE_US;
                if yield_after > 0.0 && run_us >= yield_after {
                    run_us = 0.0;
                    tokio::task::yield_now().await;
                }
            }
        });
    }

    // The observer is this thread, which is none of the runtime's.
    let until = |when: Instant| std::thread::sleep(when.saturating_duration_since(Instant::now()));
    until(first);
    let (began, slices, trips) = (Instant::now(), shared.slices(), shared.trips.0.load(Relaxed));
    until(first + period * (frames + 1) as u32);
    let seconds = began.elapsed().as_secs_f64();
    let slices = (shared.slices() - slices) as f64;
    let trips = (shared.trips.0.load(Relaxed) - trips) as f64;
    shared.stop.store(true, Relaxed);

    let mut all = Outcome::default();
    for track in running {
        let one = runtime.block_on(track).expect("a track does not panic");
        all.wake.extend(one.wake);
        all.done.extend(one.done);
        all.work.extend(one.work);
        all.late += one.late;
        all.dropped += one.dropped;
    }
    for values in [&mut all.wake, &mut all.done, &mut all.work] {
        values.sort_unstable();
    }
    let variant = match (blocking, yield_after) {
        (true, _) => "tokio, hogs in spawn_blocking".to_string(),
        (false, 0.0) => "tokio".to_string(),
        (false, us) => format!("tokio, hogs yield every {us} us"),
    };
    let hog_us = slices * SLICE_US;
    let left_us = seconds * 1e6 * cores as f64
        - all.work.len() as f64 * work_us
        - trips * args.float("io-us", 0.0);
    println!(
        "{{\"name\":\"frames\",\"variant\":\"{variant}\",\"frames\":{},\"late\":{},\"dropped\":{},\
         \"wake_p50_us\":{:.1},\"wake_p99_us\":{:.1},\"wake_p999_us\":{:.1},\"wake_max_us\":{:.1},\
         \"work_p50_us\":{:.1},\"hog_share\":{:.4},\"hog_us\":{hog_us:.0},\"left_us\":{left_us:.0},\
         \"seconds\":{seconds:.3},\"io_per_second\":{:.0},\"histogram\":{},\"done_histogram\":{}}}",
        all.wake.len(),
        all.late,
        all.dropped,
        quantile(&all.wake, 0.5),
        quantile(&all.wake, 0.99),
        quantile(&all.wake, 0.999),
        quantile(&all.wake, 1.0),
        quantile(&all.work, 0.5),
        hog_us / left_us,
        trips / seconds,
        histogram(&all.wake),
        histogram(&all.done),
    );
    runtime.shutdown_background();
}
