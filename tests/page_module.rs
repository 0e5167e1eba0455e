//! The module that other pages import: `/static/doorbell.js`, in a page of another origin.

use std::net::TcpListener;

use crate::support::browser::{Look, in_browser};
use crate::support::{TestServer, elsewhere};

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
    elsewhere::answer(listener, "text/html", page.replace("SERVER", &server.http.to_string()));
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
