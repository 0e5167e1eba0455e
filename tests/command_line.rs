//! The program `doorbell` every day: commands for messages, a file of settings, conditions, files,
//! what is piped in, and its two views of a server.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::access::token;
use crate::support::client::{RunningClient, client, client_command, piped};
use crate::support::server::run;
use crate::support::{AccessFile, Request, TestServer, messages};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Runs it to its end and expects this exit code; both of its outputs.
fn ended(code: i32, command: &mut Command) -> (String, String) {
    let output = run(command);
    let (out, err) = (text(&output.stdout).to_owned(), text(&output.stderr).to_owned());
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    (out, err)
}

/// Runs it to its end and expects success; its standard output.
fn succeed(command: &mut Command) -> String {
    ended(0, command).0
}

/// Runs it with this on its standard input.
fn fed(input: &str, command: &mut Command) -> (i32, String, String) {
    let mut child = piped(command);
    // It may have ended without reading it.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout).to_owned(), text(&output.stderr).to_owned())
}

#[test]
fn what_is_piped_in_is_the_message_and_an_empty_one_is_a_mistake() {
    let server = TestServer::start();
    let (code, id, _) = fed("piped text\nand more\n", &mut client(&server, &["publish", "t"]));
    assert_eq!((code, id.trim().len()), (0, 12));
    let empty: [(&str, &[&str]); 5] = [
        ("", &["publish", "t"]),
        ("\n \n", &["publish", "t"]),
        ("", &["publish", "t", "-"]),
        ("unread", &["publish", "t", ""]),
        ("", &["publish", "t", "--title", "x"]),
    ];
    for (input, words) in empty {
        let (code, out, err) = fed(input, &mut client(&server, words));
        assert_eq!((code, out.as_str()), (2, ""), "{words:?}");
        assert!(err.contains("the message is empty"), "{words:?}: {err}");
    }
    let (code, ..) = fed("unread", &mut client(&server, &["publish", "t", "-m", "as a flag"]));
    assert_eq!(code, 0);
    assert_eq!(messages(&server.poll("t", "all")), ["piped text\nand more", "as a flag"]);
}

#[test]
fn a_file_is_sent_along_with_what_was_said_beside_it() {
    let server = TestServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("käse 1.bin");
    let content: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0] ^ 0x80).collect();
    fs::write(&path, &content).unwrap();
    let file = path.to_str().unwrap();
    let words = ["pub", "t", "-f", file, "-t", "T&T", "-p", "high", "-T", "a,b", "two", "words"];
    succeed(&mut client(&server, &words));
    let (code, _, err) =
        fed("from a pipe", &mut client(&server, &["pub", "t", "--file", "-", "-n", "x.txt"]));
    assert_eq!(code, 0, "{err}");
    let held = server.poll("t", "all");
    assert_eq!(messages(&held), ["two words", "You received a file: x.txt"]);
    let first = &held[0];
    assert_eq!((&first["title"], &first["priority"]), (&"T&T".into(), &4.into()));
    assert_eq!(first["tags"], serde_json::json!(["a", "b"]));
    assert_eq!(first["attachment"]["name"], "käse 1.bin");
    for (event, expected) in held.iter().zip([content.as_slice(), b"from a pipe"]) {
        let url = event["attachment"]["url"].as_str().unwrap();
        let at = url.find("/file/").unwrap();
        assert_eq!(server.get(&url[at..]).body, expected);
    }
    for (words, expected) in [
        (["pub", "t", "-f", "/nowhere"], "/nowhere cannot be read"),
        (["pub", "t", "-f", "/"], "/ cannot be read: is a directory"),
    ] {
        assert!(ended(2, &mut client(&server, &words)).1.contains(expected));
    }
    let lines = format!("tcp://{}", server.tcp);
    let mut command = client_command();
    command.args(["pub", "t", "-f", file, "--server", &lines]);
    assert!(ended(2, &mut command).1.contains("give the server's http:// address"));
}

#[test]
fn with_poll_what_is_there_is_shown_and_that_is_the_end() {
    let server = TestServer::start();
    let nothing = succeed(&mut client(&server, &["sub", "t", "--poll"]));
    assert_eq!(nothing, "");
    // More than one answer holds.
    let many: Vec<String> = (0..12_000).map(|n| n.to_string()).collect();
    let mut ids = String::new();
    for some in many.chunks(4_000) {
        let told = fed(&some.join("\n"), &mut client(&server, &["pub", "t", "--lines"]));
        assert_eq!(told.0, 0, "{}", told.2);
        ids = told.1;
    }
    let shown = succeed(&mut client(&server, &["sub", "t", "-p", "--raw"]));
    assert!(shown.lines().eq(&many), "{} lines", shown.lines().count());
    let place = ids.lines().nth_back(2).unwrap();
    let words = ["sub", "t", "--poll", "--raw", "--since", place];
    assert_eq!(succeed(&mut client(&server, &words)), "11998\n11999\n");
    let words = ["sub", "t", "--poll", "--message", "7", "echo \"<$message>\""];
    assert_eq!(succeed(&mut client(&server, &words)), "<7>\n");
    let mut gone = client_command();
    gone.args(["sub", "t", "--poll", "--server", "http://127.0.0.1:1"]);
    assert!(ended(1, &mut gone).1.contains("127.0.0.1:1"));
}

