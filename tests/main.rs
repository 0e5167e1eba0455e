//! What doorbell promises, checked from outside: the built binaries, real sockets, fresh folders.
//!
//! Each module is a behaviour, each test a requirement that its name states. Nothing of the
//! server's code is used here: what is expected are the bytes of the interface.
//!
//! The binaries are looked for beside the tests' own folder (`target/debug` or `target/release`),
//! or in the folder that `DOORBELL_BIN_DIR` names. A test that lacks something of the machine (a
//! browser, Java, the right to mount) says so in one line and passes, except in CI.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![allow(clippy::format_collect, reason = "what is sent is built once and read often")]

mod support;

mod activation;
mod audit;
mod client;
mod client_credentials;
mod clock;
mod cluster;
mod cluster_failures;
mod cluster_suite;
mod coalesce;
mod command_line;
mod compare;
mod copies;
mod descriptions;
mod dialect;
mod disk;
mod durability;
mod examples;
mod files;
mod folder_lost;
mod frames;
mod gaps;
mod half_closed;
mod handover;
mod http2;
mod http2_frames;
mod jwt;
mod lab;
mod large_polls;
mod limits;
mod lines;
mod log_folder;
mod long_poll;
mod mail;
mod observe;
mod origins;
mod package;
mod page;
mod page_first;
mod page_inbox;
mod page_lab;
mod page_lanes;
mod page_module;
mod page_push;
mod page_token;
mod page_tour;
mod places;
mod plain;
mod poll;
mod power_cut;
mod proxies;
mod publish;
mod readme;
mod reconnection;
mod resume;
mod rights;
mod scheduled;
mod shutdown;
mod slow_reader;
mod start;
mod strangers;
mod streams;
mod strict;
mod templates;
mod tickets;
mod tls;
mod tokens;
mod torture;
mod transports;
mod unix;
mod upstream;
mod versions;
mod visitors;
mod web_push;
mod websocket;
mod websocket_cases;
