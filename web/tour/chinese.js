// tour/chinese.js: the words of the guided tour in simplified Chinese. Only words, and the same
// shape as english.js, member for member; written for readers of Chinese, not translated
// sentence by sentence. Names of things on the page stay as the page writes them.

/** @type {import("./language.js").Texts} */
export const CHINESE = {
  lang: "zh-Hans",
  own: "中文",
  frame: {
    label: "导览",
    invite: "跟着走一遍",
    length: "6 步，5 分钟：从什么是 socket，到什么时候轮询更划算",
    resume: "继续导览",
    close: "关闭导览",
    language: "导览的语言",
    steps: "导览的步骤",
    previous: "上一步",
    next: "下一步",
    finish: "完成",
    position: "第 {step} 步，共 {steps} 步",
    done: "已完成",
    do: "动手试试",
    back: "回到导览",
    copy: "复制",
    copied: "已复制",
    selected: "已选中，请按 Ctrl+C",
    unseen: "页面看不到这一步的结果：服务器的实验台没有开启（`--lab on`），或者连不上。请以终端里看到的为准。",
    nodoor: "这台服务器没有开放 TCP 端口。启动时加上 `--tcp 127.0.0.1:1989` 就可以试。",
    nodatagrams: "这台服务器没有开放 UDP 端口。启动时加上 `--udp 127.0.0.1:1990` 就可以试。",
  },
  drawing: {
    client: "客户端",
    server: "服务器",
    first: "先发",
    ask: "有消息吗？",
    nothing: "没有",
    news: "消息",
    hello: "open",
    line: "第 {n} 行",
    segment: "报文段 {n}",
    open: "建立",
    yours: "真正要说的话",
    end: "断开",
    lost: "丢失",
    rate: "每秒消息数",
    bytes: "每条消息的字节数",
    polling: "轮询",
    push: "推送",
  },
  bytes: {
    label: "地址和端口",
    examples: "例如",
    family: { ipv4: "IPv4 地址", ipv6: "IPv6 地址", unix: "Unix 套接字的路径" },
    port: "端口 {port}",
    count: "{count} 字节",
    swapped: "要是把两个字节读反了，端口 {port} 就成了 {swapped}。`htons` 和 `ntohs` 就是用来保证顺序的。",
    errors: {
      empty: "请输入一个地址，例如 `127.0.0.1:1989`。",
      name: "“{value}”是名字。套接字只认地址，要先由 DNS 把名字解析成地址。",
      octet: "“{value}”不是 IPv4 地址：应是四个 0 到 255 之间的数，用点隔开。",
      groups: "“{value}”不是 IPv6 地址：应是八组，每组最多四位十六进制数，连续的零可以用 `::` 省略一次。",
      port: "“{value}”不是端口：端口占两个字节，只能在 0 到 65535 之间。",
      noport: "“{value}”只说了哪栋楼，没说哪扇门。请加上端口，例如 `127.0.0.1:1989` 或 `[::1]:1989`。",
      path: "路径有 {value} 字节，太长了：Linux 最多接受 107 字节。",
      zone: "“{value}”里还写了网卡名。那一部分只在本机有用，不会发到网络上，这里请去掉。",
    },
  },
  steps: {
    socket: {
      name: "套接字",
      title: "套接字是一扇门",
      paragraphs: [
        "程序自己碰不到网络，得向操作系统要一个**套接字（socket）**。它是架在 TCP 或 UDP 之上的一套 API，常用的调用不过 `connect`、`read`、" +
          "`write`、`close` 几个。把它想成一扇门就好懂了：**IP 地址**说的是哪栋楼，**端口**说的是哪扇门。IPv4 地址占 4 个字节，IPv6 地址占 16" +
          " 个，端口占 2 个。**Unix 套接字**不出本机，地址就是一个文件路径。",
        "这些数在网络上一律高位字节在前，叫作**网络字节序**。不管你的 CPU 习惯大端还是小端，端口 1989 在线上永远是 `07 c5`。",
      ],
      figure: "端口 1989 的网络字节序：先发高位字节 07，再发低位字节 c5。",
      show: "看看有哪些门正开着",
      tasks: {
        bytes: {
          text: "改一改下面的地址，看它变成哪些字节。",
          waiting: "",
          done: "调用 `connect` 时，交给系统的就是这些字节，顺序也是这样。",
        },
      },
    },
    first: {
      name: "谁先开口",
      title: "谁先开口",
      paragraphs: [
        "用 HTTP 时，没人问，服务器就不作声。想知道有没有新消息，只能一遍遍地去问，多半白跑一趟，这就是**轮询**。长轮询也要问，只是服务器先压着不答，等有了消息再回。",
        "一条一直连着的套接字是双向的，两边随时都能写。服务器一有消息就能开口，这就是**推送**。在这里，你一个字都还没敲，它就先说话了。",
      ],
      figure: "HTTP：客户端先问，服务器才答。套接字：服务器可以先开口。",
      show: "带我去看泳道",
      tasks: {
        ring: {
          text: "按一次门铃：在“Be the visitor”下面随便写点什么并发送，看哪条泳道先听到。",
          waiting: "等待推送和轮询都收到这条消息……",
          half: "推送已经收到，轮询还没去看……",
          done: "推送用了 {push}，轮询用了 {poll}。",
        },
        connect: {
          text: "在终端里连上服务器，什么也别说。第一行是服务器先发来的。",
          waiting: "等待一个不属于本页面的 TCP 连接……",
          done: "{peer} 刚刚连上，那就是你。连接表里多了你的一行。",
        },
      },
    },
    line: {
      name: "换行",
      title: "readLine() 为什么非等到 \\n 不可",
      paragraphs: [
        "TCP 传的是**字节流**，里面没有“消息”这回事。一次写出去的内容，到了对面可能被拆成几段，也可能和后面的粘在一起。一条消息到哪里结束，得靠约定。这里的约定只有一个字节：换" +
          "行符 `0a`。所以 `readLine()` 读到它才返回，早一刻都不行。",
        "有两个错人人都犯过一次：一是漏了 `\\n`；二是写了却没有 **flush**，数据还躺在自己程序的缓冲区里。结果都一样：两边客客气气地等着对方，永远等下去。",
      ],
      figure: "三个报文段，装着两行。一行到哪里结束，只有换行符说了算。",
      show: "带我去看连接表",
      tasks: {
        half: {
          text: "先发半行，停十秒，再把剩下的发出去。",
          waiting: "等待半行到来……",
          connected: "{peer} 已经连上，还没有说话。",
          half: "{peer} 已经发来 {bytes} 字节，但没有换行符，服务器只能等。",
          done: "换行符到了，消息也就成了一条消息。",
        },
      },
    },
    cost: {
      name: "连接开销",
      title: "建立和断开一次连接要多少开销",
      paragraphs: [
        "你的第一个字节上路之前，TCP 要先握手：SYN、SYN ACK、ACK。**三个包，一个往返。**断开要四个包，两个方向各一个 FIN 和一个 ACK；对方若没有话要说了，" +
          "ACK 和 FIN 合成一个包，就只有三个。加起来大约 380 字节，正文一个字还没有。用 TLS 的话，还要再多一个往返。",
        "每次轮询都**新建连接**，这笔开销就每次都要付；连接复用的话只付一次，推送也只付一次。",
      ],
      figure: "建立连接三个包，断开连接四个包，中间才是真正要说的话。",
      show: "带我去看数据包",
      tasks: {
        looks: {
          text: "先用五个连接各看一次，再用一个连接看五次。包数由内核来数。",
          waiting: "等待其中任意一条命令……",
          half: "看到一条了，再运行另一条……",
          counted: "连接 {connections} 个，数据包 {packets} 个，线路上共 {bytes} 字节",
          done: "答案一模一样，每次都重新握手的那种，包数是另一种的 {ratio} 倍。",
        },
        cut: {
          text: "在“Every packet on the wire”里选 WebSocket，再按“Hang up and call again”：" +
            "看它怎样告别，又怎样重新握手。",
          waiting: "等待抓包图里出现 FIN……",
          unseen: "这台服务器没有抓包。那里的录制示例里也有 FIN，找找看。",
          done: "这就是 FIN。随后泳道用一个新的 SYN 连回来，一条消息也没有漏。",
        },
      },
    },
    datagrams: {
      name: "TCP 与 UDP",
      title: "TCP 管修补，UDP 撒手不管",
      paragraphs: [
        "**TCP** 给每个字节编号，要对方确认，丢了就重传，并且保证顺序。代价是先要握手；而且前面丢一个包，后面的就算到了也得排队等着。",
        "**UDP** 把数据报发出去就不管了：可能丢，可能重复，可能后发先到，而且没有人告诉你。换来的是不用建立连接，一个数据报始终是完整的一块。要修补就得自己来：在这里，每个事件都" +
          "用 `prev` 写明自己的前一个是谁。链条断了就是丢了，马上能发现，客户端再把缺的补回来。",
      ],
      figure: "每个事件都写明前一个是谁。44 说它前面是 43，可上一个收到的是 42。",
      show: "带我去看泳道",
      tasks: {
        datagram: {
          text: "用 UDP 手工订阅一次。服务器会回一个 `cookie`；把这一行再发一遍，末尾加上 ` cookie=…`，证明你确实收得到。",
          waiting: "等待一个不属于本页面的 UDP 订阅者……",
          done: "{peer} 通过 UDP 订阅了。没有握手，没有连接，只是一个有回应的地址。",
        },
      },
    },
    choose: {
      name: "怎么选",
      title: "轮询还是推送？",
      paragraphs: [
        "**推送**快，消息出来半个往返就到。代价是每个读者都占着一个连接，而且要想好断线了怎么办。适合聊天、告警、行情、游戏。",
        "**轮询**慢，平均要晚半个间隔，而且多半白跑。但它简单，什么代理都过得去，可以缓存，服务器也不用记住任何人。消息频繁时，一次就能带回一大批，平均到每条，包更少，字节也更少。适" +
          "合天气、报表，以及一切只关心最新值的场合。它做不到的，是又快又省。",
      ],
      figure: "每条消息在线路上的字节数：消息越频繁，轮询越省；推送基本不变。过了交点，就是轮询更划算。",
      show: "带我去看滑块",
      tasks: {
        tune: {
          text: "把轮询间隔调到 10 秒或更长，把访客调到每秒五位，再比一比每条消息的字节数。",
          waiting: "等待滑块就位：现在每 {interval} 看一次，每秒 {rate} 位访客……",
          done: "现在轮询一次能带回几十条消息：省是省了，可是也晚了。",
        },
      },
    },
  },
};