#[test]
fn conditions_hold_on_every_way_of_receiving() {
    let server = TestServer::with("--udp 127.0.0.1:0");
    let publish = |words: &[&str]| succeed(&mut client(&server, &[&["pub", "t"], words].concat()));
    publish(&["plain"]);
    publish(&["-p", "max", "-T", "front,door", "-t", "Bell", "wanted"]);
    publish(&["-p", "max", "-T", "front", "other tags"]);
    let wanted = publish(&["-p", "high", "-T", "front,door", "-t", "Bell", "wanted"]);
    let conditions = [
        vec!["--priority", "high,max", "--tags", "front,door"],
        vec!["--title", "Bell", "--message", "wanted"],
    ];
    for way in ["tcp", "ws", "sse", "longpoll", "poll", "udp"] {
        for conditions in &conditions {
            let words = ["sub", "t", "-s", "all", "-n", "2", "--raw", "--via", way];
            let shown = succeed(client(&server, &words).args(conditions));
            assert_eq!(shown, "wanted\nwanted\n", "{way} {conditions:?}");
        }
        let words = ["sub", "t", "-s", "all", "-n", "1", "--raw", "--via", way];
        assert_eq!(
            succeed(client(&server, &words).args(["--id", wanted.trim()])),
            "wanted\n",
            "{way}"
        );
    }
    let words = ["sub", "t", "--priority", "urgently"];
    assert!(ended(2, &mut client(&server, &words)).1.contains("'urgently' is none of"));
}

#[test]
fn a_command_finds_the_message_in_its_environment_and_is_over_before_the_next() {
    let server = TestServer::start();
    let odd = "$(touch nothing) `id` \"ü\"\n'";
    let answer =
        server.send(&Request::post("/a.b?title=T&priority=4&tags=x,y&click=https://c.x", odd));
    assert_eq!(answer.status, 200);
    server.publish("a.b", "second");
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        for name in NTFY_MESSAGE DOORBELL_MESSAGE message m; do
            eval "test \"\$$name\" = \"\$m\"" || echo "$name differs"
        done
        test "$NTFY_ID" = "$id" && test "$NTFY_RAW" = "$raw" && printf "%s" "$raw" | jq -r .id | grep -qx "$id"
        printf '%s|%s|%s|%s|%s|%s|%s\n' "$?" "$topic" "$NTFY_TITLE$t$title" "$p$prio" "$ta$tag" \
            "$DOORBELL_CLICK" "$m" >> out
        # The next one would see it, were it there already.
        test ! -e busy && touch busy && sleep 0.1 && rm busy"#;
    let mut command = client(&server, &["sub", "a.>", script, "-s", "all", "-n", "2"]);
    // What the environment holds of another message is not taken for this one's.
    assert_eq!(
        succeed(command.env("title", "old").env("NTFY_TITLE", "old").current_dir(&folder)),
        ""
    );
    let out = fs::read_to_string(folder.path().join("out")).unwrap();
    assert_eq!(out, format!("0|a.b|TTT|44|x,yx,y|https://c.x|{odd}\n0|a.b||33|||second\n"));
    assert!(!folder.path().join("nothing").exists(), "a message is never a command");

    let failing = ["sub", "a.b", "test $p = 3", "-s", "all", "-n", "2"];
    let (_, err) = ended(1, &mut client(&server, &failing));
    assert!(err.contains("ended with exit status: 1"), "{err}");
    assert!(err.ends_with("1 of 2 commands failed\n"), "{err}");
}

#[test]
fn a_notification_is_shown_by_the_desktops_own_program() {
    let server = TestServer::start();
    server.send(&Request::post("/t?title=-T&priority=5", "<b>bold</b> & more"));
    let folder = tempfile::tempdir().unwrap();
    let words = ["sub", "t", "-s", "all", "-n", "1", "--notify", "--quiet"];
    let mut command = client(&server, &words);
    let (_, err) = ended(2, command.env("PATH", folder.path()));
    assert!(err.contains("libnotify-bin"), "{err}");
    let program = folder.path().join("notify-send");
    let shown = folder.path().join("shown");
    fs::write(&program, format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {}\n", shown.display()))
        .unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(succeed(&mut command), "");
    assert_eq!(
        fs::read_to_string(shown).unwrap(),
        "--app-name=doorbell\n--urgency\ncritical\n--\n-T\n&lt;b&gt;bold&lt;/b&gt; &amp; more\n"
    );
}

/// A home with a file of settings.
fn home(settings: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".config/doorbell");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("client.toml");
    fs::write(&file, settings).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    home
}

