// Rings the bell: publishes one message and waits until the server has stored it.
//
//   java Publish.java 127.0.0.1 1989 demo somebody is here

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

public class Publish {
    public static void main(String[] args) throws IOException {
        if (args.length < 4) {
            System.err.println("usage: java Publish.java HOST PORT TOPIC MESSAGE...");
            System.exit(2);
        }
        int port = Integer.parseInt(args[1]);
        // A newline within the message would end the line too early.
        String message = String.join(" ", Arrays.asList(args).subList(3, args.length))
                .replaceAll("[\r\n]", " ");
        boolean stored = false;

        try (Socket socket = new Socket(args[0], port);
                BufferedReader in = new BufferedReader(
                        new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
                Writer out = new BufferedWriter(
                        new OutputStreamWriter(socket.getOutputStream(), StandardCharsets.UTF_8))) {

            out.write("PUB " + args[2] + " " + message + "\n");
            out.flush();

            // A connection has two directions. This closes ours: the server learns that no more
            // commands will come, answers those it has, and closes its own.
            socket.shutdownOutput();

            // "open" as always, then "ok" with the message's id (or "error"), then "close".
            String line;
            while ((line = in.readLine()) != null) {
                System.out.println(line);
                stored |= line.contains("\"event\":\"ok\"");
            }
        }
        System.exit(stored ? 0 : 1);
    }
}
