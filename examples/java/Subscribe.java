// Waits at the door: prints each message of a topic as soon as somebody publishes it.
//
//   java Subscribe.java 127.0.0.1 1989 demo      until you stop it
//   java Subscribe.java 127.0.0.1 1989 demo 3    ends after three messages

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.PrintStream;
import java.io.Writer;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

public class Subscribe {
    public static void main(String[] args) throws IOException {
        if (args.length < 3) {
            System.err.println("usage: java Subscribe.java HOST PORT TOPIC [COUNT]");
            System.exit(2);
        }
        int port = Integer.parseInt(args[1]);
        long wanted = args.length > 3 ? Long.parseLong(args[3]) : Long.MAX_VALUE;
        PrintStream screen = new PrintStream(System.out, true, StandardCharsets.UTF_8);

        // Connect. At the end of this block the socket is closed, whatever happens in it.
        try (Socket socket = new Socket(args[0], port);
                BufferedReader in = new BufferedReader(
                        new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
                Writer out = new BufferedWriter(
                        new OutputStreamWriter(socket.getOutputStream(), StandardCharsets.UTF_8))) {

            // The server speaks first: one line of JSON that says "open".
            System.err.println(in.readLine());

            // A line ends with \n: without it the server would wait for the rest of the line. The
            // writer keeps what is written until flush sends it.
            out.write("SUB " + args[2] + " format=raw\n");
            out.flush();

            // The second line is JSON too: "ok", or "error" and why.
            String answer = in.readLine();
            System.err.println(answer);
            if (answer == null || !answer.contains("\"event\":\"ok\"")) {
                System.exit(1);
            }

            // From here on each line is a message. There is no request any more: readLine sleeps
            // until the server has something to say, and returns null when the server has closed.
            String line;
            while (wanted > 0 && (line = in.readLine()) != null) {
                if (line.isEmpty()) {
                    continue; // An empty line is a sign of life on a quiet day.
                }
                screen.println(line);
                wanted--;
            }
        }
    }
}