/// The client of somebody who lives there.
fn at_home(home: &Path, words: &[&str]) -> Command {
    let mut command = client_command();
    command.args(words).env_remove("DOORBELL_CLIENT_CONFIG").env_remove("XDG_CONFIG_HOME");
    command.env("HOME", home);
    command
}

#[test]
fn settings_are_what_was_not_typed_and_topics_are_listened_to_together() {
    let server = TestServer::start();
    let home = home(&format!(
        "server = 'http://{}'\n\
         [publish]\npriority = 'low'\ntags = ['a', 'b']\n\
         [subscribe]\nsince = 'all'\nraw = true\n\
         [[topic]]\nfilter = 'alarms.>'\ncommand = 'echo \"ran for $topic\"'\n\
         [[topic]]\nfilter = 'news'\npriority = '4,5'\n",
        server.http
    ));
    let home = home.path();
    succeed(&mut at_home(home, &["pub", "alarms.x", "one"]));
    succeed(&mut at_home(home, &["pub", "news", "two"]));
    succeed(&mut at_home(home, &["pub", "news", "-p", "max", "three"]));
    let held = server.poll("news", "all");
    assert_eq!((&held[0]["priority"], &held[1]["priority"]), (&2.into(), &5.into()));
    assert_eq!(held[0]["tags"], serde_json::json!(["a", "b"]));
    let shown = succeed(&mut at_home(home, &["sub", "-n", "1"]));
    let mut lines: Vec<&str> = shown.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ran for alarms.x", "three"]);
    assert_eq!(succeed(&mut at_home(home, &["sub", "news", "-n", "1"])), "two\n");
    let other = TestServer::start();
    other.publish("news", "elsewhere");
    let address = format!("http://{}", other.http);
    let words = ["sub", "news", "-n", "1", "--server", &address];
    assert_eq!(succeed(&mut at_home(home, &words)), "elsewhere\n");
}

#[test]
fn a_wrong_file_of_settings_is_told_by_its_name() {
    for (settings, expected) in [
        ("servr = 'x'", "'servr' is no setting"),
        ("server = ", "client.toml: TOML parse error"),
        ("server = 'tcp:x'", "invalid value 'tcp:x' for '--server <ADDRESS>'"),
        ("[subscribe]\nvia = 'pigeon'", "[possible values: tcp, ws"),
        ("[subscribe]\nflag = 1", "doorbell subscribe has no 'flag'"),
        ("[[topic]]\ncommand = 'x'", "has no filter"),
        ("topic = ['x']", "a topic is a table"),
    ] {
        let home = home(settings);
        let (_, err) = ended(2, &mut at_home(home.path(), &["sub", "t", "-n", "1"]));
        assert!(err.contains("client.toml: ") && err.contains(expected), "{settings}: {err}");
        assert_eq!(err.lines().next().unwrap(), err.trim_end().lines().next().unwrap());
    }
    let none = tempfile::tempdir().unwrap();
    let (_, err) = ended(2, &mut at_home(none.path(), &["sub"]));
    assert!(err.contains("no topic: give one"), "{err}");
}

#[test]
fn a_secret_in_the_settings_goes_to_their_own_server_and_nobody_else_may_read_it() {
    let access = AccessFile::new(&token("mine", "allow = [\"pubsub t\"]"));
    let server = TestServer::with(&access.flag());
    let address = format!("http://{}", server.http);
    let settings = home(&format!("server = '{address}'\ntoken = 'tk_mine'\n"));
    let home = settings.path();
    succeed(&mut at_home(home, &["pub", "t", "by the token"]));
    succeed(&mut at_home(home, &["pub", "t", "the same", "--server", &address]));
    // The same machine by another name is another server.
    let renamed = address.replace("127.0.0.1", "localhost");
    let (_, err) = ended(1, &mut at_home(home, &["pub", "t", "x", "--server", &renamed]));
    assert!(err.contains("403"), "{err}");
    let (_, err) = ended(1, at_home(home, &["pub", "t", "x"]).env("DOORBELL_TOKEN", "tk_wrong"));
    assert!(err.contains("401"), "what is said now comes before the file: {err}");
    let file = home.join(".config/doorbell/client.toml");
    fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
    let (_, err) = ended(2, &mut at_home(home, &["pub", "t", "x"]));
    assert!(err.contains("everybody may read it") && !err.contains("tk_mine"), "{err}");
}

