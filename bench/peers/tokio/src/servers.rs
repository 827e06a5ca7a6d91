//! echo and http: servers that say `ready PORT` and end on SIGTERM.

use crate::args::Args;
use crate::measure::runtime;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

fn serve<F: Future<Output = ()> + Send + 'static>(
    args: &Args,
    connection: impl Fn(TcpStream) -> F + Send + 'static,
) {
    let port = args.number("port", 0) as u16;
    runtime(args.number("workers", 1)).block_on(async {
        let mut stop = signal(SignalKind::terminate()).expect("a signal handler");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("bind");
        println!("ready {}", listener.local_addr().expect("a bound address").port());
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream));
            }
        });
        stop.recv().await;
        accepting.abort();
    });
}

pub fn echo(args: &Args) {
    serve(args, |mut stream| async move {
        let mut buffer = [0; 4096];
        while let Ok(length) = stream.read(&mut buffer).await {
            if length == 0 || stream.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    });
}

struct Site {
    file: PathBuf,
    cached: Bytes,
}

/// --root DIR holds file4k.bin. /file reads it through tokio::fs (a pool of blocking threads),
/// /file-blocking on the worker itself, /file-cached keeps it in memory.
pub fn http(args: &Args) {
    let file = PathBuf::from(args.text("root", ".")).join("file4k.bin");
    let cached = std::fs::read(&file).unwrap_or_default().into();
    let site = Arc::new(Site { file, cached });
    serve(args, move |stream| {
        let site = site.clone();
        async move {
            let service = service_fn(move |request| answer(site.clone(), request));
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    });
}

async fn answer(
    site: Arc<Site>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, kind, body) = match request.uri().path() {
        "/plaintext" => (StatusCode::OK, "text/plain", Bytes::from_static(b"Hello, World!")),
        "/file" | "/file4k.bin" => from_disk(tokio::fs::read(&site.file).await),
        "/file-blocking" => from_disk(std::fs::read(&site.file)),
        "/file-cached" => (StatusCode::OK, "application/octet-stream", site.cached.clone()),
        _ => (StatusCode::NOT_FOUND, "text/plain", Bytes::new()),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn from_disk(read: std::io::Result<Vec<u8>>) -> (StatusCode, &'static str, Bytes) {
    match read {
        Ok(bytes) => (StatusCode::OK, "application/octet-stream", bytes.into()),
        Err(_) => (StatusCode::NOT_FOUND, "text/plain", Bytes::new()),
    }
}
