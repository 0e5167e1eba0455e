// What a JDK brings: its HTTP client, which offers HTTP/2 with each first request, its WebSocket, and
// a plain socket.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

public class Jdk {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] args) throws Exception {
        String http = args[0];
        String[] tcp = args[1].split(":");

        LinkedBlockingQueue<String> heard = new LinkedBlockingQueue<>();
        WebSocket socket = CLIENT.newWebSocketBuilder()
                .buildAsync(URI.create("ws://" + http + "/door/ws"), new Listener(heard))
                .get(30, TimeUnit.SECONDS);
        expect("\"open\"", heard.poll(30, TimeUnit.SECONDS));

        String[] long_text = {"kurz: ü 🔔", "x".repeat(3000)};
        for (String text : long_text) {
            HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + http + "/door"))
                    .header("Title", "a door")
                    .POST(BodyPublishers.ofString(text))
                    .build();
            HttpResponse<String> answer = CLIENT.send(request, BodyHandlers.ofString());
            expect("200", "" + answer.statusCode());
            expect(text, answer.body());
            expect(text, heard.poll(30, TimeUnit.SECONDS));
            System.out.println(answer.version());
        }
        socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get(30, TimeUnit.SECONDS);
        expect("closed 1000", heard.poll(30, TimeUnit.SECONDS));

        // A stream, whose lines come while it goes on.
        URI stream = URI.create("http://" + http + "/door/json?since=all");
        HttpResponse<Stream<String>> lines =
                CLIENT.send(HttpRequest.newBuilder(stream).build(), BodyHandlers.ofLines());
        Iterator<String> line = lines.body().iterator();
        expect("\"open\"", line.next());
        expect(long_text[0], line.next());
        expect(long_text[1], line.next());

        // A socket: a line each way.
        try (Socket plain = new Socket(tcp[0], Integer.parseInt(tcp[1]));
                BufferedReader in = new BufferedReader(
                        new InputStreamReader(plain.getInputStream(), StandardCharsets.UTF_8));
                Writer out = new OutputStreamWriter(
                        plain.getOutputStream(), StandardCharsets.UTF_8)) {
            expect("\"open\"", in.readLine());
            out.write("SUB door\r\nPUB door by a socket\r\n");
            out.flush();
            expect("\"ok\"", in.readLine());
            String first = in.readLine();
            String second = in.readLine();
            expect("by a socket", first + second);
            expect("\"ok\"", first + second);
            expect("by a socket", line.next());
        }
        System.out.println("done");
        System.exit(0); // the stream would go on
    }

    private static void expect(String part, String whole) {
        if (whole == null || !whole.contains(part)) {
            throw new AssertionError("expected " + part + " in " + whole);
        }
    }

    private record Listener(LinkedBlockingQueue<String> heard, StringBuilder text)
            implements WebSocket.Listener {
        Listener(LinkedBlockingQueue<String> heard) {
            this(heard, new StringBuilder());
        }

        @Override
        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean isLast) {
            text.append(part);
            if (isLast) {
                heard.add(text.toString());
                text.setLength(0);
            }
            socket.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            heard.add("closed " + code);
            return null;
        }
    }
}
