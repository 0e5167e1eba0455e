//! Every bound on the server's resources that is not a setting, with its unit and what it stops.
//! Bounds of the wire are in the protocol; settings are in the configuration.

use std::time::Duration;

/// Messages, or topics, that retention lets go of in one step: a publish waits behind one step at
/// most.
pub const EXPIRE_MESSAGES_MAX: usize = 500;
/// Characters of the name of whoever fills a share of the log.
pub const OWNER_CHARS_MAX: usize = 160;
/// Starts of the server that a log remembers.
pub const EPOCHS_MAX: usize = 1024;
/// Topics remembered although they hold no message any more; beyond it the idle ones are forgotten.
pub const TOPICS_REMEMBERED_MAX: usize = 100_000;
/// Topics known at once: each costs memory for as long as it holds a message.
pub const TOPICS_MAX: usize = 1_000_000;
/// Idle topics forgotten in one step of retention: as many may become idle in it, and as many more.
pub const TOPICS_FORGOTTEN_MAX: usize = 2 * EXPIRE_MESSAGES_MAX;
/// Segments of topics held against patterns before a search among all topics lets publishers in,
/// and before it leaves the threads that serve connections.
pub const HEAD_STEPS_MAX: usize = 1024;
/// Segments of the beginnings whose newest message is kept: what a publish notes beside its topic,
/// and what a topic costs that shares its beginning with no other.
pub const BRANCH_SEGMENTS_MAX: usize = 3;
/// Newest messages that `since=latest` gives, where a filter selects more topics than that.
pub const LATEST_MESSAGES_MAX: usize = 10_000;

/// How far ahead of the clock a time may lie that a reader begins at: clocks and time zones differ
/// by less, and milliseconds taken for seconds by far more.
pub const SINCE_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Messages that wait for their time, unless it is configured otherwise, and at most.
pub const SCHEDULE_DEFAULT: usize = 10_000;
/// The most that can be configured: all of them are looked at when one may be due.
pub const SCHEDULE_MAX: usize = 100_000;
/// Bytes that they hold in memory.
pub const SCHEDULE_BYTES_MAX: usize = 64 << 20;
/// One visitor's share of what may wait, in messages and in bytes: a part of all of it.
pub const SCHEDULE_SHARES: usize = 4;
/// Messages that are due and published together.
pub const SCHEDULE_DUE_MAX: usize = 256;
/// How often it is looked whether one is due: so late is it known that a clock was set.
pub const SCHEDULE_LOOK: Duration = Duration::from_secs(1);
/// How long what was published is remembered as waiting: by then the log is on the disk.
pub const SCHEDULE_FORGET: Duration = Duration::from_secs(3);
/// Lines of those that wait no more, beside as many of those that do, before the file is written
/// anew.
pub const SCHEDULE_LINES_SPARE: usize = 1024;

/// Messages in one batch of group commit.
pub const COMMIT_MESSAGES_MAX: usize = 4096;
/// A publisher commits by itself while commits take no longer than this: its thread serves others.
pub const COMMIT_SHORT: Duration = Duration::from_micros(200);
/// After so many commits one after another that were for one publisher, and during which no other
/// came, the next one is taken for the only one: it commits by itself however soon it comes back.
pub const COMMIT_ALONE: u32 = 16;
/// How often the writer's thread looks whether a publisher's commit hangs.
pub const COMMIT_LOOK: Duration = Duration::from_millis(100);

/// Messages kept in memory for readers that are not far behind. Tests keep few, so that their
/// readers cross from the log to memory often.
pub const TAIL_MESSAGES_MAX: usize = if cfg!(test) { 16 } else { 32_768 };
/// Bytes kept in memory for readers that are not far behind.
pub const TAIL_BYTES_MAX: usize = 16 << 20;

/// Patterns held against messages for one page from memory: a reader of many patterns that match
/// nothing keeps others waiting no longer than one of a few that match much.
pub const RING_TESTS_MAX: usize = 16_384;

