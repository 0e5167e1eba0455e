// Waits at the door: prints each message of a topic as soon as somebody publishes it.
//
//   g++ -std=c++17 -o subscribe subscribe.cpp
//   ./subscribe 127.0.0.1 1989 demo      until you stop it
//   ./subscribe 127.0.0.1 1989 demo 3    ends after three messages

#include <iostream>
#include <limits>

#include "line_socket.hpp"

int main(int argc, char** argv) try {
    if (argc < 4) {
        std::cerr << "usage: subscribe HOST PORT TOPIC [COUNT]\n";
        return 2;
    }
    long wanted = argc > 4 ? std::stol(argv[4]) : std::numeric_limits<long>::max();
    LineSocket server(argv[1], static_cast<uint16_t>(std::stoi(argv[2])));
    std::string line;

    // The server speaks first: one line of JSON that says "open".
    server.readLine(line);
    std::cerr << line << std::endl;

    // A line ends with \n: without it the server would wait for the rest of the line.
    server.write("SUB " + std::string(argv[3]) + " format=raw\n");
    server.flush();

    // The second line is JSON too: "ok", or "error" and why.
    if (!server.readLine(line)) return 1;
    std::cerr << line << std::endl;
    if (line.find("\"event\":\"ok\"") == std::string::npos) return 1;

    // From here on each line is a message. There is no request any more: readLine sleeps until the
    // server has something to say.
    while (wanted > 0 && server.readLine(line)) {
        if (line.empty()) continue; // A sign of life on a quiet day.
        std::cout << line << std::endl;
        wanted--;
    }
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
