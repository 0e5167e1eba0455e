// Rings the bell: publishes one message and waits until the server has stored it.
//
//   g++ -std=c++17 -o publish publish.cpp
//   ./publish 127.0.0.1 1989 demo somebody is here

#include <iostream>

#include "line_socket.hpp"

int main(int argc, char** argv) try {
    if (argc < 5) {
        std::cerr << "usage: publish HOST PORT TOPIC MESSAGE...\n";
        return 2;
    }
    std::string message;
    for (int i = 4; i < argc; i++) message += (i > 4 ? " " : "") + std::string(argv[i]);
    // A newline within the message would end the line too early.
    for (char& c : message)
        if (c == '\n' || c == '\r') c = ' ';

    LineSocket server(argv[1], static_cast<uint16_t>(std::stoi(argv[2])));
    server.write("PUB " + std::string(argv[3]) + " " + message + "\n");
    server.flush();

    // A connection has two directions. This closes ours: the server learns that no more commands will
    // come, answers those it has, and closes its own.
    server.shutdownOutput();

    // "open" as always, then "ok" with the message's id (or "error"), then "close".
    bool stored = false;
    for (std::string line; server.readLine(line);) {
        std::cout << line << std::endl;
        stored = stored || line.find("\"event\":\"ok\"") != std::string::npos;
    }
    return stored ? 0 : 1;
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
}