/// Topics without a wildcard that one cursor may want, those of all its filters together.
pub const CURSOR_TOPICS_MAX: usize = 4096;
/// Patterns with a wildcard that one cursor may want, those of all its filters together.
pub const CURSOR_PATTERNS_MAX: usize = 64;
/// Names that all readers together may wait by, where a topic is one and a pattern one for each
/// segment: each costs up to 400 bytes, less where many readers wait by the same.
pub const CLAIMS_MAX: usize = if cfg!(test) { 16_384 } else { 1 << 20 };
/// Those that the readers of one visitor may wait by: also how much work a publish to a topic of
/// its choice can be.
pub const VISITOR_NAMES_MAX: u32 = 1 << 16;

/// Messages handed to a transport at a time.
pub const BATCH_MESSAGES_MAX: usize = 256;
/// Bytes handed to a transport at a time: what a slow reader can hold in memory.
pub const BATCH_BYTES_MAX: usize = 64 << 10;
/// Readers that are served by one task: how many writes others wait for at most.
pub const GROUP_MEMBERS_MAX: usize = 256;
/// A connection joins a group when its peer has said nothing for this long: who talks would only
/// come and go.
pub const GROUP_AFTER: Duration = Duration::from_millis(10);
/// Bytes of an answer that is compressed, while its thread serves nobody else: two milliseconds for
/// the longest.
pub const COMPRESSED_BYTES: std::ops::RangeInclusive<usize> = 32..=64 << 10;

/// Readers that look into the log on disk at the same time; others wait their turn.
pub const LOG_READERS_MAX: usize = 4;

/// Clients expect a sign of life that often. Where `--keepalive` is longer, they are told.
pub const KEEPALIVE_UNTOLD_MAX: Duration = Duration::from_secs(40);

/// How long the last publishes of a connection are waited for when it ends.
pub const SETTLE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long a publish may wait for its turn among those that wait for their time.
pub const PUBLISH_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long a publish may wait for room among the publishes in flight, or for the machines that
/// have the log, unless the settings say otherwise.
pub const PUBLISH_WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// How soon a cluster is asked again that was not there when the server started.
pub const CLUSTER_RETRY: Duration = Duration::from_millis(250);
/// How often the servers of a cluster are asked whether they sync each message.
pub const CLUSTER_MONITOR_LOOK: Duration = Duration::from_secs(10);
/// How long such an answer may take.
pub const CLUSTER_MONITOR_WAIT: Duration = Duration::from_secs(5);
/// How long a server waits for its cluster before it says that it is ready and lets people wait.
pub const CLUSTER_AT_ONCE: Duration = Duration::from_secs(1);
/// How soon it is looked again whether the machines that have the log are within reach.
pub const OUTAGE_LOOK: Duration = Duration::from_millis(50);
/// How soon a reader that waits asks again for what those machines have.
pub const UNREACHABLE_RETRY: Duration = Duration::from_millis(500);
/// What a refused publisher is told to wait, in seconds.
pub const RETRY_AFTER_SECONDS: u64 = 1;
/// Publishes of one connection of the line protocol that are not answered yet.
pub const PUBLISHES_PENDING_MAX: usize = 1024;

/// Subscriptions by datagrams at the same time.
pub const DATAGRAM_SUBSCRIPTIONS_MAX: usize = 16_384;
/// Subscriptions by datagrams of one visitor, each from a port of its own.
pub const DATAGRAM_SUBSCRIPTIONS_PER_HOST_MAX: usize = if cfg!(test) { 4 } else { 4096 };
/// A subscription by datagrams ends this long after it began or was renewed.
pub const DATAGRAM_LEASE: Duration = Duration::from_secs(60);
/// A cookie is good for the rest of this time and for as long again.
pub const DATAGRAM_COOKIE_WINDOW: Duration = Duration::from_secs(60);
/// Datagrams sent to one subscriber without a pause: what its socket's buffer surely holds.
pub const DATAGRAM_BURST_MAX: usize = 32;
/// The pause after as many: UDP itself never slows a sender down.
pub const DATAGRAM_BURST_PAUSE: Duration = Duration::from_millis(1);
/// Messages sent to one subscriber that is behind, until it says something: what is asked for with
/// somebody else's address is no more than that.
pub const DATAGRAM_REPLAY_MAX: usize = if cfg!(test) { 40 } else { 256 };

