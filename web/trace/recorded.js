// trace/recorded.js: five real conversations as `doorbell trace --json --via WAY` wrote them, for a
// server that may not capture. Nothing in here is made up; the page labels it as recorded. Each row
// is a step: at_us, from, phase, flags, seq, ack, payload_bytes, wire_bytes, packets, words.

/** When each message was published, and every segment, by the way in which it came. */
const RECORDINGS = {
  poll: {
    client: "127.0.0.1:32936",
    server: "127.0.0.1:42707",
    published: 51472.9,
    rows: [
      [0.0, "client", "open", "SYN", 0, null, 0, 60, 1, "SYN"],
      [21.5, "server", "open", "SYN ACK", 0, 1, 0, 60, 1, "SYN ACK"],
      [38.0, "client", "open", "ACK", 1, 1, 0, 52, 1, "ACK"],
      [625.4, "client", "request", "PSH ACK", 1, 1, 68, 120, 1, "GET /demo/json?poll=1&since=none"],
      [636.4, "server", "request", "ACK", 1, 69, 0, 52, 1, "ACK"],
      [1580.8, "server", "answer", "PSH ACK", 1, 69, 259, 311, 1, "200 OK, empty"],
      [1588.4, "client", "answer", "ACK", 69, 260, 0, 52, 1, "ACK"],
      [33472.6, "client", "request", "PSH ACK", 69, 260, 109, 161, 1,
        "GET /demo/json?poll=1&since=0dp99ai9ADZI, If-None-Match"],
      [34449.9, "server", "answer", "PSH ACK", 260, 178, 176, 228, 1, "304 Not Modified"],
      [72537.1, "client", "request", "PSH ACK", 178, 436, 109, 161, 1,
        "GET /demo/json?poll=1&since=0dp99ai9ADZI, If-None-Match"],
      [73631.3, "server", "answer", "PSH ACK", 436, 287, 419, 471, 1,
        "200 OK, message 'somebody is here'"],
      [73735.2, "client", "close", "FIN ACK", 287, 855, 0, 52, 1, "FIN ACK"],
      [73842.0, "server", "close", "FIN ACK", 855, 288, 0, 52, 1, "FIN ACK"],
      [73857.0, "client", "close", "ACK", 288, 856, 0, 52, 1, "ACK"],
    ],
  },
  longpoll: {
    client: "127.0.0.1:50228",
    server: "127.0.0.1:45843",
    published: 32323.3,
    rows: [
      [0.0, "client", "open", "SYN", 0, null, 0, 60, 1, "SYN"],
      [18.4, "server", "open", "SYN ACK", 0, 1, 0, 60, 1, "SYN ACK"],
      [34.6, "client", "open", "ACK", 1, 1, 0, 52, 1, "ACK"],
      [535.7, "client", "request", "PSH ACK", 1, 1, 68, 120, 1, "GET /demo/json?poll=1&since=none"],
      [548.8, "server", "request", "ACK", 1, 69, 0, 52, 1, "ACK"],
      [1440.6, "server", "answer", "PSH ACK", 1, 69, 259, 311, 1, "200 OK, empty"],
      [1448.7, "client", "answer", "ACK", 69, 260, 0, 52, 1, "ACK"],
      [1614.0, "client", "request", "PSH ACK", 69, 260, 85, 137, 1,
        "GET /demo/json?poll=1&since=0dp9EaQo02bY&wait=10s"],
      [34472.2, "server", "answer", "PSH ACK", 260, 154, 419, 471, 1,
        "200 OK, message 'somebody is here'"],
      [34955.5, "client", "close", "FIN ACK", 154, 679, 0, 52, 1, "FIN ACK"],
      [35026.1, "server", "close", "FIN ACK", 679, 155, 0, 52, 1, "FIN ACK"],
      [35035.9, "client", "close", "ACK", 155, 680, 0, 52, 1, "ACK"],
    ],
  },
  sse: {
    client: "127.0.0.1:57516",
    server: "127.0.0.1:41375",
    published: 34114.9,
    rows: [
      [0.0, "client", "open", "SYN", 0, null, 0, 60, 1, "SYN"],
      [18.3, "server", "open", "SYN ACK", 0, 1, 0, 60, 1, "SYN ACK"],
      [34.3, "client", "open", "ACK", 1, 1, 0, 52, 1, "ACK"],
      [237.6, "client", "request", "PSH ACK", 1, 1, 76, 128, 1, "GET /demo/sse"],
      [245.6, "server", "request", "ACK", 1, 77, 0, 52, 1, "ACK"],
      [1444.8, "server", "answer", "PSH ACK", 1, 77, 371, 423, 1, "200 OK, open"],
      [1466.1, "client", "answer", "ACK", 77, 372, 0, 52, 1, "ACK"],
      [39869.9, "server", "push", "PSH ACK", 372, 77, 188, 240, 1, "message 'somebody is here'"],
      [39917.6, "client", "push", "ACK", 77, 560, 0, 52, 1, "ACK"],
      [40662.0, "client", "close", "FIN ACK", 77, 560, 0, 52, 1, "FIN ACK"],
      [40942.4, "server", "close", "FIN ACK", 560, 78, 0, 52, 1, "FIN ACK"],
      [40957.6, "client", "close", "ACK", 78, 561, 0, 52, 1, "ACK"],
    ],
  },
  ws: {
    client: "127.0.0.1:60438",
    server: "127.0.0.1:46767",
    published: 35367.5,
    rows: [
      [0.0, "client", "open", "SYN", 0, null, 0, 60, 1, "SYN"],
      [20.9, "server", "open", "SYN ACK", 0, 1, 0, 60, 1, "SYN ACK"],
      [36.9, "client", "open", "ACK", 1, 1, 0, 52, 1, "ACK"],
      [371.2, "client", "request", "PSH ACK", 1, 1, 161, 213, 1, "GET /demo/ws, Upgrade"],
      [380.8, "server", "request", "ACK", 1, 162, 0, 52, 1, "ACK"],
      [1360.3, "server", "answer", "PSH ACK", 1, 162, 198, 250, 1, "101 Switching Protocols"],
      [1392.0, "client", "answer", "ACK", 162, 199, 0, 52, 1, "ACK"],
      [1580.3, "server", "push", "PSH ACK", 199, 162, 106, 158, 1, "open"],
      [1587.3, "client", "push", "ACK", 162, 305, 0, 52, 1, "ACK"],
      [39454.8, "server", "push", "PSH ACK", 305, 162, 161, 213, 1, "message 'somebody is here'"],
      [39472.5, "client", "push", "ACK", 162, 466, 0, 52, 1, "ACK"],
      [40082.8, "client", "close", "PSH ACK", 162, 466, 8, 60, 1, "WebSocket close"],
      [40208.6, "server", "close", "PSH ACK", 466, 170, 4, 56, 1, "WebSocket close 1000"],
      [40244.8, "server", "close", "FIN ACK", 470, 170, 0, 52, 1, "FIN ACK"],
      [40378.3, "client", "close", "ACK", 170, 471, 0, 52, 1, "ACK"],
      [43565.9, "client", "close", "FIN ACK", 170, 471, 0, 52, 1, "FIN ACK"],
      [43586.7, "server", "close", "ACK", 471, 171, 0, 52, 1, "ACK"],
    ],
  },
  tcp: {
    client: "127.0.0.1:46472",
    server: "127.0.0.1:36845",
    published: 54541.0,
    rows: [
      [0.0, "client", "open", "SYN", 0, null, 0, 60, 1, "SYN"],
      [20.7, "server", "open", "SYN ACK", 0, 1, 0, 60, 1, "SYN ACK"],
      [36.9, "client", "open", "ACK", 1, 1, 0, 52, 1, "ACK"],
      [21501.5, "server", "push", "PSH ACK", 1, 1, 165, 217, 1, "open"],
      [21542.0, "client", "push", "ACK", 1, 166, 0, 52, 1, "ACK"],
      [21709.1, "client", "request", "PSH ACK", 1, 166, 9, 61, 1, "SUB demo"],
      [21741.3, "server", "request", "ACK", 166, 10, 0, 52, 1, "ACK"],
      [22177.5, "server", "answer", "PSH ACK", 166, 10, 103, 155, 1, "ok"],
      [56710.5, "server", "push", "PSH ACK", 269, 10, 158, 210, 1, "message 'somebody is here'"],
      [56733.9, "client", "push", "ACK", 10, 427, 0, 52, 1, "ACK"],
      [58797.4, "client", "close", "PSH ACK", 10, 427, 5, 57, 1, "QUIT"],
      [58971.9, "server", "close", "PSH ACK", 427, 15, 107, 159, 1, "close"],
      [58992.1, "server", "close", "FIN ACK", 534, 15, 0, 52, 1, "FIN ACK"],
      [59160.2, "client", "close", "ACK", 15, 535, 0, 52, 1, "ACK"],
      [62307.2, "client", "close", "FIN ACK", 15, 535, 0, 52, 1, "FIN ACK"],
      [62326.3, "server", "close", "ACK", 535, 16, 0, 52, 1, "ACK"],
    ],
  },
};

/**
 * A recorded conversation in the shape of the lab's `trace` objects.
 * @param {string} way poll, longpoll, sse, ws or tcp
 * @returns {object}
 */
export function recording(way) {
  const { client, server, published, rows } = RECORDINGS[way];
  const ends = { connection: 1, client, server, has_begin: true, has_end: true };
  return { kind: "trace", lane: way, ...ends, first: 0, steps: rows.map(step), published };
}

function step([at_us, from, phase, flags, seq, ack, payload_bytes, wire_bytes, packets, words]) {
  const sizes = { payload_bytes, wire_bytes, packets };
  return { at_us, from, phase, flags: flags.split(" "), seq, ack, ...sizes, words };
}
