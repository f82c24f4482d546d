/* The yardstick of the Modbus measurements: a server that answers as cheaply as the machine allows, and a client that
   polls as cheaply as the machine allows. One poll is FC3 for 60 registers, decoded to 30 float32, each one checked.

     modbus_epoll server PORT            serves every loopback address until it is killed; prints one line when it listens
     modbus_epoll client PORT N POLLS    N connections (127.0.0.1, 127.0.0.2, ...), POLLS rounds back to back
     modbus_epoll paced PORT N POLLS MS  the same, one round every MS milliseconds

   The client prints: CPU microseconds per poll, and for "paced" the median and the longest round in microseconds. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REGISTERS = 60, POINTS = 30, ANSWER = 9 + 2 * REGISTERS, REQUEST = 12, PEERS_MAX = 1024 };

static void die(const char *what) { perror(what); exit(1); }

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void watch(int poller, int fd, uint32_t key) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = key};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void no_delay(int fd) {
    int one = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one)) die("setsockopt");
}

/* ------------------------------------------------------------------ server */

static size_t answer_to(const uint8_t *request, uint8_t *answer) {
    uint16_t first = (uint16_t)(request[8] << 8 | request[9]), count = (uint16_t)(request[10] << 8 | request[11]);
    size_t body = 2u * count;
    memcpy(answer, request, 4);
    answer[4] = (uint8_t)((body + 3) >> 8), answer[5] = (uint8_t)(body + 3);
    answer[6] = request[6], answer[7] = request[7], answer[8] = (uint8_t)body;
    for (uint16_t i = 0; i + 1 < count; i += 2) { /* point k holds the number k */
        float value = (float)((first + i) / 2);
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits = htonl(bits);
        memcpy(answer + 9 + 2 * i, &bits, 4);
    }
    return 9 + body;
}

static void serve_peer(int poller, int fd) {
    uint8_t in[REQUEST * 64], out[260 * 64];
    ssize_t size = recv(fd, in, sizeof in, 0);
    if (size <= 0) {
        epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
        close(fd);
        return;
    }
    size_t filled = 0;
    for (ssize_t at = 0; at + REQUEST <= size; at += REQUEST) filled += answer_to(in + at, out + filled);
    if (filled && send(fd, out, filled, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) die("send");
}

static void serve(uint16_t port) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, poller = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, PEERS_MAX)) die("listen");
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    watch(poller, listener, (uint32_t)listener);
    for (;;) {
        struct epoll_event ready[256];
        int count = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = (int)ready[i].data.u32;
            if (fd != listener) {
                serve_peer(poller, fd);
            } else if ((fd = accept(listener, NULL, NULL)) >= 0) {
                no_delay(fd);
                watch(poller, fd, (uint32_t)fd);
            }
        }
    }
}

/* ------------------------------------------------------------------ client */

struct peer {
    int fd;
    uint16_t transaction;
    size_t filled;
    uint8_t buffer[ANSWER];
};

static struct peer peers[PEERS_MAX];

static void ask(struct peer *peer) {
    uint8_t request[REQUEST] = {0, 0, 0, 0, 0, 6, 1, 3, 0, 0, 0, REGISTERS};
    peer->transaction++;
    request[0] = (uint8_t)(peer->transaction >> 8), request[1] = (uint8_t)peer->transaction;
    peer->filled = 0;
    if (send(peer->fd, request, REQUEST, MSG_NOSIGNAL) != REQUEST) die("send");
}

/* 1 when the answer is whole; every field of the header and every value is checked. */
static int take(struct peer *peer) {
    ssize_t size = recv(peer->fd, peer->buffer + peer->filled, ANSWER - peer->filled, 0);
    if (size <= 0) die("recv");
    peer->filled += (size_t)size;
    if (peer->filled < ANSWER) return 0;
    const uint8_t head[9] = {(uint8_t)(peer->transaction >> 8), (uint8_t)peer->transaction, 0, 0, 0, ANSWER - 6, 1, 3,
                             2 * REGISTERS};
    if (memcmp(head, peer->buffer, sizeof head)) { fputs("a wrong header\n", stderr); exit(1); }
    float values[POINTS];
    for (int i = 0; i < POINTS; i++) {
        uint32_t bits;
        memcpy(&bits, peer->buffer + 9 + 4 * i, 4);
        bits = ntohl(bits);
        memcpy(&values[i], &bits, 4);
        if (!(values[i] >= -1000.0f && values[i] <= 1000.0f)) { fputs("an implausible value\n", stderr); exit(1); }
    }
    if (values[POINTS - 1] != (float)(POINTS - 1)) { fputs("a wrong value\n", stderr); exit(1); }
    return 1;
}

static void round_of(int poller, int count) {
    for (int i = 0; i < count; i++) ask(&peers[i]);
    for (int left = count; left > 0;) {
        struct epoll_event ready[256];
        int found = epoll_wait(poller, ready, 256, -1);
        for (int i = 0; i < found; i++) left -= take(&peers[ready[i].data.u32]);
    }
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void poll_all(uint16_t port, int count, int polls, int period_ms) {
    int poller = epoll_create1(0);
    double *rounds = calloc((size_t)polls, sizeof *rounds);
    for (int i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        address.sin_addr.s_addr = htonl(0x7F000001u + (uint32_t)i);
        peers[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(peers[i].fd, (struct sockaddr *)&address, sizeof address)) die("connect");
        no_delay(peers[i].fd);
        watch(poller, peers[i].fd, (uint32_t)i);
    }
    round_of(poller, count);
    double began = cpu_us(), due = now_us();
    for (int i = 0; i < polls; i++) {
        if (period_ms) {
            due += 1e3 * period_ms;
            double wait = due - now_us();
            if (wait > 0) usleep((useconds_t)wait);
        } else {
            due = now_us();
        }
        round_of(poller, count);
        rounds[i] = now_us() - due;
    }
    double spent = cpu_us() - began;
    qsort(rounds, (size_t)polls, sizeof *rounds, by_size);
    printf("%.3f %.1f %.1f\n", spent / polls / count, rounds[polls / 2], rounds[polls - 1]);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "server")) serve((uint16_t)atoi(argv[2]));
    if (argc >= 5 && atoi(argv[3]) <= PEERS_MAX)
        poll_all((uint16_t)atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), argc == 6 ? atoi(argv[5]) : 0);
    else
        return fputs("usage: modbus_epoll server PORT | client PORT N POLLS | paced PORT N POLLS MS\n", stderr), 2;
    return 0;
}
