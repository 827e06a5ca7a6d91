//! channel: round trips on one core, streams on one core and across two.

use crate::args::{Args, fail};
use crate::measure::{ns_per_op, print, runtime, runtime_name};
use std::thread;
use tokio::sync::mpsc;

/// --kind pingpong: a value there and one back, ns per round trip.
/// --kind stream: one producer, one consumer, ns per message.
/// --kind threads: the same stream through crossbeam, on two plain threads.
pub fn channel(args: &Args) {
    let messages = args.number("messages", 1_000_000);
    let capacity = args.number("capacity", 1) as usize;
    let workers = args.number("workers", 1);
    let kind = args.text("kind", "pingpong");
    let runtime = runtime(workers);
    let ns = ns_per_op(args.number("repeat", 5), messages, || match kind {
        "pingpong" => runtime.block_on(pingpong(messages, capacity)),
        "stream" => runtime.block_on(stream(messages, capacity)),
        "threads" => threads(messages, capacity),
        other => fail(&format!("--kind {other}: pingpong, stream or threads")),
    });
    let runner = match kind {
        "threads" => "crossbeam on two threads".into(),
        _ => runtime_name(workers),
    };
    print("channel", &format!("{runner}, {kind}, capacity {capacity}"), ns);
}

async fn pingpong(messages: u64, capacity: usize) {
    let (ping, mut pinged) = mpsc::channel::<u64>(capacity);
    let (pong, mut ponged) = mpsc::channel::<u64>(capacity);
    let far = tokio::spawn(async move {
        while let Some(value) = pinged.recv().await {
            pong.send(value + 1).await.unwrap();
        }
    });
    let near = tokio::spawn(async move {
        for value in 0..messages {
            ping.send(value).await.unwrap();
            assert_eq!(ponged.recv().await, Some(value + 1));
        }
    });
    near.await.unwrap();
    far.await.unwrap();
}

async fn stream(messages: u64, capacity: usize) {
    let (sender, mut receiver) = mpsc::channel::<u64>(capacity);
    let producer = tokio::spawn(async move {
        for value in 0..messages {
            sender.send(value).await.unwrap();
        }
    });
    let consumer = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(value) = receiver.recv().await {
            sum += value;
        }
        sum
    });
    producer.await.unwrap();
    assert_eq!(consumer.await.unwrap(), messages * (messages - 1) / 2);
}

fn threads(messages: u64, capacity: usize) {
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(capacity);
    thread::scope(|scope| {
        scope.spawn(move || (0..messages).for_each(|value| sender.send(value).unwrap()));
        assert_eq!(receiver.iter().sum::<u64>(), messages * (messages - 1) / 2);
    });
}
