//! The usual alternatives, each configured to be as fast as it can be here: one worker, no log, everything in memory.
//! They check no key, know no identifiers and report no freshness; their cache key is the URL as written.

use std::{env, fs, net::SocketAddr, path::Path};

use crate::{
    Failure,
    process::{Server, free_address},
};

/// The core that the measured server has to itself, and the core of the load generator and the upstreams.
pub(crate) const MEASURED: &str = "0";
pub(crate) const LOADING: &str = "1";

/// The records that Varnish would otherwise write to its in-memory log for every hit.
const VARNISH_MASK: &str = "vsl_mask=-Begin,-End,-SessOpen,-SessClose,-ReqStart,-ReqMethod,-ReqURL,-ReqProtocol,\
    -ReqHeader,-ReqUnset,-ReqAcct,-RespProtocol,-RespStatus,-RespReason,-RespHeader,-RespUnset,-VCL_call,-VCL_return,\
    -VCL_use,-Timestamp,-Hit,-Link";

/// One of the bench's own servers, see [`crate::servers`].
pub(crate) async fn own(
    role: &str,
    cores: &str,
    bodies: &Path,
    scratch: &Path,
) -> Result<Server, Failure> {
    let (program, address) = (env::current_exe()?, free_address()?);
    let program = program.to_str().ok_or("a path that is no text")?;
    let bodies = bodies.to_str().ok_or("a path that is no text")?;
    let arguments = [program, "serve", role, &address.to_string(), bodies];
    let log = scratch.join(format!("{role}.log"));
    Server::start(cores, address, &log, &arguments, &[])?
        .ready()
        .await
}

pub(crate) async fn haproxy(origin: SocketAddr, scratch: &Path) -> Result<Server, Failure> {
    let address = free_address()?;
    let configuration = format!(
        "global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 30s
cache bodies
  total-max-size 256
  max-object-size 65536
  max-age 36000
frontend callers
  bind {address}
  http-request cache-use bodies
  http-response cache-store bodies
  default_backend origin
backend origin
  http-reuse always
  server origin {origin}
"
    );
    let file = write(scratch, "haproxy.cfg", address, &configuration)?;
    let log = scratch.join("haproxy.log");
    Server::start(
        MEASURED,
        address,
        &log,
        &["haproxy", "-db", "-f", &file],
        &[],
    )?
    .ready()
    .await
}

pub(crate) async fn nginx(origin: SocketAddr, scratch: &Path) -> Result<Server, Failure> {
    let address = free_address()?;
    let dir = scratch.join(format!("nginx-{}", address.port()));
    fs::create_dir_all(&dir)?;
    let dir = dir.to_str().ok_or("a path that is no text")?;
    let user = if is_root() { "user root;" } else { "" };
    let configuration = format!(
        "daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile off;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  proxy_cache_path {dir}/cache levels=1:2 keys_zone=bodies:64m max_size=1g inactive=10h use_temp_path=off;
  open_file_cache max=15000 inactive=10h;
  upstream origin {{ server {origin}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {address} backlog=1024;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_cache bodies;
      proxy_cache_lock on;
    }}
  }}
}}
"
    );
    let file = write(scratch, "nginx.conf", address, &configuration)?;
    let log = scratch.join("nginx.log");
    let program = ["nginx", "-e", "stderr", "-c", &file];
    Server::start(MEASURED, address, &log, &program, &[])?
        .ready()
        .await
}

pub(crate) async fn varnish(origin: SocketAddr, scratch: &Path) -> Result<Server, Failure> {
    let address = free_address()?;
    let dir = scratch.join(format!("varnish-{}", address.port()));
    let dir = dir.to_str().ok_or("a path that is no text")?;
    let (listen, behind) = (address.to_string(), origin.to_string());
    let program = [
        "varnishd",
        "-F",
        "-j",
        "none",
        "-n",
        dir,
        "-a",
        &listen,
        "-b",
        &behind,
        "-s",
        "malloc,512m",
        "-p",
        "thread_pools=1",
        "-p",
        VARNISH_MASK,
    ];
    let log = scratch.join("varnish.log");
    Server::start(MEASURED, address, &log, &program, &[])?
        .ready()
        .await
}

/// Writes a configuration file and returns its path.
pub(crate) fn write(
    scratch: &Path,
    name: &str,
    address: SocketAddr,
    text: &str,
) -> Result<String, Failure> {
    let file = scratch.join(format!("{}-{name}", address.port()));
    fs::write(&file, text)?;
    Ok(file.to_str().ok_or("a path that is no text")?.to_owned())
}

/// Whether this process runs as root, by its real user id in `/proc/self/status`.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
