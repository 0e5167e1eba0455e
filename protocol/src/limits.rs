//! Every bound of the wire, with its unit and what it stops. Bounds of resources (connections,
//! memory, time) are the server's and live in its configuration.

/// Bytes of a topic name: keys in memory and on disk stay small.
pub const TOPIC_BYTES_MAX: usize = 128;
/// Topics without a wildcard in one filter, and the most that a server can be configured to take.
pub const FILTER_TOPICS_MAX: usize = 1024;
/// Patterns with a wildcard in one filter: a topic may be held against all of them.
pub const FILTER_PATTERNS_MAX: usize = 64;
/// Filters subscribed on one connection of the line protocol, unless configured otherwise.
pub const SUBSCRIPTIONS_DEFAULT: usize = 64;
/// Bytes of a message text unless the server is configured otherwise.
pub const MESSAGE_BYTES_DEFAULT: usize = 4096;
/// The most that the limit of a message text can be set to, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a message text that is given as a parameter, if the limit of a text is not above: it
/// stands in the head of a request, which has a bound of its own.
pub const MESSAGE_PARAMETER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a title.
pub const TITLE_BYTES_MAX: usize = 1024;
/// Bytes of all tags together, without what parts them.
pub const TAGS_BYTES_MAX: usize = 512;
/// Bytes of an address, such as that of a click or an icon; those that are signed are long.
pub const URL_BYTES_MAX: usize = 16 << 10;
/// Bytes of a message as JSON, at the most that all limits can be set to: each byte of its texts
/// may stand escaped in six, and there is room for names and numbers.
pub const EVENT_BYTES_MAX: usize = 6
    * (MESSAGE_BYTES_MAX
        + TITLE_BYTES_MAX
        + 2 * TAGS_BYTES_MAX
        + 3 * URL_BYTES_MAX
        + ATTACHMENT_NAME_BYTES_MAX
        + 2 * ACTIONS_BYTES_MAX
        + 1024);
/// Bytes of the delay of a message, as it is said.
pub const DELAY_BYTES_MAX: usize = 64;
/// Bytes of the address that a message is sent to as mail.
pub const EMAIL_BYTES_MAX: usize = 320;
/// Seconds that the delay of a message is at least.
pub const DELAY_SECONDS_MIN: u64 = 10;
/// Seconds that the delay of a message is at most.
pub const DELAY_SECONDS_MAX: u64 = 3 * 24 * 60 * 60;
/// Action buttons of one message.
pub const ACTIONS_MAX: usize = 3;
/// Bytes of the actions parameter, in either of its forms.
pub const ACTIONS_BYTES_MAX: usize = 16 << 10;
/// Bytes of the name of a file, beyond which it is cut.
pub const ATTACHMENT_NAME_BYTES_MAX: usize = 255;
/// Bytes of a sequence id.
pub const SEQUENCE_ID_BYTES_MAX: usize = 64;
/// Bytes of one line from a client, its end not counted, unless configured otherwise.
pub const LINE_BYTES_DEFAULT: usize = 64 << 10;
/// Bytes of the word that `PING` carries and `pong` returns.
pub const PING_BYTES_MAX: usize = 128;
/// Bytes of a datagram's payload, either way: with its headers it fits into the 1,280 bytes that
/// every network of IPv6 carries whole, and in practice every network of IPv4.
pub const DATAGRAM_BYTES_MAX: usize = 1200;
/// Bytes of one HTTP header block, unless configured otherwise.
pub const HEADER_BYTES_DEFAULT: usize = 32 << 10;
/// Messages in one poll answer unless `max` says otherwise.
pub const POLL_MESSAGES_DEFAULT: usize = 1000;
/// The most that `max` can ask for in one poll answer.
pub const POLL_MESSAGES_MAX: usize = 10_000;
/// Seconds that a long poll may wait.
pub const WAIT_SECONDS_MAX: u64 = 60;
/// Seconds between two polls that a server may ask for: what waits longer is soon let go of.
pub const POLL_INTERVAL_SECONDS_MAX: u64 = 60 * 60;
/// Seconds that a message may wait for others to go out with: a reader that lets it wait longer
/// had better poll.
pub const COALESCE_SECONDS_MAX: u64 = 60;
