// tour/english.js: the words of the guided tour in English. Only words: steps.js says what
// there is to do, view.js puts it on the page. `code`, **strong** and {values} are filled in
// there. chinese.js has the same shape, member for member.

/** @type {import("./language.js").Texts} */
export const ENGLISH = {
  lang: "en",
  own: "English",
  frame: {
    label: "Guided tour",
    invite: "Take the tour",
    length: "6 steps, 5 minutes: from what a socket is to when polling wins",
    resume: "Go on with the tour",
    close: "Close the tour",
    language: "Language of the tour",
    steps: "Steps of the tour",
    previous: "Back",
    next: "Next",
    finish: "Finish",
    position: "Step {step} of {steps}",
    done: "done",
    do: "Now you",
    back: "Back to the tour",
    copy: "Copy",
    copied: "Copied",
    selected: "Selected; press Ctrl and C",
    unseen: "The page cannot see this: the server's lab is off (`--lab on`) or out of reach. You " +
      "can.",
    nodoor: "This server has no TCP port to try this at. Start it with `--tcp 127.0.0.1:1989`.",
    nodatagrams: "This server has no UDP port. Start it with `--udp 127.0.0.1:1990`.",
  },
  drawing: {
    client: "client",
    server: "server",
    first: "travels first",
    ask: "anything?",
    nothing: "no",
    news: "news",
    hello: "open",
    line: "line {n}",
    segment: "segment {n}",
    open: "open",
    yours: "what you came for",
    end: "close",
    lost: "lost",
    rate: "messages per second",
    bytes: "bytes for each message",
    polling: "polling",
    push: "push",
  },
  bytes: {
    label: "Address and port",
    examples: "For example",
    family: { ipv4: "IPv4 address", ipv6: "IPv6 address", unix: "path of a Unix socket" },
    port: "port {port}",
    count: "{count} bytes",
    swapped: "Read the wrong way round, port {port} would be {swapped}. `htons` and `ntohs` keep " +
      "the order right.",
    errors: {
      empty: "Type an address, such as `127.0.0.1:1989`.",
      name: "“{value}” is a name. A socket takes an address: DNS has to turn the one into the " +
        "other.",
      octet: "“{value}” is no IPv4 address: four numbers from 0 to 255, parted by dots.",
      groups: "“{value}” is no IPv6 address: eight groups of up to four hexadecimal digits, and " +
        "`::` at most once, for a run of zeros.",
      port: "“{value}” is no port: a port has two bytes, so it lies between 0 and 65535.",
      noport: "“{value}” says which house, but not which door. Add a port, as in " +
        "`127.0.0.1:1989` or `[::1]:1989`.",
      path: "A path of {value} bytes is too long: Linux takes up to 107.",
      zone: "“{value}” names a network interface as well. That part stays on the machine and " +
        "never travels; leave it out here.",
    },
  },
  steps: {
    socket: {
      name: "Sockets",
      title: "A socket is a door",
      paragraphs: [
        "A program cannot touch the network itself. It asks the system for a **socket**: an API " +
          "over TCP or UDP with a handful of calls, `connect`, `read`, `write`, `close`. Think " +
          "of a door. The **IP address** says which house, the **port** which door. An IPv4 " +
          "address has 4 bytes, an IPv6 address 16, a port 2. A **Unix socket** never leaves the " +
          "machine; its address is a path.",
        "On the wire the high byte goes first: **network byte order**. Port 1989 is `07 c5`, " +
          "whatever your processor prefers.",
      ],
      figure: "Port 1989 in network byte order: first 07, the high byte, then c5, the low one.",
      show: "See the doors in use",
      tasks: {
        bytes: {
          text: "Change the address below and watch its bytes.",
          waiting: "",
          done: "These bytes, in this order, are what `connect` hands to the system.",
        },
      },
    },
    first: {
      name: "Who speaks",
      title: "Who speaks first",
      paragraphs: [
        "Over HTTP the server is silent until it is asked. Whoever wants news has to ask again " +
          "and again, mostly in vain: **polling**. Long polling asks too, but the server keeps " +
          "its answer back until there is one.",
        "A socket that stays open works both ways: either side may write at any time. So the " +
          "server can speak the moment it has something to say: **push**. Here it even speaks " +
          "first, before you have typed a thing.",
      ],
      figure: "HTTP: the client asks, then the server answers. A socket: the server may begin.",
      show: "Show me the lanes",
      tasks: {
        ring: {
          text: "Ring: type a word under “Be the visitor”. See which lane hears it first.",
          waiting: "Waiting until push and polling have both heard it …",
          half: "Push has it. Polling has yet to look …",
          done: "Push had it after {push}, polling after {poll}.",
        },
        connect: {
          text: "In a terminal, connect and say nothing. The first line comes from the server.",
          waiting: "Waiting for a TCP connection that is not this page's …",
          done: "{peer} has just connected: that is you. You have a row in the table.",
        },
      },
    },
    line: {
      name: "Lines",
      title: "Why readLine() waits for \\n",
      paragraphs: [
        "TCP carries a **stream** of bytes and knows no messages. What was written at once may " +
          "arrive in pieces, or glued to what comes next. Something must say where a message " +
          "ends. Here it is one byte, the newline `0a`. So `readLine()` returns when that byte " +
          "has come, and not before.",
        "Two mistakes that everybody makes once: a line without its `\\n`, and a line that was " +
          "written but not **flushed**, so that it still sits in your own buffer. Either way " +
          "both sides wait for each other, politely, for ever.",
      ],
      figure: "Three segments carry two lines. Only the newline says where a line ends.",
      show: "Show me the connections",
      tasks: {
        half: {
          text: "Send half a line, hesitate for ten seconds, then send the rest.",
          waiting: "Waiting for half a line …",
          connected: "{peer} is connected and has said nothing yet.",
          half: "{bytes} bytes have come from {peer}, and no newline. The server waits.",
          done: "There came the newline, and with it the message.",
        },
      },
    },
    cost: {
      name: "Open, close",
      title: "What opening and closing cost",
      paragraphs: [
        "Before your first byte travels, TCP shakes hands: SYN, SYN ACK, ACK. **Three packets, " +
          "one round trip.** Closing takes four, a FIN and its ACK in each direction; three if " +
          "the other side has nothing left to say. That makes about 380 bytes without a word " +
          "said, and TLS asks for another round trip on top.",
        "A poll on a **new connection** pays this every time. A connection that is kept pays it " +
          "once, and so does push.",
      ],
      figure: "Three packets to open, four to close; between them, what you came for.",
      show: "Show me the packets",
      tasks: {
        looks: {
          text: "Look five times on five connections, then five times on one. The kernel counts.",
          waiting: "Waiting for either line …",
          half: "One of the two has come. Now the other line …",
          counted: "connections: {connections}, packets: {packets}, bytes on the wire: {bytes}",
          done: "Same answers, {ratio} times the packets when every look brings its own handshake.",
        },
        cut: {
          text: "Choose WebSocket under “Every packet on the wire”, then press “Hang up and call " +
            "again”: a goodbye, and a new hello.",
          waiting: "Waiting for a FIN in the trace …",
          unseen: "This server does not capture. The recording there shows a FIN too: look for it.",
          done: "That was the FIN. The lane comes back with a new SYN and misses nothing.",
        },
      },
    },
    datagrams: {
      name: "TCP, UDP",
      title: "TCP repairs, UDP lets go",
      paragraphs: [
        "**TCP** numbers every byte, has it acknowledged, sends again what was lost and keeps " +
          "the order. The price: a handshake first, and one lost packet holds up everything " +
          "behind it.",
        "**UDP** sends a datagram and lets go. It may be lost, doubled or overtaken, and nobody " +
          "tells you. In return there is no connection, and a datagram stays one piece. Repair " +
          "is up to you: here each event names the one before it (`prev`). A hole in that chain " +
          "is a loss, seen at once, and the client fetches what it missed.",
      ],
      figure: "Each event names the one before it. 44 says prev 43, but the last one seen was 42.",
      show: "Show me the lanes",
      tasks: {
        datagram: {
          text: "Subscribe by hand over UDP. The server answers with a `cookie`; say the line " +
            "again with ` cookie=…` at its end, to show that you hear.",
          waiting: "Waiting for a UDP subscriber that is not this page's …",
          done: "{peer} subscribes over UDP. No handshake, no connection: just an address that " +
            "answered.",
        },
      },
    },
    choose: {
      name: "Which one",
      title: "Polling or push?",
      paragraphs: [
        "**Push** is prompt: half a round trip after the news. It costs an open connection for " +
          "each reader, and a plan for the day it breaks. Chat, alarms, prices, games.",
        "**Polling** is late, by half an interval on average, and asks mostly in vain. But it is " +
          "simple, passes every proxy, can be cached, and the server remembers nobody. And when " +
          "news is frequent, one look brings many at once: fewer packets, fewer bytes for each. " +
          "Weather, reports, any value of which only the newest counts. What it cannot be is " +
          "both prompt and cheap.",
      ],
      figure: "Bytes on the wire per message: polling's fall with the rate of news, push's stay. " +
        "Where they cross, polling begins to win.",
      show: "Show me the sliders",
      tasks: {
        tune: {
          text: "Let polling look every 10 s or less often, and set visitors to five per second. " +
            "Then compare the bytes of each message.",
          waiting: "Waiting for the sliders: a look every {interval}, {rate} visitors per second …",
          done: "Now polling carries dozens of messages in one answer. Cheap, and late.",
        },
      },
    },
  },
};