/// Waiting connections that the kernel may hold before they are accepted.
pub const BACKLOG: u32 = 4096;
/// Descriptors kept for files, pipes and the listeners themselves.
pub const DESCRIPTORS_RESERVED: u64 = 64 + FILES_OPEN_MAX as u64;
/// How long a TLS handshake may take.
pub const TLS_HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a client that does not speak TLS is told so.
pub const TLS_HINT_MAX: Duration = Duration::from_secs(1);
/// How often the files of TLS are looked at: a new certificate is shown after this long at most.
pub const TLS_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Bytes that are encrypted before a client has taken those before them: one record, which is what
/// a slow reader over TLS holds in memory.
pub const TLS_RECORD_BYTES_MAX: usize = 16 << 10;
/// Streams of one HTTP/2 connection at the same time.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Bytes that one stream of an HTTP/2 connection may hold before they are sent.
pub const HTTP2_SEND_BYTES_MAX: usize = 64 << 10;
/// One connection of so many may be one whose client has ended its side and still listens.
pub const HALF_CLOSED_SHARE: usize = 4;
/// When such a client is looked after: since it ended its side, or since something was written.
pub const HALF_CLOSED_LOOK: Duration = Duration::from_secs(1);
/// How long a peer may take to answer a ping.
pub const PONG_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long the rest of what a peer sends is read that was told why it is over.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_millis(500);
/// How much of it, or of a body that was refused.
pub const DRAIN_BYTES_MAX: u64 = 4 << 20;
/// Bytes of an answer over HTTP/2 that is sent as one piece: what a stream may hold when its client
/// has room for a part of it.
pub const HTTP2_WHOLE_BYTES_MAX: usize = 4 << 10;
/// Bytes of a piece of a longer one.
pub const HTTP2_PIECE_BYTES_MAX: usize = 16 << 10;
/// How long a body that was refused is read and thrown away.
pub const REFUSED_BODY_WAIT_MAX: Duration = Duration::from_secs(5);
/// Connections that are told at the same time that there is no room for them.
pub const REFUSALS_MAX: usize = 16;

/// Bytes of a PROXY header of version 2, with all that a proxy may tell of itself in it.
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;
/// Bytes of a PROXY header of version 1, as its specification has it.
pub const PROXY_LINE_BYTES_MAX: usize = 107;
/// Proxies that a request may have passed, as far as they are followed to its client.
pub const FORWARDED_PROXIES_MAX: usize = 16;

/// Sessions of the lab at the same time.
pub const LAB_SESSIONS_MAX: usize = 16;
/// Characters of the name that a page of the lab draws for itself.
pub const PAGE_NAME_CHARS: std::ops::RangeInclusive<usize> = 4..=16;
/// Characters of the name of a lane.
pub const LANE_NAME_CHARS_MAX: usize = 16;
/// Lanes of one page.
pub const LAB_LANES_MAX: usize = 16;
/// Connections that are charged to the lanes of one page at the same time.
pub const LAB_CONNECTIONS_MAX: usize = 40;
/// Rows of the table of connections that the lab sends.
pub const LAB_ROWS_MAX: usize = 50;
/// Rows of `/v1/connections` unless `max` says otherwise.
pub const CONNECTIONS_ROWS_DEFAULT: usize = 100;
/// The most that `max` can ask for there: each row costs a question to the kernel.
pub const CONNECTIONS_ROWS_MAX: usize = 1000;
/// Bytes of one frame from a page of the lab.
pub const LAB_FRAME_BYTES_MAX: usize = 4096;
/// What the subscribers of one session of the lab have told and its page has not heard: behind it
/// they read no further, as any slow reader.
pub const LAB_TOLD_MAX: usize = 256;
/// Traces of the lab at the same time: each has a ring of 8 MiB.
pub const LAB_TRACES_MAX: usize = 4;

