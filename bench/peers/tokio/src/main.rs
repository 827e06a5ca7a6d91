//! The benchmarks' work on Tokio and hyper. bench/README.md says what each name measures.

mod args;
mod channels;
mod frames;
mod measure;
mod servers;
mod tasks;
mod timers;

fn main() {
    let args = args::Args::parse();
    match args.name.as_str() {
        "spawn" => tasks::spawn(&args),
        "yield" => tasks::yields(&args),
        "await" => tasks::awaits(&args),
        "memory" => tasks::memory(&args),
        "skynet" => tasks::skynet(&args),
        "channel" => channels::channel(&args),
        "timers" => timers::timers(&args),
        "frames" => frames::frames(&args),
        "echo" => servers::echo(&args),
        "http" => servers::http(&args),
        other => args::fail(&format!("no benchmark is called {other}")),
    }
}
