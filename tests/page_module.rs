//! The module that other pages import: `/static/doorbell.js`, in a page of another origin.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::support::TestServer;
use crate::support::browser::{Look, in_browser};

/// A page of somebody else, whose server knows nothing of ours.
fn elsewhere(listener: TcpListener, page: String) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{page}"
            );
            // A browser that goes away wants no answer.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

#[test]
fn a_page_of_another_origin_hears_and_rings_and_comes_back_by_the_module() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let mut server = TestServer::durable(&format!("--allow-origin {origin}"));
    let page = r#"<!doctype html><title>elsewhere</title>
        <p id="state"></p><p id="heard"></p><p id="refused"></p>
        <script type="module">
        import { Doorbell, Refused } from "http://SERVER/static/doorbell.js";
        const show = (id, text) => (document.getElementById(id).textContent = text);
        const bell = new Doorbell("http://SERVER/");
        window.bell = bell;
        const onState = (isConnected) => show("state", isConnected ? "connected" : "lost");
        const heard = [];
        async function listen() {
            for await (const event of bell.subscribe("demo.*", { onState })) {
                heard.push(event.title ? `${event.title}: ${event.message}` : event.message);
                show("heard", heard.join("|"));
            }
        }
        listen();
        try {
            await bell.publish("demo..x", "not a topic");
        } catch (error) {
            show("refused", `${error instanceof Refused} ${error.code} ${error.message}`);
        }
        </script>"#;
    elsewhere(listener, page.replace("SERVER", &server.http.to_string()));
    in_browser(Look::DESKTOP, async move |page| {
        page.open(&origin).await;
        page.until("state", |text| text == "connected").await;
        let refused = page.until("refused", |text| !text.is_empty()).await;
        assert!(refused.starts_with("true 40009 ") && refused.contains("demo..x"), "{refused}");
        page.evaluate(
            "bell.publish('demo.door', 'ü 🔔', {title: 'Door'}).then((event) => event.id)",
        )
        .await;
        page.until("heard", |text| text == "Door: ü 🔔").await;
        server.kill();
        page.until("state", |text| text == "lost").await;
        server.restart();
        server.publish("demo.door", "after the restart");
        page.until("heard", |text| text == "Door: ü 🔔|after the restart").await;
    });
}
