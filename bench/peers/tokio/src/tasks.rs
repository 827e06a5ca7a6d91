//! spawn, yield, await, memory, skynet: what a task costs.

use crate::args::{Args, fail};
use crate::measure::{ns_per_op, print, resident, runtime, runtime_name};
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

/// `count` empty tasks, spawned and joined `batch` at a time from inside the runtime.
pub fn spawn(args: &Args) {
    let (count, batch) = (args.number("count", 1_000_000), args.number("batch", 1_000));
    let workers = args.number("workers", 1);
    let runtime = runtime(workers);
    let ns = ns_per_op(args.number("repeat", 5), count / batch * batch, || {
        runtime.block_on(async {
            let root = tokio::spawn(async move {
                let mut handles = Vec::with_capacity(batch as usize);
                let mut sum = 0;
                for _ in 0..count / batch {
                    handles.extend((0..batch).map(|i| tokio::spawn(async move { black_box(i) })));
                    for handle in handles.drain(..) {
                        sum += handle.await.unwrap();
                    }
                }
                sum
            });
            black_box(root.await.unwrap());
        })
    });
    print("spawn", &format!("{}, batch {batch}", runtime_name(workers)), ns);
}

/// `tasks` tasks that yield in turn, `total` yields in all.
pub fn yields(args: &Args) {
    let (tasks, total) = (args.number("tasks", 10), args.number("total", 10_000_000));
    let workers = args.number("workers", 1);
    let each = (total / tasks).max(1);
    let runtime = runtime(workers);
    let ns = ns_per_op(args.number("repeat", 5), each * tasks, || {
        runtime.block_on(async {
            let handles: Vec<JoinHandle<()>> = (0..tasks)
                .map(|_| {
                    tokio::spawn(async move {
                        for _ in 0..each {
                            yield_now().await;
                        }
                    })
                })
                .collect();
            for handle in handles {
                handle.await.unwrap();
            }
        })
    });
    print("yield", &format!("{}, {tasks} tasks", runtime_name(workers)), ns);
}

#[inline(never)]
fn boxed(depth: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if depth == 0 { black_box(1) } else { boxed(depth - 1).await + 1 }
    })
}

async fn plain(value: u64) -> u64 {
    black_box(value)
}

/// `depth` nested awaits of children that complete at once, ns per level. A plain future is inlined
/// into its parent's state machine and costs no allocation; that exists for depth 1 only, because a
/// chain whose depth the compiler does not know needs a box per level.
pub fn awaits(args: &Args) {
    let (depth, boxes) = (args.number("depth", 1), args.flag("boxed"));
    if !boxes && depth != 1 {
        fail("await: only boxed futures nest to a depth given at run time");
    }
    let chains = args.number("total", 10_000_000) / depth;
    let runtime = runtime(1);
    let ns = ns_per_op(args.number("repeat", 5), chains * depth, || {
        runtime.block_on(async {
            let root = tokio::spawn(async move {
                let mut sum = 0;
                for i in 0..chains {
                    // boxed(0) is a child itself, so a chain of depth 1 is one box.
                    sum += if boxes { boxed(depth - 1).await } else { plain(i).await };
                }
                sum
            });
            black_box(root.await.unwrap());
        })
    });
    print("await", &format!("{}, depth {depth}", if boxes { "boxed" } else { "plain" }), ns);
}

/// Resident bytes per suspended task. --wait event: all wait for one event; nothing: each waits for
/// nothing at all, the least a task can hold.
pub fn memory(args: &Args) {
    let tasks = args.number("tasks", 1_000_000);
    let kind = args.text("wait", "event");
    runtime(1).block_on(async {
        let event = Arc::new(Notify::new());
        let before = resident();
        for _ in 0..tasks {
            match kind {
                "event" => {
                    let event = event.clone();
                    tokio::spawn(async move { event.notified().await });
                }
                "nothing" => {
                    tokio::spawn(std::future::pending::<()>());
                }
                other => fail(&format!("--wait {other}: event or nothing")),
            }
        }
        // The queue is FIFO: once this one has run, every other has been polled and is suspended.
        tokio::spawn(async {}).await.unwrap();
        let bytes = resident() - before;
        println!(
            "{{\"name\":\"memory\",\"variant\":\"wait for {kind}\",\"tasks\":{tasks},\
             \"bytes_per_task\":{:.1},\"total_bytes\":{bytes}}}",
            bytes as f64 / tasks as f64
        );
        std::process::exit(0); // the tasks never end
    });
}

fn tree(first: u64, leaves: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return first;
        }
        let part = leaves / 10;
        let children: [JoinHandle<u64>; 10] =
            std::array::from_fn(|i| tokio::spawn(tree(first + i as u64 * part, part)));
        let mut sum = 0;
        for child in children {
            sum += child.await.unwrap();
        }
        sum
    })
}

/// A tree of tasks, ten children each, that sums the numbers of its leaves; ns for the whole tree.
pub fn skynet(args: &Args) {
    let (leaves, workers) = (args.number("leaves", 1_000_000), args.number("workers", 1));
    let runtime = runtime(workers);
    let ns = ns_per_op(args.number("repeat", 5), 1, || {
        let sum = runtime.block_on(async { tokio::spawn(tree(0, leaves)).await.unwrap() });
        assert_eq!(sum, leaves * (leaves - 1) / 2);
    });
    print("skynet", &runtime_name(workers), ns);
}
