// A socket that speaks in lines: connect, readLine, write, flush, close, and nothing else.

#pragma once

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <system_error>

class LineSocket {
public:
    // Connects to the first address of the host that answers, be it IPv4 or IPv6.
    LineSocket(const std::string& host, uint16_t port) {
        addrinfo hints{}, *found = nullptr;
        hints.ai_socktype = SOCK_STREAM;
        if (int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
            throw std::runtime_error(host + ": " + gai_strerror(error));
        for (addrinfo* a = found; a != nullptr && fd < 0; a = a->ai_next) {
            // On the network a number's high byte comes first; in the memory of most machines it
            // comes last. htons ("host to network, short") makes 1989 the bytes 07 C5 on all of them.
            if (a->ai_family == AF_INET6)
                reinterpret_cast<sockaddr_in6*>(a->ai_addr)->sin6_port = htons(port);
            else
                reinterpret_cast<sockaddr_in*>(a->ai_addr)->sin_port = htons(port);
            fd = socket(a->ai_family, SOCK_STREAM, 0);
            if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
                close(fd);
                fd = -1;
            }
        }
        freeaddrinfo(found);
        if (fd < 0) throw std::runtime_error("nobody answers at " + host);
    }
    LineSocket(const LineSocket&) = delete;
    ~LineSocket() { close(fd); }

    // Waits for a whole line; false when the server has closed. TCP carries bytes, not lines: one
    // recv may bring half a line or three, so what is too much is kept for the next call.
    bool readLine(std::string& line) {
        size_t end;
        while ((end = received.find('\n')) == std::string::npos) {
            char bytes[4096];
            ssize_t count = recv(fd, bytes, sizeof bytes, 0);
            if (count < 0) throw std::system_error(errno, std::generic_category(), "recv");
            if (count == 0) return false;
            received.append(bytes, count);
        }
        line = received.substr(0, end);
        received.erase(0, end + 1);
        return true;
    }

    void write(const std::string& text) { unsent += text; }

    // Sends what was written. One send may take only a part of it, so it is repeated.
    void flush() {
        while (!unsent.empty()) {
            ssize_t count = send(fd, unsent.data(), unsent.size(), MSG_NOSIGNAL);
            if (count < 0) throw std::system_error(errno, std::generic_category(), "send");
            unsent.erase(0, count);
        }
    }

    // Closes our direction alone: no more commands, but the answers still come.
    void shutdownOutput() { shutdown(fd, SHUT_WR); }

private:
    int fd = -1;
    std::string received, unsent;
};