/// Files that are held at the same time: each costs memory for as long as it is held.
pub const FILES_MAX: usize = 65_536;
/// Files that are sent or received at the same time: each has a descriptor.
pub const FILES_OPEN_MAX: usize = 128;
/// Those of one visitor: however slow it is, others have theirs.
pub const FILES_OPEN_PER_VISITOR_MAX: usize = 16;
/// Files that are read or written on disk at the same time; others wait their turn.
pub const FILE_WORKERS_MAX: usize = 4;
/// Bytes of a file that are read or written at once, and what of it is in memory.
pub const FILE_PIECE_BYTES: usize = 64 << 10;
/// Bytes that a file takes of the room for all, where it has fewer.
pub const FILE_BYTES_MIN: u64 = 4096;
/// Bytes of a file's beginning that are looked at to tell what it is.
pub const FILE_KIND_BYTES: usize = 8 << 10;
/// How fast a file must come, beyond the time that any request has.
pub const FILE_BYTES_PER_SECOND_MIN: u64 = 4096;
/// How far back from the last write to a file that was not finished its message is looked for:
/// clocks are set.
pub const FILE_CLOCK_SLACK: Duration = Duration::from_secs(600);

/// Bytes of a body that is JSON to fill in a template with, where a message may not have more.
pub const TEMPLATE_BODY_BYTES_MAX: usize = 128 << 10;
/// Bytes of the file of a template, which may hold three.
pub const TEMPLATE_FILE_BYTES_MAX: u64 = 128 << 10;
/// Bytes of the name of a template.
pub const TEMPLATE_NAME_BYTES_MAX: usize = 64;

/// Bytes of an access file.
pub const ACCESS_FILE_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a name in an access file.
pub const ACCESS_NAME_BYTES_MAX: usize = 128;
/// Rules that allow, and rules that deny, in one entry: each publish may be held against all.
pub const ACCESS_RULES_MAX: usize = 1024;
/// How often the access file is looked at, and so how late a right may end whose time has passed.
pub const ACCESS_LOOK: Duration = Duration::from_secs(1);
/// Passwords that are verified at the same time: each takes 19 MiB and a core.
pub const PASSWORDS_VERIFIED_AT_ONCE: usize = 2;
/// Passwords that wait for that; beyond it their clients are told to come back.
pub const PASSWORDS_WAITING_MAX: usize = 64;
/// How long it is remembered that a password is right.
pub const PASSWORDS_REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// How long it is remembered that one is wrong: for the request that it came with.
pub const PASSWORDS_WRONG_FOR: Duration = Duration::from_secs(10);
/// Passwords that are remembered, right and wrong.
pub const PASSWORDS_REMEMBERED_MAX: usize = 16_384;
/// How long a client may take to say who it is, where nothing is allowed before that.
pub const AUTHENTICATION_WAIT: Duration = Duration::from_secs(10);
/// Bytes of a line before that.
pub const AUTHENTICATION_LINE_BYTES_MAX: usize = 8 << 10;
/// How long a ticket is good.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(30);
/// Tickets that were made and not used.
pub const TICKETS_MAX: usize = 4096;
/// Those of one identity.
pub const TICKETS_PER_IDENTITY_MAX: usize = 64;
/// Those that are fetched at the same time from the servers that made them.
pub const TICKETS_FETCHED_AT_ONCE: usize = 64;
/// Bytes of a request for one.
pub const TICKET_BODY_BYTES_MAX: usize = 16 << 10;
/// Bytes of a token that others have signed.
pub const JWT_BYTES_MAX: usize = 8 << 10;
/// Bytes of the file of keys that such tokens are verified with.
pub const JWT_KEY_FILE_BYTES_MAX: u64 = 256 << 10;
/// Keys in it: a token that names none may be held against all.
pub const JWT_KEYS_MAX: usize = 16;
/// How far the clocks of issuers may be ahead.
pub const JWT_CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Such tokens that are remembered until they expire.
pub const JWTS_REMEMBERED_MAX: usize = if cfg!(test) { 4 } else { 16_384 };

/// Lines of the audit that wait to be written.
pub const AUDIT_LINES_MAX: usize = 1024;
/// How often a refusal of one address has a line, for each code.
pub const AUDIT_FAILURES_EVERY: Duration = Duration::from_secs(1);
/// Addresses, each with a code, of which it is kept when they had one.
pub const AUDIT_ADDRESSES_MAX: usize = 4096;
/// How long a file that takes no lines is waited for when the server stops.
pub const AUDIT_WAIT_MAX: Duration = Duration::from_secs(1);

