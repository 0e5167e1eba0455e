// words/english.js: every word of the pages in English: first view, laboratory, tour, inbox. Only
// words, by the keys with which a page asks say.js for them. `code`, **strong** and {values} are
// filled in there; a key that ends in `_one` is for a value n of one. The other languages are files
// of the same shape, member for member.

/** @type {import("./say.js").Words} */
export const ENGLISH = {
  lang: "en",
  own: "English",
  short: "EN",
  page: {
    title: "doorbell: polling and push, side by side",
    description: "The same messages by polling and by push, measured live on one time axis.",
    language: "Language",
    skip: "Skip to the picture",
    pages: "Pages",
    further: "Further pages",
    laboratory: "Laboratory",
    inbox: "Inbox",
    topic: "Topic",
    open: "Open",
    wrongtopic: "Letters, digits, _ and -, parted by dots",
    copy: "Copy",
    copied: "Copied",
    selected: "Selected",
    presskeys: "Selected; press Control and C to copy",
    madehere: "This page is served by the server it measures, with no build step and nothing " +
      "from elsewhere.",
  },
  token: {
    label: "Token",
    form: "Letters, digits and signs, without a space",
    signin: "Sign in",
    signout: "Sign out",
    signedin: "signed in as {name}",
    notkept: "this browser keeps nothing, not even for a tab",
  },
  notify: {
    switch: "Notify me",
    what: "Messages of this topic, also while no page is open",
    failed: "not told: {why}",
    refused: "this browser does not let the page notify",
    notstarted: "the service worker did not start",
  },
  first: {
    headline: "Walk to the door, or hear the bell",
    lede: "{polling} asks the server for messages every few seconds, often for nothing. {push} " +
      "is a doorbell: one connection stays open, and the server rings the moment there is a " +
      "message.",
    polling: "Polling",
    push: "Push",
    text: "Your message",
    placeholder: "Ding-dong",
    ring: "Ring",
    picture: "Polling and push on one time axis",
    published: "Published",
    pollcost: "requests: {requests}, for nothing: {empty}",
    pushwhat: "one connection",
    pushcost: "requests to connect: {requests}",
    alone: "A simulation: there is no server, and a line of 20\u00a0ms there and back.",
    connecting: "Connecting to the server …",
    ready: "Press the bell, and see which of the two hears it first.",
    both: "Push had it after {push}, polling after {poll}.",
    pending: "Push had it after {push}. Polling does not know yet, {poll} on.",
    interval: "Polling asks every",
    every: "every {interval}",
    often: "Often is quick and wasteful; seldom is cheap and late.",
    network: "Network, simulated:",
    networks: {
      none: "as it is",
      wifi: "a busy Wi-Fi",
      phone: "a phone outdoors",
      train: "your phone in a train",
      tunnel: "the train in a tunnel",
    },
    asitis: "Nothing is added: messages arrive as they come.",
    simulated: "This page holds back what it receives: {delay} each way, and {loss} of packets " +
      "lost and sent again.",
    stream: "Ring by itself",
    share: "Copy link",
    sharetitle: "A link to this picture with its settings",
    shared: "Link copied",
    link: "Link to this picture",
    more: "In the laboratory: six ways of receiving, their bytes and packets, the arithmetic, " +
      "and your own terminal.",
    tour: "Tour in six steps",
    terminal: "From a terminal",
    counting: "How this is counted",
    source: "Source and papers are in the repository of the version named here.",
    summary: "Polling asked {requests} times, {empty} times for nothing.",
  },
  laboratory: {
    title: "doorbell laboratory: six ways of receiving, measured live",
    description: "Polling, long poll, SSE, WebSocket, TCP and UDP on one time axis, measured live.",
    headline: "The laboratory",
    lede: "Every contender waits for the same messages, on one time axis. **Polling** sends a " +
      "request at an interval, **long poll** sends one that the server keeps until there is a " +
      "message, and **push** keeps a connection open. Choose who takes part.",
    picture: "The contenders on one time axis",
    contenders: "Contenders",
    published: "Published",
    canvas: "Moving timeline of all lanes; the newest is at the right edge",
    waiting: "Waiting for the first message.",
    legend: "Legend",
    legends: {
      published: "published here",
      empty: "empty answer",
      waits: "message not fetched yet",
      held: "a request waits",
      open: "an open connection",
      message: "a message",
      elsewhere: "from elsewhere",
      failed: "no answer",
    },
    publish: "Publish a message",
    ring: "Ring",
    interval: "Polling asks every",
    often: "Often is quick and wasteful; seldom is cheap and late.",
    stream: "Demo stream",
    hold: "Hold picture",
    rate: "Messages, at random:",
    persecond: "{rate} per second",
    oneper: "one per {seconds} s",
    onaverage: "on average {rate}",
    score: "What it costs, what it brings",
    counted: "counted for {age}; another interval or choice starts anew",
    restart: "Start anew",
    table: "Counters of each lane",
    inwords: "In words",
    theory: "Does the arithmetic hold?",
    recover: "See it recover",
    recovers: "Cut this page's line, as when a laptop leaves its Wi-Fi: its open connections are " +
      "closed, and nothing gets through until the time is over. Messages are published all the " +
      "same. Each lane notices in its own time, comes back by itself and resumes after the last " +
      "message it saw. It is done in this page; TCP and UDP are read at the server and not cut.",
    cut: "Cut the line for {seconds} s",
    iscut: "The line is cut",
    spread: "How the delays are spread",
    axis: "logarithmic: every line is ten times the one before; a flag at the median",
    nodelays: "No delays yet. Ring, or switch the demo stream on.",
    connections: "Connections",
    off: "Every connection would be listed here, your own `nc` among them, as you type. The lab " +
      "that watches them is off on this server; `--lab on` switches it on.",
    lights: "A cell lights up for a moment when what it says has changed.",
    fair: "Is that fair to polling?",
    best: "It plays here at its best. The connection is kept open between requests. A cursor " +
      "makes sure that nothing falls between two of them. `ETag` and `If-None-Match` turn an " +
      "empty answer into a short `304`, answers come compressed if the browser likes, and the " +
      "requests begin at a random moment, in step with nobody.",
    wins: "And it can win. When messages are frequent, one request brings many at once: fewer " +
      "answers, fewer packets, fewer bytes on the wire for each message. Try five messages per " +
      "second and a request every 10 s. If a late answer is good enough, or only the newest " +
      "value matters, polling is a sound choice. What it cannot be is both prompt and cheap.",
    terminal: "Try it from a terminal",
    watchboth: "Leave one line running, publish from another window, and watch both.",
    unknown: "The server has not said yet where its raw port is, so only the HTTP lines are shown.",
    loopback: "The raw port listens on the server's own machine only: run the `nc` lines there.",
    messages: "Last messages",
    newest: "the newest fifty, with the way each came",
    none: "None yet. Ring, or switch the demo stream on.",
  },
  counting: {
    title: "How this is counted",
    delay: "**Delay** is measured on one clock, the one of this page: from the moment just " +
      "before it sends a message to the moment a lane hands that message back. Messages from " +
      "elsewhere have no such stamp, so they get no delay; only the difference between the lanes " +
      "is told. Messages that were under way while this tab was hidden are left out, because " +
      "browsers slow the timers of hidden tabs.",
    server: "**TCP and UDP** a browser cannot speak. The server's side runs a subscriber of " +
      "each: a real socket that connects to the server's own port and reads like any program. " +
      "Their delay is on **the server's clock**, from the moment at which the server accepted a " +
      "message to the moment at which the subscriber had read it. It leaves out the way from the " +
      "page to the server and the work of the browser, so it stands beside the other delays and " +
      "is never compared with them. In the picture their dots stand where this page was told. " +
      "After a break they begin anew, without a memory.",
    hidden: "**Hidden tabs rest.** Over HTTP/1.1 a browser opens six connections to one server, " +
      "for all tabs together; held requests and streams of hidden tabs would block the one you " +
      "look at. So all lanes but WebSocket, which does not count among the six, let go while the " +
      "tab is hidden, and go on after their last message when it is seen again.",
    wire: "**On the wire** is what the server's kernel counted for this page's connections: " +
      "every segment with its headers of IP and TCP, both ways, handshake and goodbye, " +
      "acknowledgements and retransmission included. Frames of the link below are not. A " +
      "datagram counts as its payload and 28 bytes (48 over IPv6). The browser may send requests " +
      "of two lanes over one connection; each request then marks where one lane ends and the " +
      "next begins, and an acknowledgement that comes late is charged to the neighbour. Each " +
      "request names its lane, in some twenty bytes that a page without a lab would not send.",
    estimate: "While the lab is off, **≈** marks an estimate in its place: 52 bytes of headers " +
      "for every packet that the traffic needs, as if each frame travelled alone and were " +
      "acknowledged alone, without goodbyes and retransmission.",
    application: "**Application bytes** are those of HTTP and WebSocket, both directions, " +
      "without TCP and IP headers, as the server's kernel counted them with the packets. Without " +
      "the lab they are an estimate (≈): a page cannot see its own request headers, so they are " +
      "rebuilt from what the browser is known to send. For answers the browser's resource timing " +
      "is then taken where it measures; where it adds only its flat allowance of 300 bytes, the " +
      "status line and the visible headers are counted instead. A WebSocket message is its " +
      "payload and a frame header, a server-sent event its lines and the frame of its chunk; " +
      "opening a connection is a request and its answer.",
    anew: "**A new count** subtracts what was before, everywhere: connections that are open stay " +
      "open, and what it cost to open them belongs to the old count. The first request of " +
      "polling and of long poll only fetches the place to begin at; it is counted, but not as " +
      "empty.",
    tick: "The tick (✓) goes to whoever is best, and to those within 5 % of it.",
    ids: "**Messages per answer** looks at answers that brought any; on an open connection an " +
      "answer is one frame. **Missed**, **out of order** and **repeated** compare ids: each must " +
      "come once in each lane, and later than those before it. UDP promises none of it: what it " +
      "lost is told by the chain of ids in its datagrams.",
  },
  lanes: {
    poll: { title: "Polling", text: "polling", what: "a request every", up: "the server answers" },
    longpoll: { title: "Long poll", text: "long poll", what: "a request that waits",
      up: "a request waits" },
    sse: { title: "SSE", text: "SSE", what: "an endless answer", up: "connected" },
    ws: { title: "WebSocket", text: "WebSocket", what: "one connection, both ways",
      up: "connected" },
    tcp: { title: "TCP", text: "TCP", what: "lines, as nc reads", up: "connected" },
    udp: { title: "UDP", text: "UDP", what: "single datagrams", up: "subscribed" },
  },
  lane: {
    connecting: "connecting…",
    up: "{up} {more}",
    port: "from port {port}",
    named: "and asks every {interval}, as it is told",
    down: "not connected: {why}",
    waiting: "not connected: {why}; reconnecting in {seconds} s",
    spoken: "{lane}: {state}",
    lost: "not connected, {why}",
    again: "{up} again",
    retry: "Try now",
    median: "median delay",
    accepted: "after acceptance",
    serverclock: "median, measured on the server's clock",
    gap: "{time}: {lane} met a gap: some messages are no longer held by the server ({why}). It " +
      "says so, instead of skipping them silently.",
    expired: "they are too old",
    foreign: "the log is a new one",
    noreason: "no reason given",
    last: "Last message: {words}.",
    comma: ", ",
    semicolon: "; ",
    pushed: "{lane} had it after {delay}",
    also: "{lane} {delay}",
    notyet: "push has not had it yet",
    toask: "polling has yet to ask",
    polled: "polling had it after {delay}",
  },
  outage: {
    caption: "How each lane came through the cut",
    noticed: "noticed after",
    again: "heard again, from its end",
    missed: "missed",
    repeated: "repeated",
    notyet: "not yet",
    notcut: "not cut: it is read at the server",
    begun: "The line is cut for {seconds} seconds.",
    told: "All lanes hear again. From the end of the cut: {words}.",
    after: "{lane} {time}",
  },
  why: {
    noanswer: "no answer",
    within: "no answer within {seconds} s",
    since: "{why}, no answer since",
    offline: "this device is offline",
    broke: "the connection broke",
    trying: "{why}; the browser is trying again",
    silent: "the connection went silent",
    stopping: "the server is stopping",
    cut: "you have cut the line",
    notheld: "not held back",
    status: "the server answered {status}",
    said: "the server answered {status}: {error}",
    wait: "the server asks us to wait {seconds} s",
    outstanding: "{count} messages are still on their way",
    noid: "the server's answer names no id",
    toolong: "Too long: at most {bytes} bytes.",
    notpublished: "Not published: {why}.",
    nolab: "the lab does not answer",
    labbroke: "the connection to the lab broke",
    gone: "gone, in a gap",
    missed: "missed it",
    switchedoff: "was switched off",
    away: "was not connected",
  },
  score: {
    caption: "The counters of each lane",
    pageclock: "page's clock",
    serverclock: "server's clock",
    median: "Median delay",
    p99: "99 of 100 within",
    worst: "Worst delay",
    requests: "Requests",
    empty: "Empty answers",
    unchanged: "a short 304",
    messages: "Messages",
    answer: "Messages per answer",
    bytes: "Application bytes",
    wire: "On the wire",
    in: "to the server",
    out: "from the server",
    packets: "Packets",
    missed: "Missed",
    disordered: "Out of order",
    repeated: "Repeated",
    howbytes: "how bytes are counted",
    howwire: "how bytes on the wire are counted",
    after: "after {count} more",
    failed: "{count} failed",
    connect: "to connect",
    none: "none asked",
    each: "{bytes} each",
  },
  verdict: {
    waiting: "A few more messages, and this line says which lane is ahead in what.",
    same: "Delay: no difference to speak of.",
    ahead: "Delay: {lane} is ahead with {delay}; {last} takes {times} times as long.",
    server: "On the server's clock, from its acceptance on, a message was read by {lanes}.",
    read: "{lane} after {delay}",
    comma: ", by ",
    bytessame: "Bytes on the wire: all move about the same.",
    bytes: "Bytes on the wire for each message: {least} moves the fewest, {bytes}, {most} " +
      "{times} times as many{why}.",
    bulk: "; one answer of polling brings {count} at once",
    vain: "; {share} of its answers were empty",
    asked: "{lane} asked {requests} times, {empty} of them for nothing, and brought {messages} " +
      "messages, median delay {median}.",
    brought: "{lane} brought {messages} messages, median delay {median}.",
  },
  theory: {
    setting: "Messages come at random, λ = {rate} per second; polling asks every T = {interval}, " +
      "a held request waits W = 30 s at most.",
    delay: "Mean delay of polling, T/2",
    empty: "Empty answers, e^−λT^",
    questions: "Long poll asks, λ/(1 − e^−λW^)",
    expected: "expected {value}",
    measured: "measured {value}",
    sample: "{value}, n\u00a0=\u00a0{count}",
    more: "after {count} more samples",
    perminute: "{count}/min",
  },
  picture: {
    now: "now",
    ago: "{seconds} s ago",
    short: "{seconds} s",
    elsewhere: "elsewhere",
    more: "{count} more in the lowest row",
    accepted: "after accept.",
    nodelay: "{lane}: no delay yet.",
    spread: "{lane}: from {least} to {most}, median {median}; {count}.",
    spreadserver: "{lane}: from {least} to {most}, median {median}, after acceptance, on the " +
      "server's clock; {count}.",
    count: "n = {count}",
  },
  messages: {
    elsewhere: "from elsewhere",
    priority: "{name} priority",
    priorities: { 1: "lowest", 2: "low", 4: "high", 5: "highest" },
    happenings: [
      "Parcel for number 12",
      "A neighbour brings back the ladder",
      "Somebody forgot the keys again",
      "The plumber, half an hour early",
      "Two children selling lemonade",
      "Post that needs a signature",
      "A friend with a cake",
      "Wrong house, sorry",
    ],
  },
  connections: {
    caption: "Connections, as the server sees them",
    others: "Others: your own nc, curl, another page",
    nobody: "Nobody else yet. Here is where your own connection will appear.",
    own: "This page",
    idle: "Between two requests, or watching like this page",
    new: "A new {via} connection from {peer}",
    machine: "this machine",
    connection: "{count} connection{shown}; {others} besides this page",
    connections: "{count} connections{shown}; {others} besides this page",
    shown: ", {count} of them shown",
    none: "nobody",
    publish: "publishing",
    lab: "this table",
    near: "from your address",
    resting: "kept open",
    watching: "a page like this",
    way: "Way",
    ends: "Client, server",
    age: "Age",
    reads: "Reads",
    behind: "Behind",
    trip: "Round trip",
    least: "least {trip}",
    bytes: "Bytes",
    segments: "Segments",
    wire: "On the wire",
    waits: "waits for news",
    places: "{count} behind",
    laboff: "The server's lab is off, or for administrators only: no lanes of TCP and UDP, no " +
      "table of connections, and bytes on the wire are estimates (≈).",
    labwaiting: "The connection to the server's lab broke and is being tried again. Until then " +
      "TCP and UDP rest, and what the kernel counts stands still.",
  },
  terminal: {
    push: "Receive as it happens (push)",
    poll: "Ask (polling)",
    publish: "Publish",
    byhand: "by hand: connect, then type the second line",
    online: "the same in one line",
    unix: "over the Unix socket",
    udp: "over UDP: type the second line, then the third with the cookie it was given",
    sse: "server-sent events",
    client: "the doorbell client, which reconnects",
    held: "everything that is held",
    wait: "a request that waits for news",
    http: "over HTTP",
    tcp: "over TCP",
    publisher: "the doorbell client",
    invitation: "Open a terminal, type `{connect}`, and you have a row here before you have said " +
      "a word. Then type `{subscribe}` and watch it.",
  },
  trace: {
    title: "Every packet on the wire",
    note: "Times are between packets; bytes with the headers of IP and TCP.",
    watch: "Watch",
    again: "Hang up and call again",
    clear: "Clear",
    list: "Packets, oldest first",
    udp: "UDP is not among them: it has no connection to draw. Each datagram is one packet, " +
      "unannounced and unacknowledged.",
    phases: { open: "open", request: "request", answer: "answer", push: "push", close: "close" },
    ends: { browser: "browser", subscriber: "subscriber", server: "server" },
    off: "The server's lab is off, so packets cannot be shown live. `--lab on` switches it on.",
    away: "Not connected to the server's lab: {why}.",
    says: "The lab says: {error}",
    listening: "Listening. Packets appear here as they cross the wire.",
    recorded: "Recorded by doorbell trace: one subscription and one message over {lane}.",
    choose: "Choose a way above to watch your own packets.",
    keeps: "This way keeps its connection: the browser does not let a page close it.",
    packet: "{count} packet, {bytes}\u00a0B",
    packets: "{count} packets, {bytes}\u00a0B",
    none: "none",
    capture: "This server does not capture. To watch your own packets, start it with `sudo " +
      "doorbell-server --trace`, or give it the right once with `sudo setcap cap_net_raw+ep " +
      "\"$(command -v doorbell-server)\"` and start it with `--trace`.",
    connection: "Connection {number}",
    published: "somebody else publishes the message",
    after: "after",
    bytes: "bytes",
    fromto: "{from} to {to}: ",
    silence: "{time} without a packet",
    several: "{count} packets",
    says_open: "Both sides agree on the numbers they count from: three packets, one round trip, " +
      "and nothing said yet.",
    says_close: "Each direction ends by itself: a FIN, and an ACK for it.",
    says_poll: {
      request: "A request at every interval, whether or not there is news.",
      answer: "Mostly empty: a short 304, or news that has waited for somebody to ask.",
      push: "None. To those who poll, nobody speaks first.",
    },
    says_longpoll: {
      request: "A request that says: answer when you have something.",
      answer: "Kept back until there is news. Then the next request has to follow.",
      push: "None in name: the kept answer does its work.",
    },
    says_sse: {
      request: "One request, for as long as the connection lives.",
      answer: "It begins, and does not end.",
      push: "Each message is a further piece of that answer: a packet and its ACK.",
    },
    says_ws: {
      request: "One request, to turn HTTP into a WebSocket.",
      answer: "101: from here on it is a socket, and both sides may speak.",
      push: "The server speaks unasked: one packet a message, and its ACK.",
    },
    says_tcp: {
      request: "A line: SUB and a topic. That is the whole protocol.",
      answer: "A line: ok.",
      push: "The server speaks unasked, and even first: one line a message, and its ACK.",
    },
    kept: "It was open already: the browser keeps it between requests, so there is no handshake " +
      "to see. That is how polling saves.",
    was: "It was open already, so its handshake was not seen.",
    three: "The goodbye took three segments: the other side had nothing left to say, so its FIN " +
      "came with its ACK.",
    four: "The goodbye took four segments: a FIN and its ACK in each direction.",
    full: "Full: no more of this connection is drawn. Reconnect to go on.",
  },
  tour: {
    frame: {
      label: "Guided tour",
      invite: "Take the tour",
      length: "6 steps, 5 minutes: from what a socket is to when polling wins",
      resume: "Go on with the tour",
      again: "Take the tour again",
      close: "Close the tour",
      steps: "Steps of the tour",
      previous: "Back",
      next: "Next",
      finish: "Finish",
      position: "Step {step} of {steps}",
      done: "done",
      do: "Now you",
      back: "Back to the tour",
      unseen: "The page cannot see this: the server's lab is off (`--lab on`) or out of reach. " +
        "You can.",
      nodoor: "This server has no TCP port to try this at. Start it with `--tcp 127.0.0.1:1989`.",
      nodatagrams: "This server has no UDP port. Start it with `--udp 127.0.0.1:0`.",
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
      swapped: "Read the wrong way round, port {port} would be {swapped}. `htons` and `ntohs` " +
        "keep the order right.",
      errors: {
        empty: "Type an address, such as `127.0.0.1:1989`.",
        name: "“{value}” is a name. A socket takes an address: DNS has to turn the one into the " +
          "other.",
        octet: "“{value}” is no IPv4 address: four numbers from 0 to 255, parted by dots.",
        groups: "“{value}” is no IPv6 address: eight groups of up to four hexadecimal digits, " +
          "and `::` at most once, for a run of zeros.",
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
          "A program cannot touch the network itself. It asks the system for a **socket**: an " +
            "API over TCP or UDP with a handful of calls, `connect`, `read`, `write`, `close`. " +
            "Think of a door. The **IP address** says which house, the **port** which door. An " +
            "IPv4 address has 4 bytes, an IPv6 address 16, a port 2. A **Unix socket** never " +
            "leaves the machine; its address is a path.",
          "On the wire the high byte goes first: **network byte order**. Port {port} is `{high} " +
            "{low}`, whatever your processor prefers.",
        ],
        figure: "Port {port} in network byte order: first {high}, the high byte, then {low}, the " +
          "low one.",
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
            text: "Ring: type a word under “Publish a message”. See which lane hears it first.",
            waiting: "Waiting until push and polling have both heard it …",
            half: "Push has it. Polling has yet to ask …",
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
            done: "There came the newline, and only now the server has read the line.",
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
          "A poll on a **new connection** pays this every time. A connection that is kept pays " +
            "it once, and so does push.",
        ],
        figure: "Three packets to open, four to close; between them, what you came for.",
        show: "Show me the packets",
        tasks: {
          looks: {
            text: "Ask five times on five connections, then five times on one. The kernel counts.",
            waiting: "Waiting for either line …",
            half: "One of the two has come. Now the other line …",
            counted: "connections: {connections}, packets: {packets}, bytes on the wire: {bytes}",
            done: "Same answers, {ratio} times the packets when every request brings its own " +
              "handshake.",
          },
          cut: {
            text: "Choose WebSocket under “Every packet on the wire”, then press “Hang up and " +
              "call again”: a goodbye, and a new hello.",
            waiting: "Waiting for a FIN in the trace …",
            unseen: "This server does not capture. The recording there shows a FIN too: look for " +
              "it.",
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
          "**UDP** sends a datagram and lets go. It may be lost, doubled or overtaken, and " +
            "nobody tells you. In return there is no connection, and a datagram stays one piece. " +
            "Repair is up to you: here each event names the one before it (`prev`). A hole in " +
            "that chain is a loss, seen at once, and the client fetches what it missed.",
        ],
        figure: "Each event names the one before it. 44 says prev 43, but the last one seen was " +
          "42.",
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
          "**Polling** is late, by half an interval on average, and asks mostly in vain. But it " +
            "is simple, passes every proxy, can be cached, and the server remembers nobody. And " +
            "when news is frequent, one request brings many at once: fewer packets, fewer bytes " +
            "for each. Weather, reports, any value of which only the newest counts. What it " +
            "cannot be is both prompt and cheap.",
        ],
        figure: "Bytes on the wire per message: polling's fall with the rate of news, push's " +
          "stay. Where they cross, polling begins to win.",
        show: "Show me the sliders",
        tasks: {
          tune: {
            text: "Let polling ask every 10 s or less often, and set the demo stream to five per " +
              "second. Then compare the bytes of each message.",
            waiting: "Waiting for the sliders: a request every {interval}, {rate} messages per " +
              "second …",
            done: "Now polling carries dozens of messages in one answer. Cheap, and late.",
          },
        },
      },
    },
  },
  error: {
    title: "No page here – doorbell",
    headline: "There is no page here",
    answer: "The server answers",
    home: "Polling and push, side by side",
  },
  inbox: {
    skip: "Skip to the messages",
    topics: "Topics",
    search: "Search in what is here",
    new: "New message",
    settings: "Settings",
    all: "All messages",
    add_label: "Add a topic",
    add: "Add",
    add_note: "One name, or a pattern: home.* takes home.door, home.> all below it.",
    add_malformed: "“{filter}” is no topic: letters, digits, _ and -, joined by dots, at most 128.",
    add_full: "No more topics fit into one list.",
    to_page: "Push and polling, side by side",
    unread: "{n} unread",
    muted: "muted",
    refused: "not allowed",
    read_all: "Mark all read",
    scheduled: "Scheduled",
    topic_menu: "More for this topic",
    count: "{n} messages",
    count_one: "1 message",
    found: "{n} found",
    waiting: "{n} waiting for their time",
    waiting_one: "1 waiting for its time",
    newer: "{n} new messages",
    newer_one: "1 new message",
    empty_topics: "Whatever is published to the topics that you add appears here.",
    empty_topic: "Nothing yet. Publish something, for example:",
    hello: "Hello",
    empty_found: "Nothing here has these words.",
    empty_scheduled: "Nothing waits.",
    state_idle: "no topic yet",
    state_connecting: "connecting",
    state_up: "connected · {way}",
    state_reconnecting: "reconnecting",
    state_down: "reconnecting in {seconds} s: {why}",
    state_now: "reconnecting: {why}",
    state_offline: "offline: what is here can be read",
    state_refused: "signed out",
    way_ws: "WebSocket",
    way_sse: "SSE",
    way_longpoll: "long poll",
    history_failed: "Older messages could not be fetched: {why}",
    not_kept: "This browser keeps nothing: messages last as long as this page.",
    priority_1: "lowest priority",
    priority_2: "low priority",
    priority_3: "usual priority",
    priority_4: "high priority",
    priority_5: "urgent",
    is_unread: "new",
    binary: "Binary message, {size}",
    save: "Save",
    more_text: "Show all",
    less_text: "Show less",
    expires: "until {time}",
    expired: "no longer held",
    attachment: "attachment",
    gap_expired: "Some messages before this are no longer held: they had expired.",
    gap_foreign: "The server’s log is another one than before: what came meanwhile cannot be told.",
    gap_damaged: "Some messages before this are damaged and cannot be read.",
    gap_lost: "Some messages before this were lost by the server.",
    gap_other: "Some messages before this are missing.",
    message_menu: "More for this message",
    message_named: "Message in {topic}",
    open: "Open",
    copy: "Copy the text",
    copied: "copied",
    not_copied: "this browser does not let the page copy",
    mark_read: "Mark as read",
    mark_unread: "Mark as unread",
    remove_here: "Delete here",
    removed: "deleted here",
    undo: "Undo",
    restored: "back again",
    remove_all: "Delete for everybody…",
    clear_all: "Mark as read for everybody…",
    remove_all_title: "Delete for everybody?",
    remove_all_text: "All who read {topic} are told to take this message back.",
    clear_all_title: "Mark as read for everybody?",
    clear_all_text: "All who read {topic} are told that this message has been seen.",
    action_broadcast: "“{label}” is an Android broadcast, which a browser cannot send.",
    action_elsewhere: "This page may call its own server alone. The call was copied, as a curl command.",
    action_done: "“{label}”: the server answered {status}.",
    action_failed: "“{label}” failed: {why}",
    action_unusable: "“{label}” has no address that may be opened.",
    rename: "Rename…",
    rename_title: "What is {filter} called here?",
    rename_label: "Name, or nothing",
    rename_yes: "Rename",
    mute: "Mute",
    unmute: "Unmute",
    empty_here: "Delete all messages here…",
    empty_here_title: "Delete all messages of {name} here?",
    empty_here_text: "They go from this browser alone.",
    leave: "Leave the topic…",
    leave_title: "Leave {name}?",
    leave_text: "Its messages go from this browser. Others keep theirs.",
    yes_remove: "Delete",
    yes_clear: "Mark as read",
    yes_leave: "Leave",
    due: "due {time}",
    cancel_scheduled: "Cancel it",
    cancelled: "cancelled",
    cancel: "Cancel",
    close: "Close",
    publish: "Publish",
    publishing: "publishing …",
    published: "published",
    published_later: "will be published {time}",
    f_topic: "Topic",
    f_title: "Title",
    f_message: "Message",
    f_priority: "Priority",
    f_tags: "Tags",
    f_file: "Choose a file",
    f_file_how: "or drop or paste one here",
    f_file_drop: "Without a file",
    f_markdown: "Markdown",
    f_more: "More",
    f_click: "Opens on click",
    f_attach: "Attachment by its address",
    f_filename: "Name of the file",
    f_icon: "Icon",
    f_delay: "Later",
    f_sequence: "Takes the place of (sequence id)",
    f_actions: "Buttons",
    f_nocache: "For those who read now only, not kept",
    topic_malformed: "“{filter}” is no topic that one can publish to.",
    nothing_to_send: "There is nothing to publish: write a message, or add a file.",
    notifications: "Notifications",
    s_alerts: "While this page is open",
    s_push: "Also while it is closed (Web Push, topics without a pattern)",
    s_least: "From this priority on",
    alerts_refused: "This browser does not let the page notify: its settings for this address say so.",
    alerts_absent: "This browser has no notifications for this address (they need https).",
    images: "Images",
    s_images: "Show those from elsewhere at once",
    images_note: "Whoever keeps an image learns that you look at it, and from where. So it is " +
      "loaded when you ask for it, unless it is on this server.",
    show_image: "Show the image from {host}",
    image_failed: "The image could not be loaded.",
    account: "Token",
    token: "Token",
    token_longer: "Keep it in this browser, not for this tab alone",
    token_unkept: "This browser keeps nothing, not even for a tab.",
    sign_in: "Sign in",
    sign_out: "Sign out",
    sign_out_title: "Sign out?",
    sign_out_text: "The messages that this browser keeps go from it, and notifications while the page " +
      "is closed end. Your topics stay listed.",
    signed_in: "signed in as {name}",
    sign_in_wanted: "Sign in",
    language: "Language",
    keys: "Keys",
    key_next: "next message",
    key_previous: "message before",
    key_open: "open it, or show all of it",
    key_read: "read or unread",
    key_remove: "delete it here",
    key_undo: "take that back",
    key_search: "search",
    key_new: "new message",
    key_help: "this list",
    key_close: "close, or leave the search",
    arrived: "{n} new messages, last in {topic}: {text}",
    arrived_one: "New message in {topic}: {text}",
  },
};