#[test]
fn top_shows_who_is_connected_and_what_goes_through() {
    let server = TestServer::start();
    let mut reader = RunningClient::start(&mut client(&server, &["sub", "orders.*"]));
    server.await_readers("tcp", 1);
    server.publish("orders.new", "x");
    assert!(reader.line().is_some());
    let shown = succeed(&mut client(&server, &["top", "--once"]));
    assert!(shown.starts_with(&format!("http://{}, up ", server.http)), "{shown}");
    assert!(shown.contains("published 1 (") && shown.contains("delivered 1 ("), "{shown}");
    assert!(!shown.contains("memory 0 B"), "{shown}");
    let row = shown.lines().find(|line| line.contains("orders.*")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((cells[1], &cells[2][..10]), ("tcp", "127.0.0.1:"), "{row}");
    assert!(row.contains("orders.*                       0  "), "{row}");

    // In a pipe one text follows another, with the rates of the time between.
    let words = ["top", "--interval", "100ms"];
    let mut running = RunningClient::start(&mut client(&server, &words));
    let texts = std::iter::from_fn(|| running.line()).filter(|line| line.starts_with("http://"));
    assert_eq!(texts.take(2).count(), 2);
    running.close_output();
    assert_eq!(running.wait().code(), Some(0), "a reader that goes away is a success");

    let hidden = TestServer::with("--lab off");
    let shown = succeed(&mut client(&hidden, &["top", "--once"]));
    assert!(shown.contains("Connections are not shown: "), "{shown}");
    let words = ["top", "--once", "--server", "tcp://127.0.0.1:1"];
    assert!(ended(2, client_command().args(words)).1.contains("http:// address"));
}

#[test]
fn a_conversation_is_led_in_a_pipe() {
    let server = TestServer::start();
    server.publish("t", "held");
    let input = "SUB t since=all\r\nPUB t new\nNONSENSE\nPING x\n";
    let (code, out, err) = fed(input, &mut client(&server, &["talk"]));
    assert_eq!((code, err.as_str()), (0, ""));
    for expected in ["held", "new", "\"event\":\"error\"", "pong", "\"event\":\"close\""] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}

/// A command on a terminal of its own.
fn on_a_terminal(command: &Command, home: &Path) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
    script.env("TERM", "xterm").env("HOME", home).env("DOORBELL_CLIENT_CONFIG", "/dev/null");
    script.env_remove("XDG_STATE_HOME");
    script
}

#[test]
fn on_a_terminal_a_conversation_is_edited_completed_and_remembered() {
    let server = TestServer::start();
    let home = tempfile::tempdir().unwrap();
    let talk = client(&server, &["talk"]);
    let mut running = RunningClient::start(&mut on_a_terminal(&talk, home.path()));
    let hear = |running: &mut RunningClient, wanted: &str| {
        let line = std::iter::from_fn(|| running.line()).find(|line| line.contains(wanted));
        assert!(line.is_some(), "{wanted}");
    };
    // The verb is completed, and a letter too many is taken back.
    running.say("PIN\t xy\u{7f}");
    hear(&mut running, "\"message\":\"x\"");
    running.say("PUBx\u{7f} t edited");
    hear(&mut running, "\"event\":\"ok\"");
    running.say("AUTH tk_secret");
    hear(&mut running, "\"event\":\"error\"");
    // The last line that is remembered is the one before the secret.
    running.say("\u{1b}[A");
    hear(&mut running, "\"event\":\"ok\"");
    running.say("QUIT");
    hear(&mut running, "\"event\":\"close\"");
    assert_eq!(running.wait().code(), Some(0));
    assert_eq!(messages(&server.poll("t", "all")), ["edited", "edited"]);
    let history = fs::read_to_string(home.path().join(".local/state/doorbell/history")).unwrap();
    assert!(history.contains("PUB t edited") && !history.contains("secret"), "{history}");
}

#[test]
fn on_a_terminal_top_draws_a_screen_until_a_key_ends_it() {
    let server = TestServer::start();
    let home = tempfile::tempdir().unwrap();
    let top = client(&server, &["top", "--interval", "100ms"]);
    let mut running = RunningClient::start(&mut on_a_terminal(&top, home.path()));
    let mut drawn = String::new();
    // It draws without ends of lines, so that its last word is waited for behind a key.
    running.say("q");
    while let Some(line) = running.line() {
        drawn.push_str(&line);
    }
    assert_eq!(running.wait().code(), Some(0));
    assert!(drawn.contains("\u{1b}[?1049h") && drawn.contains("\u{1b}[?1049l"), "{drawn:?}");
}