/// Addresses of which it is kept what they have had; beyond it neighbours are one visitor.
pub const VISITORS_MAX: usize = 65_536;
/// Visitors that such neighbours make.
pub const VISITOR_CROWDS_MAX: u64 = 4096;
/// How often visitors at rest are forgotten.
pub const VISITORS_SWEEP: Duration = Duration::from_secs(60);
/// A conversation in lines is not read on while a bucket has no room, if it will have some within
/// this time; else its line is refused.
pub const VISITOR_LINE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Connections beyond the number of the setting: so many in which HTTP is asked for health, and as
/// many over the Unix socket.
pub const CONNECTIONS_RESERVED: usize = 16;
/// How long one in which health is asked for may last.
pub const RESERVED_CONNECTION_TIME: Duration = Duration::from_secs(2);

/// Calls to others of one kind that wait or are under way: beyond it they are dropped.
pub const OUTBOUND_WAITING_MAX: usize = 1024;
/// Those of them that are under way.
pub const OUTBOUND_RUNNING_MAX: usize = 16;
/// How long one may take, from the name of its server to the end of the answer.
pub const OUTBOUND_WHOLE_MAX: Duration = Duration::from_secs(15);
/// How long it may take to connect to one address.
pub const OUTBOUND_CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long those that wait or are under way have when the server stops.
pub const OUTBOUND_SETTLE_MAX: Duration = Duration::from_secs(1);
/// Addresses of one name that are tried.
pub const OUTBOUND_ADDRESSES_MAX: usize = 8;
/// Bytes of an answer's head, and of its body, that are read.
pub const OUTBOUND_ANSWER_BYTES_MAX: usize = 16 << 10;
/// Characters of the subject of a mail.
pub const MAIL_SUBJECT_CHARS_MAX: usize = 200;
/// Web Push subscriptions of browsers.
pub const PUSH_SUBSCRIPTIONS_MAX: usize = 10_000;
/// Those of one visitor.
pub const PUSH_SUBSCRIPTIONS_PER_VISITOR_MAX: usize = 32;
/// Topics of one, as in the dialect.
pub const PUSH_TOPICS_MAX: usize = 50;
/// Bytes of the address that a push service gives to a browser.
pub const PUSH_ENDPOINT_BYTES_MAX: usize = 2048;
/// Bytes of a request for one.
pub const PUSH_BODY_BYTES_MAX: usize = 32 << 10;
/// Seconds after which one ends that nobody renews.
pub const PUSH_GOOD_FOR: u64 = 60 * 24 * 60 * 60;
/// Seconds after which its browser is told that it is about to.
pub const PUSH_WARNED_AFTER: u64 = 55 * 24 * 60 * 60;
/// How often it is looked for those.
pub const PUSH_LOOK: Duration = Duration::from_secs(600);
/// Seconds that a push service keeps a push for a browser that is off.
pub const PUSH_TTL_SECONDS: u32 = 12 * 60 * 60;
/// Pushes to one browser that wait.
pub const PUSH_WAITING_MAX: usize = 32;
/// How often one is tried whose push service asks to come again.
pub const PUSH_TRIES_MAX: usize = 3;
/// How long a push service is left alone at most that asks for it.
pub const PUSH_RETRY_MAX: Duration = Duration::from_secs(60);
/// Pushes that fail one after the other before the subscription ends.
pub const PUSH_FAILURES_MAX: u32 = 8;
/// Lines of the file of subscriptions that hold no more, beside as many of those that do, before it
/// is written anew.
pub const PUSH_LINES_SPARE: usize = 1024;
/// How long what tells others of messages waits before it reads again after it could not.
pub const RELAY_RETRY: Duration = Duration::from_secs(1);
/// How often it is kept how far others were told.
pub const RELAY_NOTE: Duration = Duration::from_secs(1);
/// How long it waits at most before it looks again.
pub const RELAY_IDLE: Duration = Duration::from_secs(3600);
/// How often the log is told what failed or was dropped.
pub const OUTBOUND_TOLD_EVERY: Duration = Duration::from_secs(1);
