//! nginx with nchan: WebSocket, server-sent events, long polls; publishing over HTTP on a kept
//! connection. One worker without a master, so that channels are not passed between processes; and
//! more room for connections than descriptors, because nginx begins to close idle ones before it is
//! full.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use doorbell_protocol::Transport;

use super::post::Post;
use super::running::Running;
use crate::failure::{Failure, Result};
use crate::generator::dialect::{Dialect, Effects, Heard, State, push, topic_name};
use crate::generator::{PATIENCE, http, websocket};
use crate::launch::{Program, find, folder, free_address, write};

const PACKAGES: &str = "nginx-light libnginx-mod-nchan";
/// Where Debian puts the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// The packages, where nginx or its module is not there.
pub(super) fn missing() -> Option<&'static str> {
    (nginx().is_none() || !Path::new(MODULE).is_file()).then_some(PACKAGES)
}

fn nginx() -> Option<PathBuf> {
    find("nginx")
}

/// Starts it, with subscribers over one of its transports.
pub(super) fn start(via: Transport) -> Result<Running> {
    let subscriber: Rc<dyn Dialect> = match via {
        Transport::Websocket => Rc::new(WebSocket),
        Transport::Sse => Rc::new(Sse),
        Transport::Longpoll => Rc::new(LongPoll),
        Transport::Poll
        | Transport::Ndjson
        | Transport::Raw
        | Transport::Tcp
        | Transport::Unix
        | Transport::Udp => return Err(Failure(format!("nchan has no {via}"))),
    };
    let folder = folder()?;
    let address = free_address()?;
    let path = folder.path().display().to_string();
    let configuration = write(
        &folder,
        "nginx.conf",
        &format!(
            "load_module {MODULE};\nuser root;\ndaemon off;\nmaster_process off;\nworker_processes 1;\n\
             worker_rlimit_nofile 20000;\npid {path}/pid;\nerror_log {path}/error crit;\n\
             events {{ worker_connections 40000; use epoll; multi_accept on; }}\n\
             http {{\n access_log off; keepalive_requests 1000000000; keepalive_timeout 1d;\n\
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
             fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi;\n\
             scgi_temp_path {path}/scgi; tcp_nodelay on; client_body_buffer_size 64k;\n\
             client_max_body_size 1m; client_body_in_single_buffer on;\n\
             nchan_shared_memory_size 1g; nchan_subscriber_timeout 0;\n\
             server {{\n listen 127.0.0.1:{} backlog=4096;\n\
             location = /status {{ nchan_stub_status; }}\n\
             location ~ ^/pub/(.+)$ {{ nchan_publisher; nchan_channel_id $1;\n\
             nchan_message_buffer_length 1000; nchan_message_timeout 60s; }}\n\
             location ~ ^/sub/(.+)$ {{ nchan_subscriber; nchan_channel_id $1;\n\
             nchan_subscriber_first_message newest; nchan_websocket_ping_interval 0; }}\n}}\n}}\n",
            address.port()
        ),
    )?;
    let program = nginx().ok_or_else(|| Failure("nginx is gone".into()))?;
    let command = &mut Command::new(program);
    command.arg("-e").arg(folder.path().join("error")).arg("-c").arg(configuration);
    let program = Program::listening(folder, command, address)?;
    let publisher = Rc::new(Post { folder: "pub/" });
    Ok(Running {
        confirm: Some(Box::new(move |count| confirm(address, count))),
        ..Running::at(address, program, subscriber, publisher)
    })
}

/// Between two looks at the number of subscribers.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until nginx counts so many subscribers: one that polls is not told that it stands.
fn confirm(address: SocketAddr, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let known = text.lines().find_map(|line| line.strip_prefix("subscribers: "));
        if known
            .and_then(|known| known.trim().parse().ok())
            .is_some_and(|known: usize| known >= count)
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure(format!("nchan counts {known:?} of {count} subscribers")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The request of a subscriber, without the end of its head.
fn ask(topics: &Range<usize>, out: &mut Vec<u8>) {
    push!(out, "GET /sub/{} HTTP/1.1\r\nHost: localhost\r\n", topic_name(topics.start));
}

/// Messages as text frames.
struct WebSocket;

impl Dialect for WebSocket {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        websocket::open(&format!("/sub/{}", topic_name(topics.start)), out);
        1
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        websocket::frames(state, bytes, effects, |text, effects| {
            effects.heard(Heard::Message(text));
            Ok(())
        })
    }
}

/// Server-sent events.
struct Sse;

impl Dialect for Sse {
    fn subscribe(&self, topics: Range<usize>, _state: &mut State, out: &mut Vec<u8>) -> u32 {
        ask(&topics, out);
        out.extend_from_slice(b"Accept: text/event-stream\r\n\r\n");
        0
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        http::chunked(state, bytes, effects, |content, effects| {
            http::events(content, |_, data| {
                if !data.is_empty() {
                    effects.heard(Heard::Message(data));
                }
            })
        })
    }
}

/// Long polls, each for the message after the last one's time and tag.
struct LongPoll;

impl Dialect for LongPoll {
    fn subscribe(&self, topics: Range<usize>, state: &mut State, out: &mut Vec<u8>) -> u32 {
        ask(&topics, out);
        out.extend_from_slice(&state.place);
        out.extend_from_slice(b"\r\n");
        0
    }

    fn hear(&self, state: &mut State, bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
        http::answers(bytes, |head, body| {
            if head.status != 200 {
                effects.heard(Heard::Refused(body));
                return Ok(());
            }
            effects.heard(Heard::Message(body));
            state.place.clear();
            for (header, name) in
                [("last-modified", "If-Modified-Since"), ("etag", "If-None-Match")]
            {
                push!(state.place, "{name}: ");
                state.place.extend_from_slice(head.header(header).unwrap_or_default());
                state.place.extend_from_slice(b"\r\n");
            }
            self.subscribe(state.topic..state.topic + 1, state, effects.out);
            Ok(())
        })
    }
}
